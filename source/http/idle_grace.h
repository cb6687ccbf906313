// When connections that a drain found idle are closed: each gets the grace, in which a request that
// is on the wire is still served, and no more than a few in a millisecond are closed, so that
// neither their clients nor the loop meet all of them at once.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

#include "base/time.h"

namespace sluice {

class IdleGrace {
 public:
  IdleGrace(Duration grace, TimePoint begins) : grace_(grace), begins_(begins) {}

  // For the next connection.
  TimePoint NextEnd(TimePoint now) {
    const TimePoint turn =
        begins_ + grace_ + std::chrono::milliseconds(count_++ / kClosesPerMillisecond);
    return std::max(now + grace_, turn);
  }

 private:
  static constexpr uint64_t kClosesPerMillisecond = 50;
  Duration grace_;
  TimePoint begins_;
  uint64_t count_ = 0;  // of connections that were given an end of their grace
};

}  // namespace sluice
