// When names are looked up again, and what becomes of the endpoints: with a resolver that does as
// it is told, on simulated time.
#include "upstream/dns_discovery.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "base/metrics.h"
#include "support/fake_resolver.h"
#include "support/sim_loop.h"

namespace sluice {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

DnsAnswer Answer(const std::vector<std::string>& addresses, Duration ttl = seconds(30)) {
  DnsAnswer answer;
  for (const std::string& address : addresses) answer.targets.push_back({address});
  answer.ttl = ttl;
  return answer;
}

class DnsDiscoveryTest : public ::testing::Test {
 protected:
  void Start(uint64_t seed = 1) {
    config.name = "app.test:8080";
    discovery.reset();
    loop = std::make_unique<SimLoop>(seed);
    resolver = std::make_unique<FakeResolver>(*loop);
    resolver->answer = every_answer;
    discovery = std::make_unique<DnsDiscovery>(
        "app", config, known,
        DnsDiscovery::Surroundings{*loop, *resolver, shard,
                                   [this] {
                                     found.push_back(discovery->endpoints());
                                     if (on_found) on_found();
                                   },
                                   [this] { ++answers; }});
  }
  void AnswerFromNowOn(const Result<DnsAnswer>& what) {
    every_answer = what;
    if (resolver != nullptr) resolver->answer = what;
  }
  std::vector<std::string> Addresses() const {
    std::vector<std::string> addresses;
    for (const EndpointConfig& endpoint : found.back()) addresses.push_back(endpoint.address);
    return addresses;
  }
  Duration Gap(size_t after) const {
    return resolver->asked.at(after + 1).at - resolver->asked.at(after).at;
  }

  DnsConfig config;
  DnsDiscovery::Known known;
  Metrics metrics;
  MetricShard& shard = metrics.AddShard();
  std::unique_ptr<SimLoop> loop;
  std::unique_ptr<FakeResolver> resolver;
  std::optional<Result<DnsAnswer>> every_answer;
  std::unique_ptr<DnsDiscovery> discovery;
  std::vector<std::vector<EndpointConfig>> found;
  std::function<void()> on_found;
  int answers = 0;
};

TEST_F(DnsDiscoveryTest, AsksAtOnceForWhatIsConfigured) {
  config.records = DnsRecords::kIpv6;
  Start();
  ASSERT_THAT(resolver->asked, SizeIs(1));
  EXPECT_EQ(resolver->asked[0].question.name, "app.test");
  EXPECT_EQ(resolver->asked[0].question.port, 8080);
  EXPECT_EQ(resolver->asked[0].question.records, DnsRecords::kIpv6);
  EXPECT_FALSE(discovery->answered());
}

TEST_F(DnsDiscoveryTest, AsksAgainWhenTheTtlIsOverALittleEarlierByChance) {
  AnswerFromNowOn(Answer({"1.1.1.1:80"}, seconds(30)));
  Duration least = seconds(30);
  Duration most{};
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    Start(seed);
    loop->RunFor(seconds(31));
    ASSERT_GE(resolver->asked.size(), 2u);
    EXPECT_GE(Gap(0), seconds(27));
    EXPECT_LE(Gap(0), milliseconds(30'010));
    least = std::min(least, Gap(0));
    most = std::max(most, Gap(0));
  }
  EXPECT_GT(most - least, seconds(1)) << "a fleet must not ask in step";
}

TEST_F(DnsDiscoveryTest, TheTtlHasBounds) {
  config.jitter_percent = 0;
  config.min_refresh = seconds(2);
  config.max_refresh = seconds(60);
  AnswerFromNowOn(Answer({"1.1.1.1:80"}, seconds(0)));
  Start();
  loop->RunFor(seconds(3));
  ASSERT_GE(resolver->asked.size(), 2u);
  EXPECT_GE(Gap(0), seconds(2));
  AnswerFromNowOn(Answer({"1.1.1.1:80"}, seconds(86'400)));
  Start();
  loop->RunFor(seconds(61));
  ASSERT_GE(resolver->asked.size(), 2u);
  EXPECT_LE(Gap(0), milliseconds(60'010));
}

TEST_F(DnsDiscoveryTest, ChanceDoesNotGoBelowTheLeastTime) {
  config.jitter_percent = 90;
  config.min_refresh = seconds(10);
  for (const Duration ttl : {seconds(0), seconds(12)}) {
    AnswerFromNowOn(Answer({"1.1.1.1:80"}, ttl));
    for (uint64_t seed = 1; seed <= 20; ++seed) {
      Start(seed);
      loop->RunFor(seconds(13));
      ASSERT_GE(resolver->asked.size(), 2u);
      EXPECT_GE(Gap(0), seconds(10));
    }
  }
}

TEST_F(DnsDiscoveryTest, TheLongestTtlIsNoProblem) {
  config.max_refresh = Duration::max() / 2;
  config.jitter_percent = 90;
  AnswerFromNowOn(Answer({"1.1.1.1:80"}, seconds(INT32_MAX)));
  Start();
  loop->RunFor(seconds(3600));
  EXPECT_THAT(resolver->asked, SizeIs(1));
}

TEST_F(DnsDiscoveryTest, TellsOnlyWhatIsNew) {
  config.jitter_percent = 0;
  AnswerFromNowOn(Answer({"1.1.1.1:80", "2.2.2.2:80"}, seconds(1)));
  Start();
  loop->RunFor(seconds(10));
  EXPECT_THAT(found, SizeIs(1));
  EXPECT_THAT(Addresses(), ElementsAre("1.1.1.1:80", "2.2.2.2:80"));
  AnswerFromNowOn(Answer({"2.2.2.2:80", "3.3.3.3:80"}, seconds(1)));
  loop->RunFor(seconds(2));
  EXPECT_THAT(found, SizeIs(2));
  EXPECT_THAT(Addresses(), ElementsAre("2.2.2.2:80", "3.3.3.3:80"));
}

TEST_F(DnsDiscoveryTest, TheLastGoodAnswerStaysAndItIsAskedMoreAndMoreSeldom) {
  config.jitter_percent = 0;
  AnswerFromNowOn(Answer({"1.1.1.1:80"}, seconds(1)));
  Start();
  loop->RunFor(milliseconds(100));
  AnswerFromNowOn(Fail("the name server did not answer"));
  loop->RunFor(seconds(300));
  EXPECT_THAT(found, SizeIs(1));
  EXPECT_EQ(discovery->error(), "the name server did not answer");
  std::vector<int64_t> gaps;
  for (size_t i = 1; i + 1 < std::min<size_t>(resolver->asked.size(), 9); ++i) {
    gaps.push_back(std::chrono::round<seconds>(Gap(i)).count());
  }
  EXPECT_THAT(gaps, ElementsAre(1, 2, 4, 8, 16, 30, 30));
  AnswerFromNowOn(Answer({"1.1.1.1:80"}, seconds(1)));
  loop->RunFor(seconds(31));
  EXPECT_EQ(discovery->error(), "");
  EXPECT_THAT(found, SizeIs(1)) << "nothing is new";
}

// Of a service with two hosts the first is asked for in vain.
DnsAnswer WithoutOne(const std::vector<std::string>& addresses_of_two) {
  DnsAnswer answer = Answer(addresses_of_two, seconds(1));
  for (DnsAnswer::Target& target : answer.targets) target.host = "two.test";
  answer.unknown = {{"one.test", false, "app.test: one.test: no answer"},
                    {"one.test", true, "app.test: one.test: no answer"}};
  return answer;
}

TEST_F(DnsDiscoveryTest, APartOfAnAnswerTakesNothingAwayThatMayBeThere) {
  config.jitter_percent = 0;
  DnsAnswer whole = Answer({"1.1.1.1:80", "2.2.2.2:80", "[2001:db8::1]:80"}, seconds(1));
  whole.targets[0].host = whole.targets[2].host = "one.test";
  whole.targets[1].host = "two.test";
  AnswerFromNowOn(whole);
  Start();
  loop->RunFor(milliseconds(100));
  AnswerFromNowOn(WithoutOne({"2.2.2.2:80"}));
  loop->RunFor(seconds(10));
  EXPECT_THAT(found, SizeIs(1)) << "an endpoint would be drained that may be there";
  EXPECT_EQ(discovery->error(), "app.test: one.test: no answer");
  AnswerFromNowOn(WithoutOne({"3.3.3.3:80"}));
  loop->RunFor(seconds(20));
  ASSERT_THAT(found, SizeIs(2)) << "what is known is used";
  EXPECT_THAT(Addresses(), ElementsAre("1.1.1.1:80", "3.3.3.3:80", "[2001:db8::1]:80"));
  EXPECT_EQ(discovery->error(), "app.test: one.test: no answer");
  AnswerFromNowOn(Answer({"3.3.3.3:80"}, seconds(1)));
  loop->RunFor(seconds(30));
  ASSERT_THAT(found, SizeIs(3)) << "now it is known to be gone";
  EXPECT_THAT(Addresses(), ElementsAre("3.3.3.3:80"));
  EXPECT_EQ(discovery->error(), "");
}

TEST_F(DnsDiscoveryTest, APartIsBetterThanNothing) {
  config.jitter_percent = 0;
  AnswerFromNowOn(WithoutOne({"1.1.1.1:80"}));
  Start();
  loop->RunFor(milliseconds(10));
  ASSERT_THAT(found, SizeIs(1));
  EXPECT_THAT(Addresses(), ElementsAre("1.1.1.1:80"));
  EXPECT_EQ(discovery->error(), "app.test: one.test: no answer");
  loop->RunFor(seconds(2));
  EXPECT_GE(resolver->asked.size(), 2U) << "the rest is asked for soon";
}

// Of a name with addresses of both kinds those of IPv6 are asked for in vain.
DnsAnswer WithoutIpv6() {
  DnsAnswer answer = Answer({"1.1.1.1:80"}, seconds(1));
  answer.unknown = {{"", true, "app.test: no answer"}};
  return answer;
}

TEST_F(DnsDiscoveryTest, AKindOfAddressesThatCannotBeAskedForStays) {
  config.jitter_percent = 0;
  AnswerFromNowOn(Answer({"1.1.1.1:80", "2.2.2.2:80", "[2001:db8::1]:80"}, seconds(1)));
  Start();
  loop->RunFor(milliseconds(100));
  AnswerFromNowOn(WithoutIpv6());
  loop->RunFor(seconds(2));
  ASSERT_THAT(found, SizeIs(2));
  EXPECT_THAT(Addresses(), ElementsAre("1.1.1.1:80", "[2001:db8::1]:80"));
  EXPECT_EQ(discovery->error(), "app.test: no answer");
}

TEST_F(DnsDiscoveryTest, AKindOfAddressesThatNeverWasDoesNoHarm) {
  config.jitter_percent = 0;
  AnswerFromNowOn(WithoutIpv6());
  Start();
  loop->RunFor(milliseconds(100));
  EXPECT_EQ(discovery->error(), "");
  AnswerFromNowOn(Answer({"1.1.1.1:80", "[2001:db8::1]:80"}, seconds(1)));
  loop->RunFor(seconds(2));
  AnswerFromNowOn(Answer({"1.1.1.1:80"}, seconds(1)));
  loop->RunFor(seconds(2));
  EXPECT_THAT(Addresses(), ElementsAre("1.1.1.1:80")) << "there are none: that is an answer";
  AnswerFromNowOn(WithoutIpv6());
  loop->RunFor(seconds(2));
  EXPECT_EQ(discovery->error(), "") << "and then there is nothing to be kept";
}

TEST_F(DnsDiscoveryTest, WhatTheClusterHasStaysUntilThereIsAnAnswer) {
  known.endpoints = {{.address = "9.9.9.9:80"}};
  AnswerFromNowOn(Fail("the name server did not answer"));
  Start();
  loop->RunFor(seconds(10));
  EXPECT_THAT(found, IsEmpty());
  EXPECT_EQ(discovery->endpoints(), known.endpoints);
  AnswerFromNowOn(WithoutOne({"1.1.1.1:80"}));
  loop->RunFor(seconds(20));
  EXPECT_THAT(Addresses(), ElementsAre("1.1.1.1:80")) << "the others are not of this name";
}

TEST_F(DnsDiscoveryTest, WhatWasFoundByTheSameQuestionIsAsGoodAsAnAnswer) {
  known.targets = Answer({"8.8.8.8:80", "9.9.9.9:80"}).targets;
  known.targets[0].host = "one.test";
  known.targets[1].host = "two.test";
  known.endpoints = EndpointsOf(known.targets);
  AnswerFromNowOn(WithoutOne({"1.1.1.1:80"}));
  Start();
  loop->RunFor(milliseconds(10));
  EXPECT_THAT(Addresses(), ElementsAre("1.1.1.1:80", "8.8.8.8:80"));
}

TEST_F(DnsDiscoveryTest, APartMayBeTheEndOfItToo) {
  AnswerFromNowOn(WithoutOne({"1.1.1.1:80"}));
  Start();
  on_found = [this] { discovery.reset(); };
  loop->RunFor(seconds(60));
  EXPECT_THAT(found, SizeIs(1));
  EXPECT_THAT(resolver->asked, SizeIs(1));
}

TEST_F(DnsDiscoveryTest, AFailureIsAnAnswerToWhoWaitsForOne) {
  AnswerFromNowOn(Fail("no such name"));
  Start();
  loop->RunFor(milliseconds(10));
  EXPECT_TRUE(discovery->answered());
  EXPECT_EQ(answers, 1);
  EXPECT_THAT(found, IsEmpty());
}

TEST_F(DnsDiscoveryTest, MayBeDestroyedWhenItHasFound) {
  AnswerFromNowOn(Answer({"1.1.1.1:80"}));
  Start();
  on_found = [this] { discovery.reset(); };
  loop->RunFor(seconds(60));
  EXPECT_THAT(found, SizeIs(1));
  EXPECT_THAT(resolver->asked, SizeIs(1));
}

TEST_F(DnsDiscoveryTest, PrioritiesBecomeDense) {
  DnsAnswer answer;
  answer.targets = {{"a:1", 10, 20}, {"b:1", 10, 5}, {"c:1", 10, 20}, {"d:1", 10, 65'535}};
  std::vector<uint32_t> priorities;
  for (const EndpointConfig& endpoint : EndpointsOf(answer.targets)) {
    priorities.push_back(endpoint.priority);
  }
  EXPECT_THAT(priorities, ElementsAre(1, 0, 1, 2));
}

TEST_F(DnsDiscoveryTest, AWeightOfZeroIsVeryLittle) {
  const auto weights = [](std::vector<uint32_t> given) {
    DnsAnswer answer;
    for (const uint32_t weight : given) answer.targets.push_back({"a", weight, 0});
    std::vector<uint32_t> made;
    for (const EndpointConfig& endpoint : EndpointsOf(answer.targets))
      made.push_back(endpoint.weight);
    return made;
  };
  EXPECT_THAT(weights({1, 3}), ElementsAre(1, 3));
  EXPECT_THAT(weights({0, 0}), ElementsAre(1, 1));
  EXPECT_THAT(weights({0, 1, 2}), ElementsAre(1, 100, 200));
  EXPECT_THAT(weights({0, 1, 1000}), ElementsAre(1, 100, 100'000));
  EXPECT_THAT(weights({0, 1, 65'535}), ElementsAre(1, 15, 983'025)) << "less than the lightest";
  EXPECT_THAT(weights({0, 65'535}), ElementsAre(9830, 983'025));
}

}  // namespace
}  // namespace sluice
