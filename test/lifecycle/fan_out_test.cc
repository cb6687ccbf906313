#include "lifecycle/fan_out.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lifecycle/fake_drainable.h"

namespace sluice {
namespace {

using testing::ElementsAre;

TEST(FanOutTest, EveryPartIsToldEverything) {
  FakeDrainable a, b;
  FanOut both({&a, &b});
  both.EnterLameDuck({});
  both.LeaveLameDuck();
  both.BeginDrain({}, [] {});
  both.Cut(CutReason::kDeadline);
  EXPECT_THAT(a.calls, ElementsAre("lame_duck", "back", "drain everything", "cut deadline"));
  EXPECT_EQ(a.calls, b.calls);
}

TEST(FanOutTest, DoneWhenTheLastPartIs) {
  FakeDrainable a, b, c;
  a.SetInFlight(1);
  b.SetInFlight(2);
  int done = 0;
  FanOut all({&a, &b, &c});
  all.BeginDrain({}, [&] { ++done; });
  EXPECT_EQ(done, 0);
  b.FinishInbound();
  EXPECT_EQ(done, 0);
  a.FinishInbound();
  EXPECT_EQ(done, 1);
}

TEST(FanOutTest, APartThatIsDoneTwiceDoesNotAnswerForAnother) {
  FakeDrainable a, b;
  b.SetInFlight(1);
  int done = 0;
  FanOut both({&a, &b});
  both.BeginDrain({}, [&] { ++done; });
  a.CallEveryDoneAgain();
  a.CallEveryDoneAgain();
  EXPECT_EQ(done, 0);
  b.FinishInbound();
  EXPECT_EQ(done, 1);
  b.CallEveryDoneAgain();
  EXPECT_EQ(done, 1);
}

TEST(FanOutTest, EachCallHasItsOwnDone) {
  FakeDrainable a, b;
  a.SetInFlight(1, 1);
  int inbound = 0, everything = 0;
  FanOut both({&a, &b});
  both.BeginDrain({.scope = {.inbound = true, .outbound = false}}, [&] { ++inbound; });
  both.BeginDrain({}, [&] { ++everything; });
  a.FinishInbound();
  EXPECT_EQ(inbound, 1);
  EXPECT_EQ(everything, 0);
  a.FinishOutbound();
  EXPECT_EQ(inbound, 1);
  EXPECT_EQ(everything, 1);
}

TEST(FanOutTest, ProgressIsTheSumOnceAllHaveAnswered) {
  FakeDrainable a, b;
  a.SetInFlight(3);
  a.progress.connections = 5;
  b.SetInFlight(4);
  b.progress.told = 2;
  b.answers = false;
  FanOut both({&a, &b});
  std::vector<DrainProgress> seen;
  both.Inspect([&](const DrainProgress& progress) { seen.push_back(progress); });
  EXPECT_TRUE(seen.empty());
  ASSERT_EQ(b.unanswered.size(), 1u);
  b.unanswered[0](b.progress);
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(seen[0].in_flight_total(), 7u);
  EXPECT_EQ(seen[0].connections, 5u);
  EXPECT_EQ(seen[0].told, 2u);
  b.unanswered[0](b.progress);
  EXPECT_EQ(seen.size(), 1u);
}

TEST(FanOutTest, WithoutPartsEverythingIsDoneAtOnce) {
  FanOut none({});
  int done = 0, reports = 0;
  none.BeginDrain({}, [&] { ++done; });
  none.Inspect([&](const DrainProgress& progress) {
    ++reports;
    EXPECT_EQ(progress.in_flight_total(), 0u);
  });
  EXPECT_EQ(done, 1);
  EXPECT_EQ(reports, 1);
}

TEST(FanOutTest, AnAnswerMayOutliveTheFanOut) {
  FakeDrainable a;
  a.answers = false;
  int reports = 0;
  {
    FanOut one({&a});
    one.Inspect([&](const DrainProgress&) { ++reports; });
  }
  a.unanswered[0](a.progress);
  EXPECT_EQ(reports, 1);
}

}  // namespace
}  // namespace sluice
