// Timers of one thread, as a binary heap of intrusive nodes.
//
// Timers on a request path are moved far more often than they fire, almost always to a later time.
// Moving a timer later, or stopping it, only writes its deadline; its place in the heap is put
// right when the old time comes. Moving it earlier sifts it up: O(log n).
//
// Not thread safe: a queue and its timers belong to one loop.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/delegate.h"
#include "base/time.h"

namespace sluice {

class TimerQueue;

// One timer. `queue` must outlive it; it stops itself when destroyed.
class Timer {
 public:
  Timer(TimerQueue& queue, Delegate on_fire) : queue_(queue), on_fire_(on_fire) {}
  ~Timer();
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  // Fires once at or after `deadline`; replaces any earlier deadline. kNever stops the timer.
  void Set(TimePoint deadline);
  void Stop() { deadline_ = kNever; }
  bool active() const { return deadline_ != kNever; }
  TimePoint deadline() const { return deadline_; }

 private:
  friend class TimerQueue;
  static constexpr uint32_t kNotQueued = UINT32_MAX;

  TimerQueue& queue_;
  Delegate on_fire_;
  TimePoint deadline_ = kNever;   // when it shall fire
  TimePoint queued_at_ = kNever;  // its key in the heap: never later than deadline_
  uint32_t index_ = kNotQueued;
};

class TimerQueue {
 public:
  TimerQueue() = default;
  TimerQueue(const TimerQueue&) = delete;
  TimerQueue& operator=(const TimerQueue&) = delete;

  // The earliest time at which Advance may have something to do; kNever when there is nothing.
  TimePoint NextDeadline() const { return heap_.empty() ? kNever : heap_.front()->queued_at_; }

  // Fires the timers whose deadline is at or before `now`, the earliest first, but no more than
  // `most`: NextDeadline then says that some are due. Callbacks may set, stop and destroy any
  // timer, their own included.
  void Advance(TimePoint now, size_t most = SIZE_MAX);

 private:
  friend class Timer;
  void Insert(Timer* timer);
  void Remove(Timer* timer);
  void SiftUp(size_t index);
  void SiftDown(size_t index);
  void Place(Timer* timer, size_t index);

  std::vector<Timer*> heap_;
};

}  // namespace sluice
