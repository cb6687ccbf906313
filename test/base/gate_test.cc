#include "base/gate.h"

#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "base/random.h"

namespace sluice {
namespace {

TEST(GateTest, CountsPasses) {
  Gate gate;
  EXPECT_EQ(gate.passes(), 0u);
  {
    const Gate::Pass first = gate.Enter();
    const std::optional<Gate::Pass> second = gate.TryEnter();
    ASSERT_TRUE(second.has_value());
    EXPECT_TRUE(second->held());
    EXPECT_EQ(gate.passes(), 2u);
  }
  EXPECT_EQ(gate.passes(), 0u);
}

TEST(GateTest, AnnouncesAtOnceWhenEmpty) {
  Gate gate;
  int announced = 0;
  gate.Close([&] { ++announced; });
  EXPECT_EQ(announced, 1);
  EXPECT_TRUE(gate.closed());
}

TEST(GateTest, AnnouncesWithTheLastRelease) {
  Gate gate;
  int announced = 0;
  Gate::Pass first = gate.Enter();
  Gate::Pass second = gate.Enter();
  gate.Close([&] { ++announced; });
  EXPECT_EQ(announced, 0);
  first.Release();
  EXPECT_EQ(announced, 0);
  second.Release();
  EXPECT_EQ(announced, 1);
  second.Release();  // releasing twice is releasing once
  EXPECT_EQ(announced, 1);
}

TEST(GateTest, AdmitsNothingNewOnceClosed) {
  Gate gate;
  const Gate::Pass pass = gate.Enter();
  gate.Close([] {});
  EXPECT_FALSE(gate.TryEnter().has_value());
  EXPECT_EQ(gate.passes(), 1u);
}

TEST(GateTest, ForcedPassDelaysTheAnnouncement) {
  Gate gate;
  int announced = 0;
  Gate::Pass first = gate.Enter();
  gate.Close([&] { ++announced; });
  Gate::Pass late = gate.Enter();
  first.Release();
  EXPECT_EQ(announced, 0);
  late.Release();
  EXPECT_EQ(announced, 1);
}

TEST(GateTest, ForcedPassAfterTheAnnouncementDoesNotRepeatIt) {
  Gate gate;
  int announced = 0;
  gate.Close([&] { ++announced; });
  gate.Enter().Release();
  EXPECT_EQ(announced, 1);
}

TEST(GateTest, OpenTakesTheAnnouncementBack) {
  Gate gate;
  int announced = 0;
  Gate::Pass pass = gate.Enter();
  gate.Close([&] { ++announced; });
  gate.Open();
  EXPECT_FALSE(gate.closed());
  EXPECT_TRUE(gate.TryEnter().has_value());
  pass.Release();
  EXPECT_EQ(announced, 0);
  gate.Close([&] { announced += 10; });
  EXPECT_EQ(announced, 10);
}

TEST(GateTest, MovingAPassKeepsTheCount) {
  Gate gate;
  Gate::Pass first = gate.Enter();
  Gate::Pass second = std::move(first);
  EXPECT_FALSE(first.held());  // NOLINT(bugprone-use-after-move): what is asserted
  EXPECT_TRUE(second.held());
  EXPECT_EQ(gate.passes(), 1u);
}

TEST(GateTest, AssigningReleasesThePassThatWasHeld) {
  Gate gate;
  Gate other;
  Gate::Pass pass = gate.Enter();
  pass = other.Enter();
  EXPECT_EQ(gate.passes(), 0u);
  EXPECT_EQ(other.passes(), 1u);
  Gate::Pass& self = pass;
  pass = std::move(self);
  EXPECT_TRUE(pass.held());
  EXPECT_EQ(other.passes(), 1u);
}

TEST(GateTest, MayBeDestroyedByItsAnnouncement) {
  auto gate = std::make_unique<Gate>();
  Gate::Pass pass = gate->Enter();
  gate->Close([&] { gate.reset(); });
  pass.Release();
  EXPECT_EQ(gate, nullptr);
}

TEST(GateTest, MayBeReopenedByItsAnnouncement) {
  Gate gate;
  Gate::Pass pass = gate.Enter();
  gate.Close([&] { gate.Open(); });
  pass.Release();
  EXPECT_FALSE(gate.closed());
  EXPECT_TRUE(gate.TryEnter().has_value());
}

// Against a model: whatever the order, it announces exactly when it is closed and becomes empty.
TEST(GateTest, AgreesWithAModelOnRandomOperations) {
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    Random random(seed);
    Gate gate;
    std::vector<Gate::Pass> passes;
    bool closed = false;
    bool owed = false;  // an announcement
    int announced = 0;
    int expected = 0;
    const auto settle = [&] {
      if (closed && owed && passes.empty()) {
        ++expected;
        owed = false;
      }
    };
    for (int step = 0; step < 300; ++step) {
      switch (random.Below(6)) {
        case 0:
        case 1:
          if (auto pass = gate.TryEnter()) {
            ASSERT_FALSE(closed) << "seed " << seed << " step " << step;
            passes.push_back(std::move(*pass));
          } else {
            ASSERT_TRUE(closed) << "seed " << seed << " step " << step;
          }
          break;
        case 2:
        case 3:
          if (!passes.empty()) {
            std::swap(passes[random.Below(passes.size())], passes.back());
            passes.pop_back();
            settle();
          }
          break;
        case 4:
          if (!closed) {
            closed = owed = true;
            if (passes.empty()) {
              ++expected;
              owed = false;
            }
            gate.Close([&] { ++announced; });
          }
          break;
        case 5:
          closed = owed = false;
          gate.Open();
          break;
      }
      ASSERT_EQ(gate.passes(), passes.size()) << "seed " << seed << " step " << step;
      ASSERT_EQ(announced, expected) << "seed " << seed << " step " << step;
    }
    gate.Open();  // the last passes announce nothing to variables that are gone
    passes.clear();
  }
}

}  // namespace
}  // namespace sluice
