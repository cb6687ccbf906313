// What becomes of endpoints that are found by DNS when the configuration changes in the meantime:
// with a real name server, and a server that is no more than a snapshot.
#include "server/upstream_watch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/metrics.h"
#include "base/timer_queue.h"
#include "net/uv_loop.h"
#include "server/snapshot.h"
#include "support/dns_server.h"

namespace sluice {
namespace {

using std::chrono::milliseconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class UpstreamWatchTest : public ::testing::Test {
 protected:
  UpstreamWatchTest() {
    dns.Set("app.test", 1, {DnsA(60, "10.0.0.1")});
    dns.Set("other.test", 1, {DnsA(60, "10.0.0.2")});
  }

  ClusterConfig Cluster(const std::string& dns_name) const {
    ClusterConfig cluster;
    cluster.name = "app";
    cluster.dns = DnsConfig{.name = dns_name + ":80",
                            .records = DnsRecords::kIpv4,
                            .min_refresh = milliseconds(20),
                            .max_refresh = milliseconds(20),
                            .timeout = milliseconds(300),
                            .tries = 1,
                            .servers = {dns.address()}};
    return cluster;
  }

  Result<void> Use(std::vector<ClusterConfig> clusters) {
    Config config;
    config.clusters = std::move(clusters);
    present = BuildSnapshot(std::move(config)).value();
    return watch.Use(present);
  }

  void OnFound(const std::string& cluster, const std::vector<EndpointConfig>& endpoints) {
    ++told;
    if (!takes) return;
    present = WithEndpoints(*present, cluster, endpoints);
    EXPECT_EQ(watch.Use(present).has_value(), !expects_failure);
  }

  void RunFor(Duration time) {
    Timer timer(loop.timers(), Delegate::Bind<&UvLoop::Stop>(&loop));
    timer.Set(loop.Now() + time);
    loop.Run();
  }
  template <typename Condition>
  void RunUntil(const Condition& condition) {
    for (int i = 0; i < 1000 && !condition(); ++i) RunFor(milliseconds(5));
    EXPECT_TRUE(condition()) << "it never came";
  }
  std::vector<std::string> Endpoints(size_t cluster = 0) const {
    std::vector<std::string> addresses;
    for (const EndpointConfig& endpoint : present->config.clusters[cluster].endpoints) {
      addresses.push_back(endpoint.address);
    }
    return addresses;
  }
  bool Has(const std::string& address) const {
    return Endpoints() == std::vector<std::string>{address};
  }

  UvLoop loop{1};
  DnsServer dns;
  Metrics metrics;
  std::shared_ptr<const Snapshot> present;
  bool takes = true;  // what is found
  bool expects_failure = false;
  int told = 0;
  UpstreamWatch watch{
      {.loop = loop,
       .shard = metrics.AddShard(),
       .found = [this](
                    const std::string& cluster,
                    const std::vector<EndpointConfig>& endpoints) { OnFound(cluster, endpoints); },
       .health = [](const HealthFinding&) {},
       .reach = [](size_t, size_t) {}}};
};

TEST_F(UpstreamWatchTest, TellsWhatIsFoundOnce) {
  ASSERT_TRUE(Use({Cluster("app.test")}));
  RunUntil([&] { return Has("10.0.0.1:80"); });
  RunFor(milliseconds(100));
  EXPECT_EQ(told, 1);
}

TEST_F(UpstreamWatchTest, TellsAgainWhatCouldNotBeUsed) {
  takes = false;
  ASSERT_TRUE(Use({Cluster("app.test")}));
  RunUntil([&] { return told == 1; });
  dns.Set("app.test", 1, {DnsA(60, "10.0.0.3")});
  RunUntil([&] { return told == 2; });
  takes = true;
  RunFor(milliseconds(100));
  EXPECT_EQ(told, 2);
  EXPECT_THAT(Endpoints(), IsEmpty());
  watch.TellFound();
  EXPECT_THAT(Endpoints(), ElementsAre("10.0.0.3:80")) << "the newest";
  watch.TellFound();
  EXPECT_EQ(told, 3) << "there is nothing more";
}

TEST_F(UpstreamWatchTest, WhatTheClusterHasStaysWhenItIsLookedUpOtherwise) {
  ClusterConfig cluster = Cluster("no.test");
  cluster.endpoints = {{.address = "10.0.0.9:80"}};
  ASSERT_TRUE(Use({cluster}));
  RunUntil([&] { return !watch.DnsErrorOf("app").empty(); });
  watch.TellFound();
  EXPECT_THAT(Endpoints(), ElementsAre("10.0.0.9:80"));
  cluster.dns = Cluster("app.test").dns;
  ASSERT_TRUE(Use({cluster}));
  EXPECT_THAT(Endpoints(), ElementsAre("10.0.0.9:80"));
  RunUntil([&] { return Has("10.0.0.1:80"); });
}

// The answer is there, and what is to tell of it still to run when the configuration changes.
TEST_F(UpstreamWatchTest, AnAnswerIsNotForAClusterThatHasChangedSince) {
  ASSERT_TRUE(Use({Cluster("app.test")}));
  const std::string answered = "sluice_dns_lookups_total{cluster=\"app\",result=\"success\"} 1";
  std::function<void()> change = [&] {
    if (metrics.Text().find(answered) == std::string::npos) return loop.Post(change);
    dns.SetAnswer([](std::string_view, bool) { return std::string(); });
    ASSERT_TRUE(Use({Cluster("other.test")}));
    EXPECT_EQ(told, 0);
  };
  loop.Post(change);
  RunUntil([&] { return !watch.DnsErrorOf("app").empty(); });
  EXPECT_EQ(told, 0);
  EXPECT_THAT(Endpoints(), IsEmpty());
}

TEST_F(UpstreamWatchTest, AClusterThatCannotBeLookedUpLeavesTheOthersAlone) {
  ASSERT_TRUE(Use({Cluster("app.test")}));
  RunUntil([&] { return Has("10.0.0.1:80"); });
  ClusterConfig bad = Cluster("app.test");
  bad.endpoints = {{.address = "10.0.0.1:80"}};
  bad.dns->servers = {"nonsense"};
  ClusterConfig good = Cluster("other.test");
  good.name = "good";
  for (int i = 0; i < 2; ++i) {
    const Result<void> used = Use({bad, good});
    ASSERT_FALSE(used);
    EXPECT_THAT(used.error().message, HasSubstr("cluster app: name servers nonsense: "));
  }
  EXPECT_EQ(watch.DnsErrorOf("app"), "") << "nobody asks any more";
  expects_failure = true;
  RunUntil([&] { return !Endpoints(1).empty(); });
  EXPECT_THAT(Endpoints(1), ElementsAre("10.0.0.2:80"));
  EXPECT_THAT(Endpoints(0), ElementsAre("10.0.0.1:80"));
  bool warm = false;
  watch.WarmUp([&] { warm = true; });
  EXPECT_TRUE(warm);
}

}  // namespace
}  // namespace sluice
