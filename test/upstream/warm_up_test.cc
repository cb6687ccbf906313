// The share of an endpoint that warms up.
#include "upstream/warm_up.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::seconds;

const TimePoint kSince = TimePoint(seconds(1000));

TEST(WarmUp, RisesEvenlyFromTheLeastToAll) {
  const SlowStartConfig config{.window = seconds(30), .min_percent = 10};
  EXPECT_EQ(WarmUpPercent(config, kSince, kSince), 10u);
  EXPECT_EQ(WarmUpPercent(config, kSince, kSince + seconds(10)), 40u);
  EXPECT_EQ(WarmUpPercent(config, kSince, kSince + seconds(15)), 55u);
  EXPECT_EQ(WarmUpPercent(config, kSince, kSince + seconds(30) - nanoseconds(1)), 99u);
  EXPECT_EQ(WarmUpPercent(config, kSince, kSince + seconds(30)), 100u);
  EXPECT_EQ(WarmUpPercent(config, kSince, kSince + seconds(3000)), 100u);
}

TEST(WarmUp, NeverFalls) {
  const SlowStartConfig config{.window = seconds(7), .min_percent = 1};
  uint32_t before = 0;
  for (Duration passed{}; passed <= seconds(8); passed += milliseconds(1)) {
    const uint32_t percent = WarmUpPercent(config, kSince, kSince + passed);
    ASSERT_GE(percent, before) << passed.count() << " ns";
    ASSERT_LE(percent, 100u) << passed.count() << " ns";
    before = percent;
  }
}

TEST(WarmUp, WithoutAWindowThereIsAllAtOnce) {
  EXPECT_EQ(WarmUpPercent({.window = Duration::zero()}, kSince, kSince), 100u);
}

TEST(WarmUp, MayBeginWithAll) {
  const SlowStartConfig config{.window = seconds(30), .min_percent = 100};
  for (const seconds passed : {seconds(0), seconds(15), seconds(29)}) {
    EXPECT_EQ(WarmUpPercent(config, kSince, kSince + passed), 100u);
  }
}

TEST(WarmUp, BeforeItBeginsThereIsTheLeast) {
  const SlowStartConfig config{.window = seconds(30), .min_percent = 10};
  EXPECT_EQ(WarmUpPercent(config, kSince, kSince - seconds(1)), 10u);
}

TEST(WarmUp, AVeryLongWindowDoesNotOverflow) {
  const SlowStartConfig config{.window = std::chrono::hours(24 * 365 * 100), .min_percent = 0};
  EXPECT_EQ(WarmUpPercent(config, kSince, kSince + std::chrono::hours(24 * 365 * 50)), 50u);
}

}  // namespace
}  // namespace sluice
