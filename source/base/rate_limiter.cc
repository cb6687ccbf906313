#include "base/rate_limiter.h"

#include <algorithm>
#include <limits>

namespace sluice {
namespace {

// So that nothing added to a time overflows.
constexpr int64_t kMost = std::numeric_limits<int64_t>::max() / 4;

}  // namespace

RateLimiter::RateLimiter(uint32_t requests, Duration per, uint32_t burst)
    : interval_(std::clamp<int64_t>(per.count() / requests, 1, kMost)),
      tolerance_(interval_ > kMost / burst ? kMost : interval_ * burst) {}

Duration RateLimiter::TryTake(TimePoint now) {
  const int64_t at = now.time_since_epoch().count();
  int64_t full_at = full_at_.load(std::memory_order_relaxed);
  while (true) {
    const int64_t next = std::max(full_at, at) + interval_;
    if (next - at > tolerance_) return Duration(next - at - tolerance_);
    if (full_at_.compare_exchange_weak(full_at, next, std::memory_order_relaxed)) return {};
  }
}

}  // namespace sluice
