// Whether every balancer spreads requests as its endpoints' weights say, and whether those that
// hash are consistent. Chance is seeded: what passes once, passes always.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "base/hash.h"
#include "base/random.h"
#include "upstream/load_balancer.h"

namespace sluice {
namespace {

std::vector<EndpointLoad> Endpoints(const std::vector<uint32_t>& weights) {
  std::vector<EndpointLoad> loads;
  for (size_t i = 0; i < weights.size(); ++i) {
    loads.push_back(
        {.weight = weights[i], .identity = HashBytes("10.0.0." + std::to_string(i + 1) + ":8080")});
  }
  return loads;
}

std::optional<uint64_t> Key(int i) { return HashBytes("user-" + std::to_string(i)); }

// How often each place was picked; `hashed`: by a key of its own each time.
std::vector<double> Picks(LoadBalancing policy, const std::vector<EndpointLoad>& loads, int count,
                          bool hashed = false) {
  const auto balancer = LoadBalancer::Make(policy);
  Random random(7);
  std::vector<double> picks(loads.size());
  for (int i = 0; i < count; ++i) {
    const auto place = balancer->Pick(loads, hashed ? Key(i) : std::nullopt, random);
    if (place) ++picks[*place];
  }
  return picks;
}

// Pearson's statistic of what was picked against the weights.
double ChiSquare(const std::vector<double>& picks, const std::vector<EndpointLoad>& loads) {
  double total = 0;
  double weights = 0;
  for (size_t i = 0; i < picks.size(); ++i) {
    total += picks[i];
    weights += loads[i].weight;
  }
  double sum = 0;
  for (size_t i = 0; i < picks.size(); ++i) {
    const double expected = total * loads[i].weight / weights;
    sum += (picks[i] - expected) * (picks[i] - expected) / expected;
  }
  return sum;
}

// Of 4 degrees of freedom: exceeded by chance once in a thousand.
constexpr double kCritical4 = 18.47;

TEST(BalancerStatistics, RoundRobinIsExact) {
  const auto loads = Endpoints({1, 2, 3, 4, 5});
  const auto picks = Picks(LoadBalancing::kRoundRobin, loads, 15 * 100);
  for (size_t i = 0; i < loads.size(); ++i) EXPECT_EQ(picks[i], 100.0 * loads[i].weight);
}

TEST(BalancerStatistics, RandomFollowsTheWeights) {
  const auto loads = Endpoints({1, 2, 3, 4, 5});
  EXPECT_LT(ChiSquare(Picks(LoadBalancing::kRandom, loads, 30'000), loads), kCritical4);
}

TEST(BalancerStatistics, LeastRequestFollowsTheWeightsOfIdleEndpoints) {
  const auto loads = Endpoints({1, 2, 3, 4, 5});
  EXPECT_LT(ChiSquare(Picks(LoadBalancing::kLeastRequest, loads, 30'000), loads), kCritical4);
}

// Requests end in the order they came, but those on a slow endpoint take ten times as long: what
// round robin would give it is a fifth.
TEST(BalancerStatistics, LeastRequestSparesASlowEndpoint) {
  auto loads = Endpoints({1, 1, 1, 1, 1});
  const auto balancer = LoadBalancer::Make(LoadBalancing::kLeastRequest);
  Random random(3);
  std::multimap<int, size_t> ends;
  std::vector<int> picks(loads.size());
  for (int now = 0; now < 20'000; ++now) {
    while (!ends.empty() && ends.begin()->first <= now) {
      --loads[ends.begin()->second].active;
      ends.erase(ends.begin());
    }
    const size_t place = balancer->Pick(loads, std::nullopt, random).value();
    ++picks[place];
    ++loads[place].active;
    ends.emplace(now + (place == 0 ? 100 : 10), place);
  }
  EXPECT_LT(picks[0], 20'000 / 5 / 2) << "less than half of its share";
}

// Keys are few compared with a table, so the table's own unevenness counts: within a quarter of the
// fair share on a ring, within a twentieth with Maglev.
class HashingBalancer : public ::testing::TestWithParam<LoadBalancing> {
 protected:
  double margin() const { return GetParam() == LoadBalancing::kMaglev ? 0.05 : 0.25; }
  std::vector<size_t> Assign(const std::vector<EndpointLoad>& loads, int keys) {
    const auto balancer = LoadBalancer::Make(GetParam());
    Random random(11);
    std::vector<size_t> places;
    for (int i = 0; i < keys; ++i) places.push_back(balancer->Pick(loads, Key(i), random).value());
    return places;
  }

  static constexpr int kKeys = 20'000;
  // How many keys of the others get another place when the last endpoint is removed.
  int ForeignKeysThatMove(const std::vector<EndpointLoad>& loads) {
    auto fewer = loads;
    fewer.pop_back();
    const auto before = Assign(loads, kKeys);
    const auto after = Assign(fewer, kKeys);
    int moved = 0;
    for (size_t i = 0; i < before.size(); ++i) {
      if (before[i] != fewer.size() && before[i] != after[i]) ++moved;
    }
    return moved;
  }
};

TEST_P(HashingBalancer, SpreadsKeysByWeight) {
  const auto loads = Endpoints({1, 2, 3, 4, 5, 5});
  const auto picks = Picks(GetParam(), loads, 100'000, /*hashed=*/true);
  for (size_t i = 0; i < loads.size(); ++i) {
    const double fair = 100'000.0 * loads[i].weight / 20;
    EXPECT_NEAR(picks[i], fair, fair * margin()) << "endpoint " << i;
  }
}

TEST_P(HashingBalancer, WithoutAKeyItIsRandom) {
  const auto loads = Endpoints({1, 2, 3, 4, 5});
  EXPECT_LT(ChiSquare(Picks(GetParam(), loads, 30'000), loads), kCritical4);
}

TEST_P(HashingBalancer, AgreesWhateverTheOrder) {
  const auto loads = Endpoints({1, 2, 3, 4, 5});
  auto reversed = loads;
  std::reverse(reversed.begin(), reversed.end());
  const auto one = Assign(loads, 2000);
  const auto other = Assign(reversed, 2000);
  for (size_t i = 0; i < one.size(); ++i) EXPECT_EQ(one[i], loads.size() - 1 - other[i]);
}

TEST_P(HashingBalancer, OnlyTheKeysOfAnUnusableEndpointMove) {
  auto loads = Endpoints({1, 1, 1, 1, 1});
  const auto before = Assign(loads, 5000);
  loads[2].usable = false;
  const auto after = Assign(loads, 5000);
  std::vector<int> moved(loads.size());
  for (size_t i = 0; i < before.size(); ++i) {
    EXPECT_NE(after[i], 2u);
    if (before[i] == 2) {
      ++moved[after[i]];
    } else {
      EXPECT_EQ(after[i], before[i]);
    }
  }
  for (const size_t other : {0u, 1u, 3u, 4u}) EXPECT_GT(moved[other], 50) << "to all the others";
}

// What the others have must not depend on the largest weight, or on the sum of all.
TEST_P(HashingBalancer, FewKeysMoveWhenOneIsRemoved) {
  // A ring moves none but its own; Maglev's paper finds some percent.
  const int most = GetParam() == LoadBalancing::kMaglev ? kKeys * 5 / 100 : 0;
  EXPECT_LE(ForeignKeysThatMove(Endpoints(std::vector<uint32_t>(10, 1))), most);
  EXPECT_LE(ForeignKeysThatMove(Endpoints({1, 1, 1, 2, 9})), most) << "the heaviest";
}

TEST_P(HashingBalancer, FindsTheOnlyOneThatIsUsable) {
  auto loads = Endpoints(std::vector<uint32_t>(200, 1));
  for (EndpointLoad& load : loads) load.usable = false;
  const auto balancer = LoadBalancer::Make(GetParam());
  Random random(1);
  EXPECT_FALSE(balancer->Pick(loads, Key(1), random));
  loads[77].usable = true;
  for (int i = 0; i < 100; ++i) EXPECT_EQ(balancer->Pick(loads, Key(i), random), 77u);
}

TEST_P(HashingBalancer, ALightEndpointHasItsLittle) {
  const auto loads = Endpoints({1, 100});
  const double share = Picks(GetParam(), loads, 100'000, /*hashed=*/true)[0] / 100'000;
  EXPECT_GT(share, 0.005);
  EXPECT_LT(share, 0.02);
}

TEST_P(HashingBalancer, FindsOneWhoseWeightHasRisen) {
  auto loads = Endpoints({0, 1});
  const auto balancer = LoadBalancer::Make(GetParam());
  Random random(1);
  EXPECT_EQ(balancer->Pick(loads, Key(1), random), 1u);
  loads[0].weight = 1;
  loads[1].usable = false;
  EXPECT_EQ(balancer->Pick(loads, Key(1), random), 0u);
}

TEST_P(HashingBalancer, BearsExtremeWeights) {
  const auto loads = Endpoints({0, 1, 100'000'000});
  const auto picks = Picks(GetParam(), loads, 10'000, /*hashed=*/true);
  EXPECT_EQ(picks[0], 0);
  EXPECT_GT(picks[2], 9'000);
}

INSTANTIATE_TEST_SUITE_P(Policy, HashingBalancer,
                         ::testing::Values(LoadBalancing::kRingHash, LoadBalancing::kMaglev));

}  // namespace
}  // namespace sluice
