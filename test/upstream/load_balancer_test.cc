#include "upstream/load_balancer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <numeric>
#include <set>
#include <vector>

namespace sluice {
namespace {

using testing::Each;
using testing::ElementsAre;

std::vector<EndpointLoad> Weights(const std::vector<uint32_t>& weights) {
  std::vector<EndpointLoad> endpoints;
  for (uint32_t weight : weights) endpoints.push_back({weight, 0, true});
  return endpoints;
}

class Balanced {
 public:
  explicit Balanced(LoadBalancing policy, uint64_t seed = 1)
      : balancer_(LoadBalancer::Make(policy)), random_(seed) {}

  // The place picked, or -1.
  int Pick(const std::vector<EndpointLoad>& endpoints) {
    const auto picked = balancer_->Pick(endpoints, std::nullopt, random_);
    return picked ? static_cast<int>(*picked) : -1;
  }

  std::vector<int> Picks(const std::vector<EndpointLoad>& endpoints, int count) {
    std::vector<int> picks(static_cast<size_t>(count));
    std::generate(picks.begin(), picks.end(), [&] { return Pick(endpoints); });
    return picks;
  }

  // How often each is picked in `count` picks.
  std::vector<int> Counts(const std::vector<EndpointLoad>& endpoints, int count) {
    std::vector<int> counts(endpoints.size());
    for (int pick : Picks(endpoints, count)) ++counts.at(static_cast<size_t>(pick));
    return counts;
  }

 private:
  std::unique_ptr<LoadBalancer> balancer_;
  Random random_;
};

// How far `counts` is from what the weights say.
double ChiSquare(const std::vector<int>& counts, const std::vector<double>& shares) {
  const double total = std::accumulate(counts.begin(), counts.end(), 0);
  const double all_shares = std::accumulate(shares.begin(), shares.end(), 0.0);
  double sum = 0;
  for (size_t i = 0; i < counts.size(); ++i) {
    const double expected = total * shares[i] / all_shares;
    const double off = counts[i] - expected;
    sum += off * off / expected;
  }
  return sum;
}

// --- What both policies promise.

class BalancerTest : public testing::TestWithParam<LoadBalancing> {};
INSTANTIATE_TEST_SUITE_P(Policies, BalancerTest,
                         testing::Values(LoadBalancing::kRoundRobin, LoadBalancing::kLeastRequest));

TEST_P(BalancerTest, PicksNothingFromNothing) {
  Balanced balanced(GetParam());
  EXPECT_EQ(balanced.Pick({}), -1);
  EXPECT_EQ(balanced.Pick({{1, 0, false}}), -1);
  EXPECT_EQ(balanced.Pick({{0, 0, true}}), -1);
  EXPECT_EQ(balanced.Pick({{1, 0, false}, {0, 0, true}, {5, 3, false}}), -1);
}

TEST_P(BalancerTest, PicksTheOnlyOneUsable) {
  Balanced balanced(GetParam());
  EXPECT_EQ(balanced.Pick({{7, 100, true}}), 0);
  EXPECT_THAT(balanced.Picks({{1, 0, false}, {1, 100, true}, {0, 0, true}}, 50), Each(1));
}

TEST_P(BalancerTest, SkipsWhatIsNotUsableAndTakesItBack) {
  Balanced balanced(GetParam());
  std::vector<EndpointLoad> endpoints = Weights({1, 1, 1});
  balanced.Picks(endpoints, 10);
  endpoints[1].usable = false;
  const std::vector<int> without = balanced.Counts(endpoints, 1000);
  EXPECT_EQ(without[1], 0);
  EXPECT_NEAR(without[0], 500, 100);
  endpoints[1].usable = true;
  const std::vector<int> with = balanced.Counts(endpoints, 3000);
  EXPECT_THAT(with, Each(testing::AllOf(testing::Gt(800), testing::Lt(1200))));
}

TEST_P(BalancerTest, FollowsAClusterThatGrowsAndShrinks) {
  Balanced balanced(GetParam());
  for (size_t size : {3, 1, 5, 2, 0, 4}) {
    const std::vector<EndpointLoad> endpoints(size);
    if (size == 0) {
      EXPECT_EQ(balanced.Pick(endpoints), -1);
    } else {
      const std::vector<int> counts = balanced.Counts(endpoints, 1000);
      EXPECT_THAT(counts, Each(testing::Gt(0)));
    }
  }
}

TEST_P(BalancerTest, TakesTheLargestWeights) {
  Balanced balanced(GetParam());
  const auto endpoints = Weights({UINT32_MAX, UINT32_MAX, UINT32_MAX});
  const std::vector<int> counts = balanced.Counts(endpoints, 3000);
  EXPECT_THAT(counts, Each(testing::AllOf(testing::Gt(800), testing::Lt(1200))));
}

// Chi-square bounds below are exceeded by a true distribution once in a thousand seeds; the seeds
// are fixed.
TEST_P(BalancerTest, AnIdleClusterIsUsedByWeight) {
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    Balanced balanced(GetParam(), seed);
    EXPECT_LT(ChiSquare(balanced.Counts(Weights({1, 1, 1, 1}), 40'000), {1, 1, 1, 1}), 16.3)
        << seed;
    EXPECT_LT(ChiSquare(balanced.Counts(Weights({5, 1, 3, 11}), 40'000), {5, 1, 3, 11}), 16.3)
        << seed;
  }
}

// --- Round robin.

TEST(RoundRobinTest, IsExactInEveryCycleAndSpreadsOut) {
  const auto endpoints = Weights({5, 1, 1});
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    Balanced balanced(LoadBalancing::kRoundRobin, seed);
    std::vector<int> picks = balanced.Picks(endpoints, 70);
    for (size_t start = 0; start + 7 <= picks.size(); ++start) {
      const auto from = picks.begin() + static_cast<ptrdiff_t>(start);
      ASSERT_EQ(std::count(from, from + 7, 0), 5) << "seed " << seed << " at " << start;
      ASSERT_EQ(std::count(from, from + 7, 1), 1) << "seed " << seed << " at " << start;
    }
    // A cycle is a a b a c a a: where two meet there are four in a row, never the five of a naive
    // order.
    EXPECT_EQ(std::search_n(picks.begin(), picks.end(), 5, 0), picks.end()) << "seed " << seed;
  }
}

TEST(RoundRobinTest, EqualWeightsTakeTurns) {
  Balanced balanced(LoadBalancing::kRoundRobin);
  const std::vector<int> picks = balanced.Picks(Weights({100, 100, 100, 100}), 40);
  for (size_t i = 4; i < picks.size(); ++i) EXPECT_EQ(picks[i], picks[i - 4]);
  EXPECT_EQ(std::set<int>(picks.begin(), picks.begin() + 4).size(), 4u);
}

TEST(RoundRobinTest, WorkersDoNotStartTogether) {
  std::vector<int> first(4);
  for (uint64_t seed = 1; seed <= 4000; ++seed) {
    Balanced balanced(LoadBalancing::kRoundRobin, seed);
    ++first.at(static_cast<size_t>(balanced.Pick(Weights({1, 1, 1, 1}))));
  }
  EXPECT_LT(ChiSquare(first, {1, 1, 1, 1}), 16.3);
}

TEST(RoundRobinTest, OneThatWasAwayDoesNotCatchUp) {
  Balanced balanced(LoadBalancing::kRoundRobin);
  std::vector<EndpointLoad> endpoints = Weights({1, 1});
  endpoints[0].usable = false;
  balanced.Picks(endpoints, 1000);
  endpoints[0].usable = true;
  const std::vector<int> counts = balanced.Counts(endpoints, 10);
  EXPECT_THAT(counts, ElementsAre(5, 5));
}

// --- Least request.

TEST(LeastRequestTest, OfTwoTheLessLoadedIsPicked) {
  Balanced balanced(LoadBalancing::kLeastRequest);
  EXPECT_THAT(balanced.Picks({{1, 5, true}, {1, 4, true}}, 100), Each(1));
  EXPECT_THAT(balanced.Picks({{1, 3, true}, {1, 4, true}}, 100), Each(0));
}

TEST(LeastRequestTest, LoadIsMeasuredByWeight) {
  Balanced balanced(LoadBalancing::kLeastRequest);
  EXPECT_THAT(balanced.Picks({{1, 2, true}, {4, 7, true}}, 100), Each(1));
  EXPECT_THAT(balanced.Picks({{1, 2, true}, {4, 9, true}}, 100), Each(0));
}

TEST(LeastRequestTest, TheMostLoadedIsNeverPicked) {
  Balanced balanced(LoadBalancing::kLeastRequest);
  const std::vector<int> counts =
      balanced.Counts({{1, 1, true}, {1, 9, true}, {1, 2, true}, {1, 3, true}}, 12'000);
  EXPECT_EQ(counts[1], 0);
  // Of six equally likely pairs the least loaded wins its three, the next two, the next one.
  EXPECT_LT(ChiSquare({counts[0], counts[2], counts[3]}, {3, 2, 1}), 13.8);
}

// Requests of one slow endpoint pile up under round robin, not here.
TEST(LeastRequestTest, ASlowEndpointGetsLess) {
  Balanced balanced(LoadBalancing::kLeastRequest);
  Random random(7);
  std::vector<EndpointLoad> endpoints = Weights({1, 1, 1, 1});
  std::vector<int> counts(4);
  uint32_t worst = 0;
  for (int request = 0; request < 20'000; ++request) {
    const auto picked = static_cast<size_t>(balanced.Pick(endpoints));
    ++counts.at(picked);
    ++endpoints[picked].active;
    for (size_t i = 0; i < endpoints.size(); ++i) {
      // Each fast one ends a request in every second round, the slow one in every twentieth.
      const double chance = i == 0 ? 0.05 : 0.5;
      if (endpoints[i].active > 0 && random.Chance(chance)) --endpoints[i].active;
      worst = std::max(worst, endpoints[i].active);
    }
  }
  EXPECT_LT(counts[0], 2'500);
  EXPECT_LT(worst, 20u);
}

}  // namespace
}  // namespace sluice
