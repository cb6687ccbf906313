#include "lifecycle/phase.h"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>
#include <utility>

namespace sluice {
namespace {

using P = Phase;
using E = PhaseEvent;

// Written down a second time, by hand: every pair that is not here must lead nowhere.
const std::map<std::pair<Phase, PhaseEvent>, Phase> kExpected = {
    {{P::kStarting, E::kStarted}, P::kReady},
    {{P::kStarting, E::kDrainNow}, P::kDraining},
    {{P::kReady, E::kDrain}, P::kLameDuck},
    {{P::kReady, E::kDrainNow}, P::kDraining},
    {{P::kReady, E::kHandOver}, P::kHandingOver},
    {{P::kLameDuck, E::kDrainNow}, P::kDraining},
    {{P::kLameDuck, E::kUndrain}, P::kReady},
    {{P::kDraining, E::kPhaseOver}, P::kStoppingBackground},
    {{P::kStoppingBackground, E::kPhaseOver}, P::kFlushing},
    {{P::kFlushing, E::kPhaseOver}, P::kReleasing},
    {{P::kReleasing, E::kPhaseOver}, P::kExited},
    {{P::kHandingOver, E::kDrainNow}, P::kDraining},
    {{P::kHandingOver, E::kHandOverFailed}, P::kReady},
};

TEST(PhaseTest, EveryStateWithEveryEvent) {
  size_t legal = 0;
  for (size_t p = 0; p < kPhaseCount; ++p) {
    for (size_t e = 0; e < kPhaseEventCount; ++e) {
      const auto phase = static_cast<Phase>(p);
      const auto event = static_cast<PhaseEvent>(e);
      const auto next = NextPhase(phase, event);
      const auto expected = kExpected.find({phase, event});
      const std::string what =
          std::string(PhaseName(phase)) + " on " + std::string(PhaseEventName(event));
      if (expected == kExpected.end()) {
        EXPECT_FALSE(next.has_value()) << what << " leads to " << PhaseName(*next);
      } else {
        ++legal;
        ASSERT_TRUE(next.has_value()) << what << " leads nowhere";
        EXPECT_EQ(PhaseName(*next), PhaseName(expected->second)) << what;
      }
    }
  }
  EXPECT_EQ(legal, kExpected.size());
}

TEST(PhaseTest, NothingLeadsOutOfExitedOrBackPastDraining) {
  for (size_t e = 0; e < kPhaseEventCount; ++e) {
    EXPECT_FALSE(NextPhase(P::kExited, static_cast<PhaseEvent>(e)));
    for (const Phase phase : {P::kDraining, P::kStoppingBackground, P::kFlushing, P::kReleasing}) {
      const auto next = NextPhase(phase, static_cast<PhaseEvent>(e));
      EXPECT_GT(next.value_or(P::kExited), phase) << PhaseName(phase);
    }
  }
}

TEST(PhaseTest, NamesAreDistinct) {
  std::set<std::string_view> phases, events;
  for (size_t p = 0; p < kPhaseCount; ++p) phases.insert(PhaseName(static_cast<Phase>(p)));
  for (size_t e = 0; e < kPhaseEventCount; ++e) {
    events.insert(PhaseEventName(static_cast<PhaseEvent>(e)));
  }
  EXPECT_EQ(phases.size(), kPhaseCount);
  EXPECT_EQ(events.size(), kPhaseEventCount);
  EXPECT_EQ(PhaseName(P::kLameDuck), "lame_duck");
  EXPECT_EQ(PhaseName(P::kStoppingBackground), "stopping_background");
}

TEST(PhaseTest, OnlyServingPhasesAreReady) {
  for (size_t p = 0; p < kPhaseCount; ++p) {
    const auto phase = static_cast<Phase>(p);
    EXPECT_EQ(IsReady(phase), phase == P::kReady || phase == P::kHandingOver) << PhaseName(phase);
  }
}

}  // namespace
}  // namespace sluice
