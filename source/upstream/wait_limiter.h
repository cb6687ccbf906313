// How many requests may wait for a cluster at a time, found out from how fast it answers.
//
// By Little's law a request that joins n others waits for n divided by the rate of answers: as long
// as that is less than `max_wait`, it is let through. The rate is the best of late, so that a pause
// of the upstream is not taken for the end of it; and as long as those who are answered have waited
// for less than `max_wait` on average, everybody is let through, so that a burst after a time of
// rest, of which no rate tells anything, is not turned away (docs/decisions/0013-wait-limit.md).
//
// One worker thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/time.h"
#include "config/cluster_config.h"

namespace sluice {

class WaitLimiter {
 public:
  // `config` must outlive it.
  explicit WaitLimiter(const CircuitBreakerConfig& config) : config_(config) {}

  bool on() const { return config_.max_wait > Duration::zero(); }

  // Whether one more may wait. Only when it is on; so for the others.
  bool Admits(TimePoint now);
  // One more waits, right after it was admitted;
  void OnBegin() { ++waiting_; }
  // and has had an answer after this time, good or bad, or has gone without one.
  void OnAnswer(Duration waited, TimePoint now);
  void OnLeft() { --waiting_; }

 private:
  // The rate is looked at in windows of half of max_wait, and the best of the last so many counts.
  static constexpr size_t kWindows = 8;

  void LookAtWindow(TimePoint now);
  double Limit() const;

  const CircuitBreakerConfig& config_;
  uint64_t waiting_ = 0;
  TimePoint since_{};                     // when the window began
  uint64_t answers_ = 0;                  // in it
  Duration waited_{};                     // of all of those
  Duration mean_wait_{};                  // in the window before
  std::array<double, kWindows> rates_{};  // answers per second
  size_t next_rate_ = 0;
};

}  // namespace sluice
