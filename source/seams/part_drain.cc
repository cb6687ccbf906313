#include "sluice/part_drain.h"

#include <numeric>

namespace sluice {

std::string_view PartKindName(PartKind kind) {
  switch (kind) {
    case PartKind::kListener:
      return "listener";
    case PartKind::kRoute:
      return "route";
    case PartKind::kCluster:
      return "cluster";
    case PartKind::kEndpoint:
      return "endpoint";
  }
  return "";
}

uint64_t PartProgress::cut_total() const {
  return std::accumulate(cut.begin(), cut.end(), uint64_t{0});
}

void PartProgress::Add(const PartProgress& other) {
  in_flight += other.in_flight;
  connections += other.connections;
  told += other.told;
  left += other.left;
  for (size_t i = 0; i < cut.size(); ++i) cut[i] += other.cut[i];
}

}  // namespace sluice
