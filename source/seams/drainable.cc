#include "sluice/drainable.h"

#include <algorithm>
#include <numeric>

namespace sluice {

namespace {

uint64_t Sum(const InFlight& counts) {
  return std::accumulate(counts.begin(), counts.end(), uint64_t{0});
}

void AddTo(InFlight& counts, const InFlight& more) {
  for (size_t i = 0; i < counts.size(); ++i) counts[i] += more[i];
}

}  // namespace

std::string_view CutReasonName(CutReason reason) {
  switch (reason) {
    case CutReason::kDeadline:
      return "deadline";
    case CutReason::kSecondSignal:
      return "second_signal";
    case CutReason::kForced:
      return "forced";
  }
  return "";
}

uint64_t DrainProgress::in_flight_total() const { return Sum(in_flight); }

uint64_t DrainProgress::cut_total() const { return Sum(cut); }

void DrainProgress::Add(const DrainProgress& other) {
  AddTo(in_flight, other.in_flight);
  connections += other.connections;
  finished += other.finished;
  told += other.told;
  AddTo(cut, other.cut);
  moved += other.moved;
  streams_told += other.streams_told;
  streams_left += other.streams_left;
  streams_lost += other.streams_lost;

  stragglers.insert(stragglers.end(), other.stragglers.begin(), other.stragglers.end());
  if (stragglers.size() > kMaxStragglers) {
    // The oldest tell most about what holds the drain up.
    std::stable_sort(stragglers.begin(), stragglers.end(),
                     [](const Straggler& a, const Straggler& b) { return a.age > b.age; });
    stragglers.resize(kMaxStragglers);
  }

  for (const auto& [route, count] : other.in_flight_by_route) {
    auto same = std::find_if(in_flight_by_route.begin(), in_flight_by_route.end(),
                             [&route = route](const auto& entry) { return entry.first == route; });
    if (same == in_flight_by_route.end()) {
      in_flight_by_route.emplace_back(route, count);
    } else {
      same->second += count;
    }
  }

  for (const PartProgress& part : other.parts) {
    auto same = std::find_if(parts.begin(), parts.end(),
                             [&](const PartProgress& mine) { return mine.part == part.part; });
    if (same == parts.end()) {
      parts.push_back(part);
    } else {
      same->Add(part);
    }
  }
}

}  // namespace sluice
