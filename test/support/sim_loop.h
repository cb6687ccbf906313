// A Loop on simulated time: nothing happens but what was scheduled, the clock jumps from one event
// to the next, and one seed decides every choice, so that a run replays exactly.
//
//   SimLoop loop(seed, TieBreak::kRandom);
//   loop.After(10ms, [] { ... });
//   ASSERT_TRUE(loop.RunUntil([&] { return done; }, 1min));
//
// One thread. What a test body does between two runs is a dispatch of its own: it is ended when the
// next run begins.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "sluice/loop.h"

namespace sluice {

// The order of events of the same instant.
enum class TieBreak : uint8_t { kFifo, kRandom };

class SimLoop final : public Loop {
 public:
  using Event = std::function<void()>;

  explicit SimLoop(uint64_t seed = 1, TieBreak tie_break = TieBreak::kFifo);
  // Events that did not run are destroyed without running.
  ~SimLoop() override;

  // As Loop says; posted work keeps its order under either TieBreak.
  void Post(std::function<void()> work) override;
  WallTime WallNow() const override;

  // Runs `event` as a dispatch of its own at `when`, or at once after the present dispatch if that
  // has passed.
  void At(TimePoint when, Event event);
  void After(Duration delay, Event event) { At(Now() + delay, std::move(event)); }

  // Runs `work` now, as one dispatch. Not from inside an event.
  void Dispatch(const Event& work);

  // A copy of `bytes` that is overwritten and freed at the end of the present dispatch, so that
  // whoever keeps it for longer reads garbage (and trips the address sanitizer).
  std::string_view Lend(std::string bytes);

  // Runs everything that is due within `span`; the clock ends exactly `span` later.
  void RunFor(Duration span);

  // Runs until `predicate` is true (looked at before the first event and after each); false when it
  // was still false after `bound`.
  bool RunUntil(const std::function<bool()>& predicate, Duration bound);

  // Runs until no event and no timer is left; false when there still was one after `bound`.
  bool RunUntilIdle(Duration bound);

  // Dispatches so far: equal for equal seeds.
  uint64_t dispatches() const { return dispatches_; }

 private:
  struct Scheduled {
    TimePoint when;
    uint64_t rank;      // among events of the same instant
    uint64_t sequence;  // among events of the same rank
    Event event;
  };
  // A run of this many dispatches without the clock moving is a loop that never ends.
  static constexpr uint64_t kMaxAtOneInstant = 5'000'000;

  static bool Later(const Scheduled& a, const Scheduled& b);
  void Begin();
  void End();
  bool EndsTurn();
  bool RunNext(TimePoint limit);
  bool TimersFirst(TimePoint next_event, TimePoint next_timer);
  void RunPosted();
  void GuardAgainstLivelock(TimePoint when);

  const TieBreak tie_break_;
  Random
      order_;  // apart from random(), so that the order does not depend on what the product draws
  std::vector<Scheduled> events_;  // a heap
  std::deque<Event> posted_;
  std::deque<std::string> lent_;
  uint64_t sequence_ = 0;
  uint64_t dispatches_ = 0;
  uint64_t at_this_instant_ = 0;
  bool stopped_ = false;
  bool dispatching_ = false;
};

}  // namespace sluice
