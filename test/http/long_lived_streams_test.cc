#include "http/long_lived_streams.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "support/fake_stream.h"
#include "support/sim_loop.h"

namespace sluice {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;

bool Everything(const RequestRecord&, const DownstreamInfo&) { return true; }

StreamFilter OfRoute(std::string_view route) {
  return
      [route](const RequestRecord& record, const DownstreamInfo&) { return record.route == route; };
}

class LongLivedStreamsTest : public testing::Test {
 protected:
  class Stream final : public LongLivedStream {
   public:
    Stream(LongLivedStreamsTest& test, int number, std::string_view route)
        : test_(test), number_(number), fake_(test.loop_, "GET", "/events") {
      fake_.record().route = route;
    }
    ServerStream& stream() override { return fake_; }
    bool Tell() override {
      test_.told_.push_back(number_);
      test_.told_at_.push_back(test_.loop_.Now() - test_.begun_);
      if (on_tell) on_tell();
      return !is_young;
    }

    std::function<void()> on_tell;
    bool is_young = false;

   private:
    LongLivedStreamsTest& test_;
    const int number_;
    FakeStream fake_;
  };

  explicit LongLivedStreamsTest(uint64_t seed = 1) : loop_(seed) {}

  Stream& Add(std::string_view route = "all") {
    all_.push_back(std::make_unique<Stream>(*this, static_cast<int>(all_.size()), route));
    streams_.Add(*all_.back());
    return *all_.back();
  }
  void AddMany(int count) {
    for (int i = 0; i < count; ++i) Add();
  }

  LongLivedDrain& Begin(Duration spread, StreamFilter concerns = Everything) {
    begun_ = loop_.Now();
    drain_ = &streams_.BeginDrain(std::move(concerns), spread);
    return *drain_;
  }

  // How many were told until then.
  size_t ToldWithin(Duration span) const {
    return static_cast<size_t>(std::count_if(told_at_.begin(), told_at_.end(),
                                             [span](Duration at) { return at <= span; }));
  }

  SimLoop loop_;
  LongLivedStreams streams_{loop_};
  LongLivedDrain* drain_ = nullptr;  // that began last
  std::vector<std::unique_ptr<Stream>> all_;
  std::vector<int> told_;
  std::vector<Duration> told_at_;
  TimePoint begun_{};
};

TEST_F(LongLivedStreamsTest, TellsNobodyWithoutADrain) {
  AddMany(3);
  loop_.RunFor(1h);
  EXPECT_THAT(told_, IsEmpty());
}

TEST_F(LongLivedStreamsTest, TellsEachOnceAtAnEvenPace) {
  AddMany(1000);
  Begin(10s);
  loop_.RunFor(1h);
  EXPECT_EQ(std::set<int>(told_.begin(), told_.end()).size(), 1000u);
  EXPECT_EQ(told_.size(), 1000u);
  EXPECT_EQ(drain_->told, 1000u);
  EXPECT_EQ(drain_->left, 0u);
  for (int second = 1; second < 10; ++second) {
    EXPECT_NEAR(static_cast<double>(ToldWithin(second * 1s)), second * 100, 5) << second;
  }
  EXPECT_EQ(ToldWithin(10s), 1000u);
}

TEST_F(LongLivedStreamsTest, TellsInRandomOrder) {
  AddMany(100);
  Begin(1s);
  loop_.RunFor(1s);
  ASSERT_EQ(told_.size(), 100u);
  int in_order = 0;
  for (size_t i = 1; i < told_.size(); ++i) in_order += told_[i] > told_[i - 1];
  EXPECT_GT(in_order, 25);
  EXPECT_LT(in_order, 75);
}

TEST_F(LongLivedStreamsTest, FewNeedLessThanTheSpread) {
  AddMany(5);
  Begin(1h);
  loop_.RunFor(100ms);
  EXPECT_EQ(told_.size(), 5u);
}

TEST_F(LongLivedStreamsTest, OneIsToldAtOnce) {
  Add();
  Begin(1h);
  loop_.RunFor(20ms);
  EXPECT_THAT(told_, ElementsAre(0));
}

TEST_F(LongLivedStreamsTest, WithoutASpreadNoTurnTellsTooMany) {
  AddMany(5000);
  Begin({});
  loop_.RunFor(5ms);
  EXPECT_LE(told_.size(), 64u);
  loop_.RunFor(200ms);
  EXPECT_EQ(told_.size(), 5000u);
  for (size_t i = 64; i < told_at_.size(); ++i) {
    ASSERT_GT(told_at_[i], told_at_[i - 64]) << "more than 64 in one turn";
  }
}

TEST_F(LongLivedStreamsTest, LateArrivalsAreToldToo) {
  Begin(10s);
  loop_.RunFor(5s);
  Add();
  loop_.RunFor(20ms);
  EXPECT_THAT(told_, ElementsAre(0));
  loop_.RunFor(1h);
  Add();
  loop_.RunFor(20ms);
  EXPECT_THAT(told_, ElementsAre(0, 1));
}

TEST_F(LongLivedStreamsTest, LateArrivalsWaitForTheirTurn) {
  AddMany(500);
  Begin(10s);
  loop_.RunFor(1s);
  AddMany(500);
  loop_.RunFor(1s);
  EXPECT_LT(told_.size(), 250u);
  loop_.RunFor(8s);
  EXPECT_EQ(told_.size(), 1000u);
}

TEST_F(LongLivedStreamsTest, WhoEndsInLineHasLeft) {
  AddMany(10);
  streams_.Remove(*all_[3]);  // before
  Begin(1s);
  for (const int i : {1, 5, 9}) streams_.Remove(*all_[static_cast<size_t>(i)]);
  streams_.Remove(*all_[5]);  // again
  loop_.RunFor(1s);
  EXPECT_EQ(told_.size(), 6u);
  EXPECT_EQ(drain_->told, 6u);
  EXPECT_EQ(drain_->left, 3u);
  for (const auto& stream : all_) streams_.Remove(*stream);
  EXPECT_EQ(drain_->left, 3u) << "those were told before they ended";
}

TEST_F(LongLivedStreamsTest, TheTurnOfWhoLeavesIsNotWaitedFor) {
  AddMany(1000);
  Begin(10s);
  for (size_t i = 0; i < 990; ++i) streams_.Remove(*all_[i]);
  loop_.RunFor(10s);
  EXPECT_EQ(told_.size(), 10u);
}

TEST_F(LongLivedStreamsTest, WhoIsNotReadyIsAskedAgain) {
  Stream& young = Add();
  young.is_young = true;
  Begin({});
  loop_.RunFor(100ms);
  EXPECT_GT(told_.size(), 2u);
  EXPECT_LE(told_.size(), 100u) << "now and then, not all the time";
  EXPECT_EQ(drain_->told, 0u);
  young.is_young = false;
  loop_.RunFor(10ms);
  EXPECT_EQ(drain_->told, 1u);
  told_.clear();
  loop_.RunFor(1h);
  EXPECT_THAT(told_, IsEmpty());
}

TEST_F(LongLivedStreamsTest, WhoIsNotReadyHoldsUpNobody) {
  for (int i = 0; i < 200; ++i) Add().is_young = true;
  AddMany(200);
  Begin(1s);
  loop_.RunFor(1100ms);
  EXPECT_EQ(drain_->told, 200u);
}

TEST_F(LongLivedStreamsTest, TellingOneMayEndOthers) {
  AddMany(50);
  for (size_t i = 0; i < 50; ++i) {
    all_[i]->on_tell = [this, i] {
      streams_.Remove(*all_[i]);
      streams_.Remove(*all_[(i + 1) % 50]);
      streams_.Remove(*all_[(i + 25) % 50]);
    };
  }
  Begin({});
  loop_.RunFor(1s);
  EXPECT_EQ(drain_->told + drain_->left, 50u);
  EXPECT_GE(told_.size(), 10u);
}

TEST_F(LongLivedStreamsTest, TellingOneMayBringOthers) {
  Add().on_tell = [this] { AddMany(3); };
  Begin({});
  loop_.RunFor(100ms);
  EXPECT_EQ(told_.size(), 4u);
}

TEST_F(LongLivedStreamsTest, ADrainConcernsWhomItPicks) {
  Add("a");
  Add("b");
  Begin({}, OfRoute("a"));
  loop_.RunFor(1s);
  EXPECT_THAT(told_, ElementsAre(0));
  Add("b");
  Add("a");
  loop_.RunFor(1s);
  EXPECT_THAT(told_, ElementsAre(0, 3));
}

TEST_F(LongLivedStreamsTest, TwoDrainsTellEachTheirOwn) {
  for (int i = 0; i < 10; ++i) Add(i % 2 == 0 ? "a" : "b");
  Begin({}, OfRoute("a"));
  Begin({}, Everything);
  loop_.RunFor(1s);
  EXPECT_EQ(std::set<int>(told_.begin(), told_.end()).size(), 10u);
  EXPECT_EQ(told_.size(), 10u);
}

TEST_F(LongLivedStreamsTest, WhoIsInLineWhenADrainIsTakenBackStays) {
  AddMany(1000);
  LongLivedDrain& drain = Begin(10s);
  loop_.RunFor(3s);
  const size_t told = told_.size();
  streams_.EndDrain(drain);
  Add();
  loop_.RunFor(1h);
  EXPECT_EQ(told_.size(), told);
  for (const auto& stream : all_) streams_.Remove(*stream);
}

TEST_F(LongLivedStreamsTest, ADrainThatIsTakenBackMayBeginAgain) {
  AddMany(100);
  LongLivedDrain& drain = Begin(10s);
  loop_.RunFor(500ms);
  streams_.EndDrain(drain);
  Begin({});
  loop_.RunFor(1s);
  EXPECT_EQ(std::set<int>(told_.begin(), told_.end()).size(), 100u);
  EXPECT_EQ(told_.size(), 100u) << "who was told once is at no home any more";
}

TEST_F(LongLivedStreamsTest, WhatOneDrainLetsGoAnotherTells) {
  for (int i = 0; i < 100; ++i) Add("a");
  LongLivedDrain& of_route = Begin(1h, OfRoute("a"));
  Begin(1s, Everything);
  streams_.EndDrain(of_route);
  loop_.RunFor(2s);
  EXPECT_EQ(told_.size(), 100u);
}

// ---- more than one turn shows to a drain: 4096

constexpr size_t kMany = 10000;

TEST_F(LongLivedStreamsTest, ManyAreShownInSlicesAndAllAreTold) {
  AddMany(kMany);
  Begin(10s);
  EXPECT_LT(drain_->waiting.size(), kMany);
  loop_.RunFor(5ms);
  EXPECT_EQ(drain_->waiting.size() + told_.size(), kMany);
  loop_.RunFor(11s);
  EXPECT_EQ(std::set<int>(told_.begin(), told_.end()).size(), kMany);
  EXPECT_EQ(told_.size(), kMany);
  EXPECT_EQ(drain_->told, kMany);
  EXPECT_EQ(drain_->left, 0u);
}

TEST_F(LongLivedStreamsTest, ManyAreToldAtAnEvenPaceToo) {
  AddMany(kMany);
  Begin(10s);
  loop_.RunFor(10s);
  for (int second = 1; second < 10; ++second) {
    EXPECT_NEAR(static_cast<double>(ToldWithin(second * 1s)), second * 1000, 20) << second;
  }
}

// Its stream may be over, so nobody asks any more whom it would have concerned.
TEST_F(LongLivedStreamsTest, WhoEndsBeforeADrainHasSeenItIsNotCounted) {
  AddMany(kMany);
  Begin(10s);
  const size_t shown = drain_->waiting.size();
  ASSERT_LT(shown, kMany);
  uint64_t left = 0;
  uint64_t ended = 0;
  for (size_t i = 0; i < kMany; i += 10) {  // some that were shown, some that were not
    streams_.Remove(*all_[i]);
    streams_.Remove(*all_[i]);  // again
    ++ended;
    if (i < shown) ++left;
  }
  EXPECT_EQ(drain_->left, left);
  loop_.RunFor(11s);
  EXPECT_EQ(drain_->left, left);
  EXPECT_EQ(drain_->told, kMany - ended);
  EXPECT_EQ(told_.size(), kMany - ended);
}

TEST_F(LongLivedStreamsTest, AllMayEndBeforeADrainHasSeenThem) {
  AddMany(kMany);
  Begin({});
  const size_t shown = drain_->waiting.size();
  for (const auto& stream : all_) streams_.Remove(*stream);
  EXPECT_EQ(drain_->left, shown);
  loop_.RunFor(1s);
  EXPECT_THAT(told_, IsEmpty());
  EXPECT_TRUE(drain_->waiting.empty());
}

TEST_F(LongLivedStreamsTest, WhomADrainDoesNotConcernDoesNotLeaveIt) {
  for (size_t i = 0; i < kMany; ++i) Add(i % 2 == 0 ? "a" : "b");
  Begin(10s, OfRoute("a"));
  for (size_t i = 0; i < 100; ++i) streams_.Remove(*all_[i]);
  EXPECT_EQ(drain_->left, 50u);
  loop_.RunFor(11s);
  EXPECT_EQ(drain_->told, kMany / 2 - 50);
  EXPECT_EQ(told_.size(), kMany / 2 - 50);
}

TEST_F(LongLivedStreamsTest, ADrainThatIsTakenBackBeforeAllHaveSeenItTellsNobody) {
  AddMany(kMany);
  LongLivedDrain& drain = Begin({});
  ASSERT_LT(drain.waiting.size(), kMany);
  streams_.EndDrain(drain);
  loop_.RunFor(1min);
  EXPECT_THAT(told_, IsEmpty());
  for (const auto& stream : all_) streams_.Remove(*stream);
}

TEST_F(LongLivedStreamsTest, ADrainThatIsTakenBackHalfShownMayBeginAgain) {
  AddMany(kMany);
  streams_.EndDrain(Begin(10s));
  Begin(1s);
  loop_.RunFor(1ms);
  streams_.EndDrain(*drain_);
  const size_t told = told_.size();
  Begin(1s);
  loop_.RunFor(3s);
  EXPECT_EQ(told_.size(), kMany);
  EXPECT_EQ(std::set<int>(told_.begin(), told_.end()).size(), kMany);
  EXPECT_EQ(drain_->told, kMany - told);
  EXPECT_EQ(drain_->left, 0u);
}

TEST_F(LongLivedStreamsTest, ASecondDrainTellsWhomTheFirstHadNotSeen) {
  for (size_t i = 0; i < kMany; ++i) Add(i % 2 == 0 ? "a" : "b");
  LongLivedDrain& of_route = Begin(5s, OfRoute("a"));
  LongLivedDrain& of_all = Begin(5s, Everything);
  loop_.RunFor(7s);
  EXPECT_EQ(std::set<int>(told_.begin(), told_.end()).size(), kMany);
  EXPECT_EQ(told_.size(), kMany) << "each once";
  EXPECT_EQ(of_route.told, kMany / 2);
  EXPECT_EQ(of_all.told, kMany / 2);
}

// What is shown last to the second waits for the first already.
TEST_F(LongLivedStreamsTest, ADrainThatConcernsNobodyHoldsUpNoOther) {
  AddMany(kMany);
  LongLivedDrain& drain = Begin(1s);
  loop_.RunFor(100ms);
  Begin(1s, OfRoute("another"));
  loop_.RunFor(3s);
  EXPECT_EQ(drain.told, kMany);
}

TEST_F(LongLivedStreamsTest, WhatOneDrainLetsGoHalfShownAnotherTells) {
  for (size_t i = 0; i < kMany; ++i) Add("a");
  LongLivedDrain& of_route = Begin(1h, OfRoute("a"));
  LongLivedDrain& of_all = Begin(1s, Everything);
  streams_.Remove(*all_[0]);
  EXPECT_EQ(of_route.left, 1u);
  streams_.EndDrain(of_route);
  streams_.Remove(*all_[1]);
  EXPECT_EQ(of_all.left, 1u);
  loop_.RunFor(3s);
  EXPECT_EQ(of_all.told, kMany - 2);
  EXPECT_EQ(told_.size(), kMany - 2);
}

TEST_F(LongLivedStreamsTest, WhoComesWhileOthersAreShownIsToldToo) {
  AddMany(kMany);
  Begin(1s);
  AddMany(10);
  for (size_t i = kMany; i < kMany + 5; ++i) streams_.Remove(*all_[i]);
  loop_.RunFor(3s);
  EXPECT_EQ(drain_->left, 5u);
  EXPECT_EQ(drain_->told, kMany + 5);
}

}  // namespace
}  // namespace sluice
