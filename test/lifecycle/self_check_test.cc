// When a process takes itself out of the way.
#include "lifecycle/self_check.h"

#include <gtest/gtest.h>

#include <memory>

#include "base/metrics.h"
#include "support/sim_loop.h"

namespace sluice {
namespace {

using std::chrono::seconds;

class SelfCheckTest : public ::testing::Test {
 protected:
  void Build(SelfDrainAction action) {
    config.action = action;
    check = std::make_unique<SelfCheck>(loop, config, shard, [this] { ++drains; });
  }
  void Start(SelfDrainAction action) {
    Build(action);
    loop.Dispatch([this] { check->Begin(); });
  }
  void Use(SelfDrainAction action) {
    config.action = action;
    loop.Dispatch([this] { check->SetConfig(config); });
  }
  void Reach(size_t critical, size_t out_of_reach) {
    loop.Dispatch([&] { check->OnReach(critical, out_of_reach); });
  }

  SimLoop loop{1};
  Metrics metrics;
  MetricShard& shard = metrics.AddShard();
  SelfDrainConfig config{.percent = 50, .after = seconds(30)};
  std::unique_ptr<SelfCheck> check;
  int drains = 0;
};

TEST_F(SelfCheckTest, IsOffUnlessItIsAskedFor) {
  Start(SelfDrainAction::kOff);
  Reach(2, 2);
  loop.RunFor(seconds(100));
  EXPECT_FALSE(check->unready());
  EXPECT_EQ(drains, 0);
}

TEST_F(SelfCheckTest, IsUnreadyForAsLongAsItLasts) {
  Start(SelfDrainAction::kUnready);
  Reach(2, 1);
  loop.RunFor(seconds(29));
  EXPECT_FALSE(check->unready());
  loop.RunFor(seconds(2));
  EXPECT_TRUE(check->unready());
  Reach(2, 0);
  EXPECT_FALSE(check->unready());
  EXPECT_EQ(drains, 0);
}

TEST_F(SelfCheckTest, ABreakBeginsTheWaitAnew) {
  Start(SelfDrainAction::kUnready);
  Reach(2, 1);
  loop.RunFor(seconds(20));
  Reach(2, 0);
  Reach(2, 1);
  loop.RunFor(seconds(20));
  EXPECT_FALSE(check->unready());
}

TEST_F(SelfCheckTest, FewerThanTheShareDoNotCount) {
  Start(SelfDrainAction::kUnready);
  Reach(3, 1);
  loop.RunFor(seconds(100));
  EXPECT_FALSE(check->unready());
  Reach(0, 0);
  loop.RunFor(seconds(100));
  EXPECT_FALSE(check->unready()) << "nothing is critical";
}

TEST_F(SelfCheckTest, DrainsOnceEachTimeItFails) {
  Start(SelfDrainAction::kDrain);
  for (int i = 1; i <= 3; ++i) {
    Reach(1, 1);
    loop.RunFor(seconds(100));
    Reach(1, 1);
    EXPECT_EQ(drains, i);
    Reach(1, 0);
  }
  EXPECT_FALSE(check->unready());
}

TEST_F(SelfCheckTest, WaitsForTheProcessToBeReady) {
  Build(SelfDrainAction::kDrain);
  Reach(1, 1);
  Use(SelfDrainAction::kDrain);
  loop.RunFor(seconds(100));
  EXPECT_EQ(drains, 0);
  loop.Dispatch([this] { check->Begin(); });
  loop.RunFor(seconds(29));
  EXPECT_EQ(drains, 0) << "the wait begins there, too";
  loop.RunFor(seconds(2));
  EXPECT_EQ(drains, 1);
}

TEST_F(SelfCheckTest, ANewConfigurationCounts) {
  Start(SelfDrainAction::kUnready);
  Reach(2, 2);
  loop.RunFor(seconds(31));
  EXPECT_TRUE(check->unready());
  Use(SelfDrainAction::kOff);
  EXPECT_FALSE(check->unready());
}

TEST_F(SelfCheckTest, AnotherActionCountsAtOnce) {
  Start(SelfDrainAction::kUnready);
  Reach(2, 2);
  loop.RunFor(seconds(31));
  Use(SelfDrainAction::kUnready);
  EXPECT_EQ(drains, 0);
  Use(SelfDrainAction::kDrain);
  EXPECT_EQ(drains, 1);
  EXPECT_FALSE(check->unready());
  config.after = seconds(60);
  Use(SelfDrainAction::kDrain);
  EXPECT_EQ(drains, 1) << "the action is the same";
  Use(SelfDrainAction::kUnready);
  EXPECT_TRUE(check->unready());
}

}  // namespace
}  // namespace sluice
