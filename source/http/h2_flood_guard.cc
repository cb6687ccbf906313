#include "http/h2_flood_guard.h"

#include <algorithm>

namespace sluice {

std::string_view H2FloodName(H2Flood flood) {
  switch (flood) {
    case H2Flood::kSettings:
      return "settings";
    case H2Flood::kPing:
      return "ping";
    case H2Flood::kEmptyData:
      return "empty_data";
    case H2Flood::kContinuation:
      return "continuation";
    case H2Flood::kPriority:
      return "priority";
    case H2Flood::kWindowUpdate:
      return "window_update";
    case H2Flood::kReset:
      return "rapid_reset";
    case H2Flood::kInduced:
      return "induced_reset";
    case H2Flood::kHeaderBlock:
      return "header_block";
  }
  return "";
}

H2FloodGuard::H2FloodGuard(const Http2Floods& allowances, TimePoint now) {
  const std::array<uint32_t, kH2FloodCount> sizes = {
      allowances.settings, allowances.ping,          allowances.empty_data, allowances.continuation,
      allowances.priority, allowances.window_update, allowances.reset,      allowances.induced,
      /*header block*/ 0};
  for (size_t i = 0; i < kH2FloodCount; ++i) buckets_[i] = {sizes[i], sizes[i], now};
}

bool H2FloodGuard::Take(H2Flood flood, TimePoint now) {
  Bucket& bucket = buckets_[static_cast<size_t>(flood)];
  if (bucket.left > 0) {
    --bucket.left;
    return true;
  }
  // Only an empty bucket looks at the time: a peer that behaves costs one decrement.
  const Duration gone = std::min<Duration>(now - bucket.filled_at, kRefill);
  const auto earned = static_cast<uint64_t>(bucket.size) * static_cast<uint64_t>(gone.count()) /
                      static_cast<uint64_t>(kRefill.count());
  if (earned == 0) return false;
  bucket.left = static_cast<uint32_t>(earned) - 1;
  bucket.filled_at = now;
  return true;
}

void H2FloodGuard::Grant(H2Flood flood, uint32_t count) {
  Bucket& bucket = buckets_[static_cast<size_t>(flood)];
  bucket.left = std::min(bucket.left + count, bucket.size);
}

}  // namespace sluice
