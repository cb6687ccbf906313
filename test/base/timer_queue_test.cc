#include "base/timer_queue.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/random.h"

namespace sluice {
namespace {

TimePoint At(int64_t tick) { return TimePoint(Duration(tick)); }

// A timer that runs a function.
class TestTimer {
 public:
  TestTimer(TimerQueue& queue, std::function<void()> on_fire)
      : on_fire_(std::move(on_fire)), timer_(queue, Delegate::Bind<&TestTimer::Fire>(this)) {}
  Timer* operator->() { return &timer_; }

 private:
  void Fire() {
    const auto on_fire = on_fire_;  // survives if it destroys this timer
    on_fire();
  }
  std::function<void()> on_fire_;
  Timer timer_;
};

class TimerQueueTest : public testing::Test {
 protected:
  std::unique_ptr<TestTimer> Recorder(std::string name) {
    return std::make_unique<TestTimer>(queue_, [this, name] { fired_ += name; });
  }

  TimerQueue queue_;
  std::string fired_;
};

TEST_F(TimerQueueTest, HasNoDeadlineWhenEmpty) {
  EXPECT_EQ(queue_.NextDeadline(), kNever);
  queue_.Advance(At(1000));
}

TEST_F(TimerQueueTest, FiresAtItsDeadlineOnce) {
  auto a = Recorder("a");
  (*a)->Set(At(10));
  EXPECT_TRUE((*a)->active());
  EXPECT_EQ(queue_.NextDeadline(), At(10));
  queue_.Advance(At(9));
  EXPECT_EQ(fired_, "");
  queue_.Advance(At(10));
  EXPECT_EQ(fired_, "a");
  EXPECT_FALSE((*a)->active());
  EXPECT_EQ(queue_.NextDeadline(), kNever);
  queue_.Advance(At(20));
  EXPECT_EQ(fired_, "a");
}

TEST_F(TimerQueueTest, FiresInOrderOfDeadlines) {
  auto a = Recorder("a"), b = Recorder("b"), c = Recorder("c"), d = Recorder("d");
  (*c)->Set(At(30));
  (*a)->Set(At(10));
  (*d)->Set(At(40));
  (*b)->Set(At(20));
  queue_.Advance(At(30));
  EXPECT_EQ(fired_, "abc");
  queue_.Advance(At(100));
  EXPECT_EQ(fired_, "abcd");
}

TEST_F(TimerQueueTest, AMovedTimerFiresInItsNewOrder) {
  auto a = Recorder("a"), b = Recorder("b"), c = Recorder("c");
  (*a)->Set(At(10));
  (*b)->Set(At(50));
  (*c)->Set(At(60));
  (*a)->Set(At(90));  // later: still queued at 10
  (*c)->Set(At(20));  // earlier
  queue_.Advance(At(100));
  EXPECT_EQ(fired_, "cba");
}

TEST_F(TimerQueueTest, MovedLaterItDoesNotFireEarly) {
  auto a = Recorder("a");
  (*a)->Set(At(10));
  (*a)->Set(At(30));
  EXPECT_EQ((*a)->deadline(), At(30));
  queue_.Advance(At(20));
  EXPECT_EQ(fired_, "");
  EXPECT_EQ(queue_.NextDeadline(), At(30));
  queue_.Advance(At(30));
  EXPECT_EQ(fired_, "a");
}

TEST_F(TimerQueueTest, AStoppedTimerDoesNotFire) {
  auto a = Recorder("a"), b = Recorder("b");
  (*a)->Set(At(10));
  (*b)->Set(At(10));
  (*a)->Stop();
  EXPECT_FALSE((*a)->active());
  (*b)->Set(kNever);
  EXPECT_FALSE((*b)->active());
  queue_.Advance(At(10));
  EXPECT_EQ(fired_, "");
  EXPECT_EQ(queue_.NextDeadline(), kNever);
}

TEST_F(TimerQueueTest, AStoppedTimerCanBeSetAgain) {
  auto a = Recorder("a");
  (*a)->Set(At(10));
  (*a)->Stop();
  (*a)->Set(At(5));
  queue_.Advance(At(5));
  EXPECT_EQ(fired_, "a");
  (*a)->Set(At(20));
  (*a)->Stop();
  (*a)->Set(At(30));
  queue_.Advance(At(25));
  EXPECT_EQ(fired_, "a");
  queue_.Advance(At(30));
  EXPECT_EQ(fired_, "aa");
}

TEST_F(TimerQueueTest, ADestroyedTimerDoesNotFire) {
  auto a = Recorder("a"), b = Recorder("b");
  (*a)->Set(At(10));
  (*b)->Set(At(10));
  a.reset();
  queue_.Advance(At(10));
  EXPECT_EQ(fired_, "b");
}

TEST_F(TimerQueueTest, ACallbackMaySetItsOwnTimer) {
  int count = 0;
  std::unique_ptr<TestTimer> a;
  a = std::make_unique<TestTimer>(queue_, [&] {
    if (++count < 5) (*a)->Set(At(count * 10));
  });
  (*a)->Set(At(0));
  queue_.Advance(At(25));
  EXPECT_EQ(count, 3);
  queue_.Advance(At(100));
  EXPECT_EQ(count, 5);
}

TEST_F(TimerQueueTest, ACallbackMayDestroyItsOwnTimer) {
  std::unique_ptr<TestTimer> a;
  a = std::make_unique<TestTimer>(queue_, [&] { a.reset(); });
  (*a)->Set(At(1));
  queue_.Advance(At(1));
  EXPECT_EQ(a, nullptr);
}

TEST_F(TimerQueueTest, ACallbackMayDestroyOrStopOthersThatAreDue) {
  auto b = Recorder("b"), c = Recorder("c"), d = Recorder("d");
  TestTimer a(queue_, [&] {
    b.reset();
    (*c)->Stop();
  });
  a->Set(At(1));
  (*b)->Set(At(2));
  (*c)->Set(At(2));
  (*d)->Set(At(2));
  queue_.Advance(At(5));
  EXPECT_EQ(fired_, "d");
}

// Random operations, also from inside callbacks, against a model that is a plain list.
class TimerModel {
 public:
  explicit TimerModel(uint64_t seed) : random_(seed) {}

  void Run(int steps) {
    for (int step = 0; step < steps; ++step) {
      if (random_.Chance(0.25)) {
        Advance(Duration(random_.Below(60)));
      } else {
        Mutate();
      }
      CheckAll();
      if (testing::Test::HasFatalFailure()) return;
    }
  }

  // Nothing that is due may be left behind.
  void CheckNothingIsDue() {
    Advance(Duration(0));
    for (Entry& entry : timers_) {
      ASSERT_TRUE(!entry.deadline || *entry.deadline > now_);
    }
    ASSERT_GT(queue_.NextDeadline(), now_);
  }

  int fired() const { return fired_; }

 private:
  struct Entry {
    std::optional<TimePoint> deadline;  // what the model says
    std::unique_ptr<TestTimer> timer;
  };

  void Mutate() {
    const size_t at = timers_.empty() ? 0 : random_.Below(timers_.size());
    switch (random_.Below(timers_.empty() ? 1 : 6)) {
      case 0: {
        if (timers_.size() >= 40) return;
        const int id = next_id_++;
        auto timer = std::make_unique<TestTimer>(queue_, [this, id] { OnFire(id); });
        timers_.push_back({std::nullopt, std::move(timer)});
        ids_.push_back(id);
        return;
      }
      case 1:
        timers_.erase(timers_.begin() + static_cast<long>(at));
        ids_.erase(ids_.begin() + static_cast<long>(at));
        return;
      case 2:
        timers_[at].deadline.reset();
        random_.Chance(0.5) ? (*timers_[at].timer)->Stop() : (*timers_[at].timer)->Set(kNever);
        return;
      default: {
        // Inside a callback never for now or earlier, or a chain of them might not end.
        const auto delay = static_cast<int64_t>(random_.Below(100)) + (advancing_ ? 1 : -10);
        const TimePoint deadline = now_ + Duration(delay);
        timers_[at].deadline = deadline;
        (*timers_[at].timer)->Set(deadline);
        return;
      }
    }
  }

  void Advance(Duration time) {
    now_ += time;
    advancing_ = true;
    last_fired_ = TimePoint::min();
    queue_.Advance(now_);
    advancing_ = false;
  }

  void OnFire(int id) {
    ++fired_;
    const auto found = std::find(ids_.begin(), ids_.end(), id);
    ASSERT_NE(found, ids_.end()) << "a destroyed timer fired";
    Entry& entry = timers_[static_cast<size_t>(found - ids_.begin())];
    ASSERT_TRUE(entry.deadline.has_value()) << "a stopped timer fired";
    EXPECT_LE(*entry.deadline, now_) << "a timer fired early";
    EXPECT_GE(*entry.deadline, last_fired_) << "timers fired out of order";
    last_fired_ = *entry.deadline;
    entry.deadline.reset();
    EXPECT_FALSE((*entry.timer)->active());
    for (uint64_t left = random_.Below(4); left > 0; --left) Mutate();
  }

  void CheckAll() {
    TimePoint earliest = kNever;
    for (Entry& entry : timers_) {
      ASSERT_EQ((*entry.timer)->active(), entry.deadline.has_value());
      if (!entry.deadline) continue;
      ASSERT_EQ((*entry.timer)->deadline(), *entry.deadline);
      earliest = std::min(earliest, *entry.deadline);
    }
    // It may be early, for a timer that was moved or stopped; never late.
    ASSERT_LE(queue_.NextDeadline(), earliest);
  }

  Random random_;
  TimerQueue queue_;
  TimePoint now_ = At(1000);
  TimePoint last_fired_ = TimePoint::min();
  std::vector<Entry> timers_;
  std::vector<int> ids_;  // of timers_, in the same order
  int next_id_ = 0;
  int fired_ = 0;
  bool advancing_ = false;
};

TEST(TimerQueuePropertyTest, AgreesWithAModelOnRandomOperations) {
  int fired = 0;
  for (uint64_t seed = 1; seed <= 150; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    TimerModel model(seed);
    model.Run(500);
    model.CheckNothingIsDue();
    if (testing::Test::HasFailure()) return;
    fired += model.fired();
  }
  EXPECT_GT(fired, 5000) << "the operations hardly let a timer fire";
}

}  // namespace
}  // namespace sluice
