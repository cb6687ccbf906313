// A token bucket that all workers share without a lock: the generic cell rate algorithm (ITU-T
// I.371), whose whole state is one number, the time at which the bucket will be full again.
//
// Thread safe.
#pragma once

#include <atomic>
#include <cstdint>

#include "base/time.h"

namespace sluice {

class RateLimiter {
 public:
  // `requests`, at least 1, in every `per`, at least as many nanoseconds; `burst`, at least 1, at
  // once after a pause. The time between two is kept in whole nanoseconds, so of rates far above a
  // million per second somewhat more is admitted, and never more than 1e9.
  RateLimiter(uint32_t requests, Duration per, uint32_t burst);

  // Zero when one more is admitted, and then it is counted; otherwise how long until it would be.
  // The times of several threads need not be in order.
  Duration TryTake(TimePoint now);

 private:
  const int64_t interval_;   // nanoseconds between two
  const int64_t tolerance_;  // how far full_at_ may lie ahead
  std::atomic<int64_t> full_at_{INT64_MIN};
};

}  // namespace sluice
