// The limiter before a model of an upstream: so many things at a time, the others in a queue.
// Figures of docs/decisions/0013-wait-limit.md; printed with --gtest_filter='*WaitLimiter*'.
#include "upstream/wait_limiter.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <deque>
#include <functional>
#include <queue>
#include <random>
#include <string>

namespace sluice {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr int kSlots = 16;
constexpr Duration kPatience = seconds(1);  // of clients
constexpr Duration kStart = seconds(5);     // before that nothing is counted
constexpr Duration kEnd = seconds(40);

using Randomness = std::mt19937_64;

Duration Exponential(Duration mean, Randomness& random) {
  std::exponential_distribution<double> draw(1.0 / static_cast<double>(mean.count()));
  return Duration(static_cast<int64_t>(draw(random)));
}

// What comes, and how long each takes once it has a slot.
struct Scenario {
  std::string name;
  std::function<double(Duration now)> rate;  // per second
  std::function<Duration(Duration now, Randomness&)> service;
};

struct Figures {
  uint64_t offered = 0;
  uint64_t refused = 0;
  uint64_t in_time = 0;
  Duration p99{};

  double refused_percent() const { return Percent(refused); }
  double in_time_percent() const { return Percent(in_time); }

 private:
  double Percent(uint64_t count) const {
    return 100.0 * static_cast<double>(count) / static_cast<double>(offered);
  }
};

class Model {
 public:
  explicit Model(const Scenario& scenario) : scenario_(scenario) {}

  // Who decides, and who is told what came of it.
  std::function<bool(TimePoint now, uint64_t waiting)> admits = [](TimePoint, uint64_t) {
    return true;
  };
  std::function<void()> begun = [] {};
  std::function<void(Duration waited, TimePoint now)> answered = [](Duration, TimePoint) {};

  Figures Run() {
    At(Next(Duration::zero()), [this] { Arrive(); });
    while (!events_.empty()) {
      now_ = events_.top().at;
      const std::function<void()> what = events_.top().what;
      events_.pop();
      what();
    }
    std::sort(waits_.begin(), waits_.end());
    if (!waits_.empty()) figures_.p99 = waits_[waits_.size() * 99 / 100];
    return figures_;
  }

 private:
  struct Event {
    Duration at;
    uint64_t number;
    std::function<void()> what;
    bool operator<(const Event& other) const {
      return at != other.at ? at > other.at : number > other.number;
    }
  };

  void At(Duration at, std::function<void()> what) {
    events_.push({at, ++number_, std::move(what)});
  }
  Duration Next(Duration now) {
    const double mean = 1e9 / scenario_.rate(now);
    return now + Exponential(Duration(static_cast<int64_t>(mean)), random_);
  }
  // Simulated time begins somewhere.
  TimePoint Now() const { return TimePoint(seconds(1000) + now_); }

  void Arrive() {
    if (now_ < kEnd) At(Next(now_), [this] { Arrive(); });
    const bool counts = now_ >= kStart;
    if (counts) ++figures_.offered;
    if (!admits(Now(), waiting_)) {
      if (counts) ++figures_.refused;
      return;
    }
    ++waiting_;
    begun();
    queue_.push_back(now_);
    Serve();
  }

  void Serve() {
    if (busy_ == kSlots || queue_.empty()) return;
    ++busy_;
    const Duration since = queue_.front();
    queue_.pop_front();
    At(now_ + scenario_.service(now_, random_), [this, since] {
      --busy_;
      --waiting_;
      answered(now_ - since, Now());
      if (since >= kStart && now_ - since <= kPatience) {
        ++figures_.in_time;
        waits_.push_back(now_ - since);
      }
      Serve();
    });
  }

  const Scenario& scenario_;
  Randomness random_{1};
  std::priority_queue<Event> events_;
  uint64_t number_ = 0;
  Duration now_{};
  std::deque<Duration> queue_;
  int busy_ = 0;
  uint64_t waiting_ = 0;
  std::vector<Duration> waits_;
  Figures figures_;
};

Figures Print(const Scenario& scenario, const std::string& limit, const Figures& figures) {
  std::printf("%-36s %-14s refused %6.2f%%  in time %6.2f%%  p99 %4ld ms\n", scenario.name.c_str(),
              limit.c_str(), figures.refused_percent(), figures.in_time_percent(),
              static_cast<long>(figures.p99 / milliseconds(1)));
  return figures;
}

Figures Unlimited(const Scenario& scenario) {
  return Print(scenario, "none", Model(scenario).Run());
}

// By somebody who knows the upstream.
Figures Fixed(const Scenario& scenario) {
  Model model(scenario);
  model.admits = [](TimePoint, uint64_t waiting) { return waiting < 10 * kSlots; };
  return Print(scenario, "requests: 160", model.Run());
}

Figures Limited(const Scenario& scenario, Duration max_wait = milliseconds(250)) {
  CircuitBreakerConfig config;
  config.max_wait = max_wait;
  WaitLimiter limiter(config);
  Model model(scenario);
  model.admits = [&](TimePoint now, uint64_t) { return limiter.Admits(now); };
  model.begun = [&] { limiter.OnBegin(); };
  model.answered = [&](Duration waited, TimePoint now) { limiter.OnAnswer(waited, now); };
  return Print(scenario, "max_wait", model.Run());
}

constexpr double kCapacity = kSlots / 0.010;  // per second, of answers that take 10 ms

std::function<double(Duration)> Steady(double rate) {
  return [=](Duration) { return rate; };
}
Duration TenMs(Duration, Randomness& random) { return Exponential(milliseconds(10), random); }
// Most are fast, and some take a hundred times as long.
Duration Mixed(Duration, Randomness& random) {
  return random() % 20 == 0 ? milliseconds(500) : Exponential(milliseconds(5), random);
}
constexpr double kMixedCapacity = kSlots / (0.05 * 0.5 + 0.95 * 0.005);

// ---- an upstream that can do what it gets

TEST(WaitLimiterTest, RefusesNobodyWithoutNeed) {
  const std::vector<Scenario> healthy = {
      {"60% of what it can do", Steady(0.6 * kCapacity), TenMs},
      {"70%, 1 in 20 takes 500 ms", Steady(0.7 * kMixedCapacity), Mixed},
      {"30%, 2.5 times slower from 20 s", Steady(0.3 * kCapacity),
       [](Duration now, Randomness& random) {
         return Exponential(now > seconds(20) ? milliseconds(25) : milliseconds(10), random);
       }},
      {"next to nothing, 60% from 20 s",
       [](Duration now) { return (now > seconds(20) ? 0.6 : 0.001) * kCapacity; }, TenMs},
      {"4 times what it can do, for 50 ms",
       [](Duration now) { return (now % seconds(1) < milliseconds(50) ? 4 : 0.02) * kCapacity; },
       TenMs},
  };
  for (const Scenario& scenario : healthy) {
    Unlimited(scenario);
    Fixed(scenario);
    EXPECT_EQ(Limited(scenario).refused, 0u) << scenario.name;
  }
}

// ---- one that cannot

TEST(WaitLimiterTest, KeepsAnOverloadedUpstreamAnsweringInTime) {
  const std::vector<Scenario> overload = {
      {"150%", Steady(1.5 * kCapacity), TenMs},
      {"150%, 1 in 20 takes 500 ms", Steady(1.5 * kMixedCapacity), Mixed},
      {"60%, 200% for 5 s",
       [](Duration now) { return (now > seconds(10) && now < seconds(15) ? 2 : 0.6) * kCapacity; },
       TenMs},
      {"60%, 10 times slower from 20 s", Steady(0.6 * kCapacity),
       [](Duration now, Randomness& random) {
         return Exponential(milliseconds(now > seconds(20) ? 100 : 10), random);
       }},
      {"60%, 10 times slower for 10 s", Steady(0.6 * kCapacity),
       [](Duration now, Randomness& random) {
         const bool slow = now > seconds(20) && now < seconds(30);
         return Exponential(milliseconds(slow ? 100 : 10), random);
       }},
  };
  for (const Scenario& scenario : overload) {
    const double without = Unlimited(scenario).in_time_percent();
    const double fixed = Fixed(scenario).in_time_percent();
    const double ours = Limited(scenario).in_time_percent();
    EXPECT_GT(ours, without + 5) << scenario.name;
    EXPECT_GT(ours, fixed - 1) << scenario.name << ": as good as one that was told";
  }
}

// ---- edges

class WaitLimiterEdges : public testing::Test {
 protected:
  WaitLimiterEdges() {
    config_.max_wait = milliseconds(100);
    config_.admit_always = 4;
  }
  bool Ask() {
    const bool admitted = limiter_.Admits(now_);
    if (admitted) limiter_.OnBegin();
    return admitted;
  }
  int AskFor(int count) {
    int admitted = 0;
    for (int i = 0; i < count; ++i) admitted += Ask() ? 1 : 0;
    return admitted;
  }

  CircuitBreakerConfig config_;
  WaitLimiter limiter_{config_};
  TimePoint now_ = TimePoint(seconds(1000));
};

TEST_F(WaitLimiterEdges, IsOffUnlessAskedFor) {
  EXPECT_TRUE(limiter_.on());
  const CircuitBreakerConfig none;
  EXPECT_FALSE(WaitLimiter(none).on());
}

TEST_F(WaitLimiterEdges, AnUpstreamThatStandsStillGetsNoMore) {
  EXPECT_EQ(AskFor(50), 50) << "nothing is known";
  now_ += milliseconds(60);
  EXPECT_TRUE(Ask()) << "they have not waited for long";
  now_ += milliseconds(60);
  EXPECT_FALSE(Ask());
  for (int i = 0; i < 51; ++i) limiter_.OnAnswer(milliseconds(500), now_);
  EXPECT_EQ(AskFor(10), 4) << "they have waited long, but so many always may";
}

// A few that wait for long, such as long polls, say nothing of how many may.
TEST_F(WaitLimiterEdges, AFewThatWaitForLongTurnNobodyAway) {
  EXPECT_EQ(AskFor(4), 4);
  now_ += seconds(30);
  EXPECT_EQ(AskFor(50), 50);
}

TEST_F(WaitLimiterEdges, WhoLeavesMakesRoom) {
  EXPECT_EQ(AskFor(50), 50);
  now_ += seconds(1);
  EXPECT_FALSE(Ask());
  for (int i = 0; i < 50; ++i) limiter_.OnLeft();
  EXPECT_EQ(AskFor(10), 4);
  for (int i = 0; i < 4; ++i) limiter_.OnLeft();
  now_ += seconds(1);
  EXPECT_EQ(AskFor(10), 10) << "nobody is there who waits for long";
}

TEST_F(WaitLimiterEdges, RestIsNoRate) {
  EXPECT_EQ(AskFor(20), 20);
  now_ += milliseconds(10);
  for (int i = 0; i < 20; ++i) limiter_.OnAnswer(milliseconds(10), now_);
  now_ += seconds(3600);
  EXPECT_EQ(AskFor(100), 100);
}

}  // namespace
}  // namespace sluice
