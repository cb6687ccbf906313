// The event loop as the rest of Sluice sees it: time, timers, work posted from elsewhere, chance,
// deferred deletion and the flushing of gathered writes. UvLoop (net/uv_loop.h) runs it on libuv
// for production; SimLoop (test/support/sim_loop.h) runs it on simulated time.
//
// One loop belongs to one thread. Everything here is called on that thread, except Post.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "base/intrusive_list.h"
#include "base/random.h"
#include "base/time.h"
#include "base/timer_queue.h"

namespace sluice {

// Something that must not die on its own stack: it is handed to Loop::DeleteLater, usually from
// inside one of its own callbacks, and destroyed when the current dispatch has unwound.
class Deferred {
 public:
  Deferred() = default;
  virtual ~Deferred() = default;
  Deferred(const Deferred&) = delete;
  Deferred& operator=(const Deferred&) = delete;
};

struct FlushTag {};

// Something that gathers writes during a dispatch and performs them at its end, in one call.
class Flushable : public ListHook<FlushTag> {
 public:
  // Performs what was gathered. May schedule other flushes, which run in the same round.
  virtual void Flush() = 0;

 protected:
  ~Flushable() = default;
};

class Loop {
 public:
  virtual ~Loop() = default;
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  // Runs `work` on this loop's thread, in the order posted. Thread safe; never runs it inline.
  // Work posted to a loop that has stopped is destroyed without running.
  virtual void Post(std::function<void()> work) = 0;

  // The calendar time, at least as fresh as the current dispatch.
  virtual WallTime WallNow() const = 0;

  // Monotonic time of the current dispatch: constant within it, in steps of a millisecond or finer.
  TimePoint Now() const { return now_; }

  TimerQueue& timers() { return timers_; }
  Random& random() { return random_; }

  // Destroys `object` at the end of the current dispatch.
  void DeleteLater(std::unique_ptr<Deferred> object) { doomed_.push_back(std::move(object)); }

  // Calls `flushable.Flush()` at the end of the current dispatch; once, however often it is asked.
  void FlushLater(Flushable& flushable) {
    if (!flushable.linked()) flush_.PushBack(&flushable);
  }

  // Calls `flushable.Flush()` at the end of the turn: once everything that the loop has found ready
  // was dispatched, before it waits again. What many dispatches add to is then done once. The call
  // is a dispatch of its own.
  void FlushAtTurnEnd(Flushable& flushable) {
    if (!flushable.linked()) turn_flush_.PushBack(&flushable);
  }

  // Bytes that live until the end of the current dispatch, for heads and frames that are
  // serialised and then lent to Transport::Write. Uninitialised, not aligned.
  char* Scratch(size_t count) {
    if (scratch_size_ - scratch_used_ < count) AddScratch(count);
    char* bytes = scratch_.back().get() + scratch_used_;
    scratch_used_ += count;
    return bytes;
  }

  // Gives back the last `count` bytes of the newest Scratch.
  void ReturnScratch(size_t count) { scratch_used_ -= count; }

 protected:
  explicit Loop(uint64_t seed) : random_(seed) {}

  void SetNow(TimePoint now) { now_ = now; }

  // Every dispatch (an I/O callback, a batch of timers, a batch of posted work) ends here: gathered
  // writes are flushed, scratch is reused, and doomed objects are destroyed.
  void EndDispatch();

  // Every turn ends here, before the loop waits. What was flushed may ask for more: a stream that
  // takes bytes again resumes another, say, and there may be no event that would end another turn.
  void EndTurn() {
    while (!turn_flush_.empty()) {
      flush_.TakeAll(turn_flush_);
      EndDispatch();
    }
  }

 private:
  static constexpr size_t kScratchBlock = 64 * 1024;
  void AddScratch(size_t at_least);

  TimePoint now_{};
  TimerQueue timers_;
  Random random_;
  IntrusiveList<Flushable, FlushTag> flush_;
  IntrusiveList<Flushable, FlushTag> turn_flush_;
  std::vector<std::unique_ptr<Deferred>> doomed_;
  std::vector<std::unique_ptr<char[]>> scratch_;
  size_t scratch_size_ = 0;  // of the newest block
  size_t scratch_used_ = 0;
};

}  // namespace sluice
