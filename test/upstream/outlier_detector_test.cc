// Which endpoints are set aside, for how long, and when that is forgotten.
#include "upstream/outlier_detector.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <string_view>
#include <vector>

namespace sluice {
namespace {

using std::chrono::seconds;
using testing::ElementsAre;
using testing::IsEmpty;

const TimePoint kNow = TimePoint(seconds(1000));

class OutlierTest : public ::testing::Test {
 protected:
  // The rules that fired, one for each result.
  std::vector<std::string_view> Meets(std::initializer_list<Outcome> outcomes) {
    std::vector<std::string_view> fired;
    for (const Outcome outcome : outcomes) fired.push_back(detector.OnResult(record, outcome));
    return fired;
  }
  // A record of an interval.
  static OutlierRecord Of(uint32_t successes, uint32_t results) {
    OutlierRecord one;
    one.successes_of_interval = successes;
    one.results_of_interval = results;
    return one;
  }
  std::vector<size_t> Judge(std::vector<OutlierRecord> records) {
    std::vector<OutlierRecord*> pointers;
    for (OutlierRecord& one : records) pointers.push_back(&one);
    return detector.Judge(pointers, kNow);
  }

  OutlierConfig config{.consecutive_connect_failures = 3,
                       .consecutive_gateway_failures = 3,
                       .consecutive_5xx = 3,
                       .success_rate_margin = 20,
                       .success_rate_requests = 100};
  OutlierDetector detector{config};
  OutlierRecord record;
};

constexpr Outcome kSuccess = Outcome::kSuccess;
constexpr Outcome k5xx = Outcome::k5xx;
constexpr Outcome kGateway = Outcome::kGatewayFailure;
constexpr Outcome kConnect = Outcome::kConnectFailure;

TEST_F(OutlierTest, ARuleFiresWhenItsCountIsReachedAndBeginsAnew) {
  EXPECT_THAT(Meets({k5xx, k5xx, k5xx, k5xx, k5xx, k5xx}),
              ElementsAre("", "", "consecutive_5xx", "", "", "consecutive_5xx"));
}

TEST_F(OutlierTest, ASuccessBreaksTheRow) {
  EXPECT_THAT(Meets({k5xx, k5xx, kSuccess, k5xx, k5xx, k5xx}),
              ElementsAre("", "", "", "", "", "consecutive_5xx"));
}

TEST_F(OutlierTest, AFailureOfAGatewayIsA5xxToo) {
  config.consecutive_gateway_failures = 0;
  EXPECT_THAT(Meets({k5xx, kGateway, kConnect}), ElementsAre("", "", "consecutive_5xx"));
}

TEST_F(OutlierTest, A5xxOfTheApplicationIsNoFailureOfAGateway) {
  config.consecutive_5xx = 0;
  EXPECT_THAT(Meets({kGateway, kGateway, k5xx, kGateway, kGateway, kGateway}),
              ElementsAre("", "", "", "", "", "consecutive_gateway_failures"));
}

TEST_F(OutlierTest, AConnectionBreaksTheRowOfFailuresToConnect) {
  config.consecutive_5xx = config.consecutive_gateway_failures = 0;
  Meets({kConnect, kConnect});
  detector.OnConnected(record);
  EXPECT_THAT(Meets({kConnect, kConnect, kConnect}),
              ElementsAre("", "", "consecutive_connect_failures"));
}

TEST_F(OutlierTest, ARuleThatIsOffNeverFires) {
  config.consecutive_5xx = config.consecutive_gateway_failures = 0;
  config.consecutive_connect_failures = 0;
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(detector.OnResult(record, kConnect), "");
}

TEST_F(OutlierTest, TheOneWhoseRateIsBelowTheOthersIsAnOutlier) {
  EXPECT_THAT(Judge({Of(100, 100), Of(100, 100), Of(79, 100)}), ElementsAre(2));
  EXPECT_THAT(Judge({Of(100, 100), Of(100, 100), Of(80, 100)}), IsEmpty()) << "within the margin";
}

TEST_F(OutlierTest, ARateNeedsEnoughRequestsAndOthersToBeComparedWith) {
  EXPECT_THAT(Judge({Of(100, 100), Of(100, 100), Of(0, 99)}), IsEmpty());
  EXPECT_THAT(Judge({Of(100, 100), Of(0, 100)}), IsEmpty());
}

TEST_F(OutlierTest, AClusterThatIsIllAsAWholeHasNoOutlier) {
  EXPECT_THAT(Judge({Of(10, 100), Of(12, 100), Of(8, 100)}), IsEmpty());
}

TEST_F(OutlierTest, EveryIntervalBeginsAnew) {
  std::array<OutlierRecord, 3> records = {Of(100, 100), Of(100, 100), Of(0, 100)};
  const std::array<OutlierRecord*, 3> pointers = {&records[0], &records[1], &records[2]};
  EXPECT_THAT(detector.Judge(pointers, kNow), ElementsAre(2));
  EXPECT_THAT(detector.Judge(pointers, kNow), IsEmpty());
}

TEST_F(OutlierTest, AnEjectionGrowsWithEachUpToALimit) {
  config.base_ejection = seconds(5);
  config.max_ejection = seconds(12);
  for (const int expected : {5, 10, 12, 12}) {
    ASSERT_TRUE(detector.Eject(record, kNow, 0, 2));
    EXPECT_EQ(record.ejected_until, kNow + seconds(expected));
  }
}

TEST_F(OutlierTest, AnEjectionIsForgottenInAWholeIntervalWithoutOne) {
  config.base_ejection = seconds(5);
  config.interval = seconds(10);
  ASSERT_TRUE(detector.Eject(record, kNow, 0, 2));
  ASSERT_TRUE(detector.Eject(record, kNow, 0, 2));
  const std::array<OutlierRecord*, 1> all = {&record};
  detector.Judge(all, kNow + seconds(9));
  EXPECT_EQ(record.ejections, 2u) << "it is still ejected";
  detector.Judge(all, kNow + seconds(19));
  EXPECT_EQ(record.ejections, 2u) << "it was, for a second of the interval";
  detector.Judge(all, kNow + seconds(20));
  EXPECT_EQ(record.ejections, 1u);
  detector.Judge(all, kNow + seconds(30));
  detector.Judge(all, kNow + seconds(40));
  EXPECT_EQ(record.ejections, 0u);
}

// Base and interval as they are by default, where an ejection is over before the interval is.
TEST_F(OutlierTest, AnEjectionGrowsForOneThatIsAnOutlierWheneverItIsBack) {
  std::array<OutlierRecord, 3> records;
  const std::array<OutlierRecord*, 3> pointers = {&records[0], &records[1], &records[2]};
  std::vector<int64_t> lengths;
  TimePoint now = kNow;
  for (int interval = 0; interval < 20; ++interval, now += config.interval) {
    const bool back = records[2].ejected_until < now;
    records[0].successes_of_interval = records[0].results_of_interval = 100;
    records[1].successes_of_interval = records[1].results_of_interval = 100;
    records[2].results_of_interval = back ? 100 : 0;
    for (const size_t place : detector.Judge(pointers, now)) {
      ASSERT_TRUE(detector.Eject(records[place], now, 0, 3));
      lengths.push_back(
          std::chrono::duration_cast<seconds>(records[place].ejected_until - now).count());
    }
  }
  ASSERT_GE(lengths.size(), 5u);
  lengths.resize(5);
  EXPECT_THAT(lengths, ElementsAre(5, 10, 15, 20, 25));
}

TEST_F(OutlierTest, OnlySoManyAreEjectedAtATime) {
  config.max_ejected_percent = 50;
  EXPECT_TRUE(detector.Eject(record, kNow, 1, 4));
  EXPECT_FALSE(detector.Eject(record, kNow, 2, 4));
  config.max_ejected_percent = 10;
  EXPECT_TRUE(detector.Eject(record, kNow, 0, 2)) << "one always may be";
  EXPECT_FALSE(detector.Eject(record, kNow, 1, 2));
  EXPECT_FALSE(detector.Eject(record, kNow, 0, 1)) << "but for the only one";
  config.max_ejected_percent = 0;
  EXPECT_FALSE(detector.Eject(record, kNow, 0, 10));
}

}  // namespace
}  // namespace sluice
