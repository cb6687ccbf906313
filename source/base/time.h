// The two clocks of the project. Nobody reads them but a Loop (see sluice/loop.h): everything else
// is told the time, so that a test can decide what time it is.
#pragma once

#include <chrono>

namespace sluice {

using Duration = std::chrono::nanoseconds;

// Monotonic time since an arbitrary start.
using TimePoint = std::chrono::time_point<std::chrono::steady_clock, Duration>;

// Calendar time, for logs and the Date header only; never used to measure or to wait.
using WallTime = std::chrono::system_clock::time_point;

inline constexpr TimePoint kNever = TimePoint::max();

}  // namespace sluice
