#include "support/sim_loop.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <utility>

namespace sluice {
namespace {

// Not zero, so that a test may subtract from it.
constexpr TimePoint kStart{std::chrono::hours(1)};
// 2026-01-01 00:00:00 UTC.
constexpr std::chrono::seconds kWallStart{1'767'225'600};

[[noreturn]] void Die(const char* message) {
  std::fprintf(stderr, "SimLoop: %s\n", message);
  std::abort();
}

}  // namespace

SimLoop::SimLoop(uint64_t seed, TieBreak tie_break)
    : Loop(seed), tie_break_(tie_break), order_(seed ^ 0x5eed'0fd0'e7e2'7abcu) {
  SetNow(kStart);
}

SimLoop::~SimLoop() {
  // What an event owned may schedule more as it dies.
  stopped_ = true;
  EndDispatch();
  posted_.clear();
  events_.clear();
}

void SimLoop::Post(std::function<void()> work) {
  if (stopped_) return;
  posted_.push_back(std::move(work));
  if (posted_.size() == 1) At(Now(), [this] { RunPosted(); });
}

void SimLoop::RunPosted() {
  // Work posted by this work runs in a later dispatch, as on a real loop.
  std::deque<Event> batch = std::exchange(posted_, {});
  while (!batch.empty()) {
    batch.front()();
    batch.pop_front();
  }
}

WallTime SimLoop::WallNow() const {
  return WallTime(std::chrono::duration_cast<WallTime::duration>(kWallStart + (Now() - kStart)));
}

bool SimLoop::Later(const Scheduled& a, const Scheduled& b) {
  if (a.when != b.when) return a.when > b.when;
  if (a.rank != b.rank) return a.rank > b.rank;
  return a.sequence > b.sequence;
}

void SimLoop::At(TimePoint when, Event event) {
  if (stopped_) return;
  const uint64_t rank = tie_break_ == TieBreak::kRandom ? order_.Below(1024) : 0;
  events_.push_back({std::max(when, Now()), rank, sequence_++, std::move(event)});
  std::push_heap(events_.begin(), events_.end(), Later);
}

std::string_view SimLoop::Lend(std::string bytes) {
  lent_.push_back(std::move(bytes));
  return lent_.back();
}

void SimLoop::Begin() {
  if (dispatching_) Die("a run was started from inside an event");
  dispatching_ = true;
}

// A turn holds what happens at one instant; under TieBreak::kRandom it may end earlier.
bool SimLoop::EndsTurn() {
  const bool more =
      (!events_.empty() && events_.front().when <= Now()) || timers().NextDeadline() <= Now();
  return !more || (tie_break_ == TieBreak::kRandom && order_.Chance(0.5));
}

void SimLoop::End() {
  EndDispatch();
  if (EndsTurn()) EndTurn();
  for (std::string& bytes : lent_) {
    volatile char* at = bytes.data();  // volatile: the bytes are dead, the stores must stay
    for (size_t i = 0; i < bytes.size(); ++i) at[i] = '\xDB';
  }
  lent_.clear();
  ++dispatches_;
  dispatching_ = false;
}

void SimLoop::Dispatch(const Event& work) {
  Begin();
  work();
  End();
}

void SimLoop::GuardAgainstLivelock(TimePoint when) {
  at_this_instant_ = when == Now() ? at_this_instant_ + 1 : 0;
  if (at_this_instant_ > kMaxAtOneInstant) Die("the clock does not move: events cause each other");
}

bool SimLoop::TimersFirst(TimePoint next_event, TimePoint next_timer) {
  if (next_event != next_timer) return next_timer < next_event;
  return tie_break_ == TieBreak::kRandom && order_.Chance(0.5);
}

bool SimLoop::RunNext(TimePoint limit) {
  const TimePoint next_event = events_.empty() ? kNever : events_.front().when;
  const TimePoint next_timer = std::max(timers().NextDeadline(), Now());
  const TimePoint next = std::min(next_event, next_timer);
  if (next == kNever || next > limit) return false;
  GuardAgainstLivelock(next);
  Begin();
  SetNow(next);
  if (TimersFirst(next_event, next_timer)) {
    timers().Advance(next);
  } else {
    std::pop_heap(events_.begin(), events_.end(), Later);
    const Event event = std::move(events_.back().event);
    events_.pop_back();
    event();
  }
  End();
  return true;
}

void SimLoop::RunFor(Duration span) {
  Dispatch([] {});
  const TimePoint limit = Now() + span;
  while (RunNext(limit)) {
  }
  SetNow(limit);
}

bool SimLoop::RunUntil(const std::function<bool()>& predicate, Duration bound) {
  Dispatch([] {});
  const TimePoint limit = Now() + bound;
  while (!predicate()) {
    if (!RunNext(limit)) {
      SetNow(limit);
      return false;
    }
  }
  return true;
}

bool SimLoop::RunUntilIdle(Duration bound) {
  Dispatch([] {});
  const TimePoint limit = Now() + bound;
  while (RunNext(limit)) {
  }
  return events_.empty() && timers().NextDeadline() == kNever;
}

}  // namespace sluice
