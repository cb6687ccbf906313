// Which endpoint a request goes to, and which requests do not go anywhere: priorities, zones,
// sessions, ejection, endpoints that drain or warm up, mirrors and faults. The whole proxy
// before upstreams that do as they are told, on simulated time.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "support/cluster_sim.h"

namespace sluice {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::ElementsAre;
using Connection = ScriptOrigin::Connection;

class ClusterPolicyTest : public ClusterSim {};

// ---- priorities, zones, panic

TEST_F(ClusterPolicyTest, ALowerPriorityWaitsUntilItIsNeeded) {
  Start({{"a", 1}, {"b", 1}, {"c", 1}, {"d", 1}, {.address = "spare", .priority = 1}});
  EXPECT_EQ(Spread(100)["spare"], 0u);
  SetHealth("a", false);
  EXPECT_EQ(Spread(100)["spare"], 0u) << "three of four carry it all";
  SetHealth("b", false);
  // Half of them, with 1.4 times the load each, carry 70%.
  EXPECT_NEAR(static_cast<double>(Spread(1000)["spare"]), 300, 60);
  SetHealth("c", false);
  SetHealth("d", false);
  EXPECT_EQ(Spread(100)["spare"], 100u);
}

TEST_F(ClusterPolicyTest, OurZoneComesFirst) {
  edit = [](ClusterConfig& cluster, RouteConfig&) { cluster.local_zone = "here"; };
  Start({{.address = "a", .zone = "here"},
         {.address = "b", .zone = "there"},
         {.address = "c", .priority = 1, .zone = "here"}});
  EXPECT_EQ(Spread(50)["a"], 50u);
  SetHealth("a", false);
  EXPECT_EQ(Spread(50)["b"], 50u) << "before the next priority";
}

TEST_F(ClusterPolicyTest, WhenAllAreIllAllAreTried) {
  Start(kTwo);
  SetHealth("a", false);
  SetHealth("b", false);
  const auto got = Spread(20);
  EXPECT_EQ(got.at("a") + got.at("b"), 20u);
  EXPECT_GT(got.at("a"), 0u);
  EXPECT_GT(got.at("b"), 0u);
}

TEST_F(ClusterPolicyTest, BelowThePanicThresholdHealthDoesNotCount) {
  edit = [](ClusterConfig& cluster, RouteConfig&) { cluster.panic_threshold = 50; };
  Start({{"a", 1}, {"b", 1}, {"c", 1}});
  SetHealth("a", false);
  EXPECT_EQ(Spread(30)["a"], 0u) << "two of three are 66%";
  SetHealth("b", false);
  EXPECT_GT(Spread(30)["b"], 0u);
}

TEST_F(ClusterPolicyTest, WhatAnOperatorDrainsIsNeverTried) {
  Start(kTwo);
  sim->loop.Dispatch([&] { sim->cluster().SetEndpointDrained("a", true); });
  SetHealth("b", false);
  EXPECT_EQ(Spread(20)["a"], 0u);
}

// ---- sessions and hashes

TEST_F(ClusterPolicyTest, ASessionStaysWhereItBegan) {
  edit = [](ClusterConfig& cluster, RouteConfig&) { cluster.session_cookie.emplace(); };
  Start({{"a", 1}, {"b", 1}, {"c", 1}});
  ASSERT_EQ(Ask(), 200);
  const std::string set(client->responses().back().Header("set-cookie"));
  EXPECT_THAT(set,
              testing::MatchesRegex("sluice-session=[0-9a-f]+; Path=/; HttpOnly; SameSite=Lax"));
  const std::string cookie = "Cookie: other=1; " + set.substr(0, set.find(';')) + "\r\n";
  const auto got = Spread(30, cookie);
  EXPECT_THAT((std::vector<size_t>{got.at("a"), got.at("b"), got.at("c")}),
              testing::UnorderedElementsAre(0, 0, 30));
  EXPECT_EQ(client->responses().back().Header("set-cookie"), "") << "it has it already";
}

TEST_F(ClusterPolicyTest, ASessionWhoseEndpointIsGoneGetsAnother) {
  edit = [](ClusterConfig& cluster, RouteConfig&) { cluster.session_cookie.emplace(); };
  Start(kTwo);
  ASSERT_EQ(Ask(), 200);
  const std::string set(client->responses().back().Header("set-cookie"));
  const std::string cookie = "Cookie: " + set.substr(0, set.find(';')) + "\r\n";
  SetHealth(At("a").messages() == 1 ? "a" : "b", false);
  EXPECT_EQ(Ask(cookie), 200);
  const std::string next(client->responses().back().Header("set-cookie"));
  EXPECT_NE(next, "");
  EXPECT_NE(next, set);
}

TEST_F(ClusterPolicyTest, AHashedFieldChoosesTheEndpoint) {
  edit = [](ClusterConfig& cluster, RouteConfig&) {
    cluster.load_balancing = LoadBalancing::kRingHash;
    cluster.hash_on = {HashOn::Kind::kHeader, "x-user"};
  };
  Start({{"a", 1}, {"b", 1}, {"c", 1}});
  std::map<std::string, size_t> users;
  for (int user = 0; user < 20; ++user) {
    const auto got = Spread(5, "X-User: user" + std::to_string(user) + "\r\n");
    for (const auto& [address, count] : got) {
      EXPECT_TRUE(count == 0 || count == 5) << "user " << user;
      users[address] += count / 5;
    }
  }
  for (const auto& [address, count] : users) EXPECT_GT(count, 0u) << address;
}

// ---- ejection

TEST_F(ClusterPolicyTest, AnEndpointThatCannotBeReachedIsSetAside) {
  edit = [](ClusterConfig& cluster, RouteConfig&) { cluster.outlier.base_ejection = seconds(5); };
  Start(kTwo);
  At("a").Stop();
  for (int i = 0; i < 10; ++i) EXPECT_EQ(Ask(), 200);
  EXPECT_EQ(StateOf(0), EndpointState::kEjected);
  EXPECT_EQ(sim->Metric("sluice_upstream_ejections_total"), 1);
  EXPECT_EQ(sim->Metric("sluice_upstream_connect_failures_total"), 3) << "and not asked any more";
  At("a").Listen();
  sim->loop.RunFor(seconds(6));
  EXPECT_EQ(StateOf(0), EndpointState::kUsable);
  EXPECT_GT(Spread(10)["a"], 0u);
}

TEST_F(ClusterPolicyTest, TheLastEndpointIsNeverSetAside) {
  Start({{"a", 1}});
  At("a").Stop();
  for (int i = 0; i < 5; ++i) EXPECT_EQ(Ask(), 503);
  EXPECT_EQ(StateOf(0), EndpointState::kUsable);
}

TEST_F(ClusterPolicyTest, AnswersCountIfTheClusterSaysSo) {
  edit = [](ClusterConfig& cluster, RouteConfig&) { cluster.outlier.consecutive_5xx = 3; };
  Start(kTwo);
  At("a").on_message = [](Connection& connection) { connection.Respond("500 Oops"); };
  int failed = 0;
  for (int i = 0; i < 20; ++i) failed += Ask() == 500 ? 1 : 0;
  EXPECT_EQ(failed, 3);
  EXPECT_EQ(StateOf(0), EndpointState::kEjected);
}

TEST_F(ClusterPolicyTest, ARateOfSuccessCounts) {
  edit = [](ClusterConfig& cluster, RouteConfig&) {
    cluster.outlier.success_rate_margin = 30;
    cluster.outlier.success_rate_requests = 20;
    cluster.outlier.interval = seconds(1);
  };
  Start({{"a", 1}, {"b", 1}, {"c", 1}});
  int times = 0;
  At("a").on_message = [&](Connection& connection) {
    connection.Respond(++times % 2 == 0 ? "200 OK" : "500 Oops");
  };
  for (int i = 0; i < 90; ++i) Ask();
  sim->loop.RunFor(milliseconds(1100));
  EXPECT_EQ(StateOf(0), EndpointState::kEjected);
  EXPECT_EQ(StateOf(1), EndpointState::kUsable);
}

// ---- endpoints that say that they drain

TEST_F(ClusterPolicyTest, AnEndpointThatSaysItDrainsGetsNothingMore) {
  Start(kTwo);
  At("a").on_message = [](Connection& connection) {
    connection.Respond("200 OK", "X-Sluice-Drain: true\r\n");
  };
  while (At("a").messages() == 0) EXPECT_EQ(Ask(), 200);
  EXPECT_EQ(client->responses().back().Header("x-sluice-drain"), "") << "no business of clients";
  EXPECT_EQ(Spread(20)["a"], 0u);
  EXPECT_EQ(sim->network.open_at_client("a"), 0u) << "idle connections close at once";
  EXPECT_EQ(sim->Metric("sluice_upstream_drains_total"), 1);
  At("a").on_message = nullptr;
  sim->loop.RunFor(seconds(11));
  EXPECT_GT(Spread(20)["a"], 0u);
}

TEST_F(ClusterPolicyTest, WhatIsInFlightThereFinishes) {
  Start(kTwo);
  Connection* held = nullptr;
  At("a").on_message = [&](Connection& connection) { held = &connection; };
  auto slow = sim->Connect();
  while (held == nullptr) {
    slow->Request("GET", "/slow");
    sim->loop.RunFor(milliseconds(10));
  }
  At("a").on_message = [](Connection& connection) {
    connection.Respond("200 OK", "x-sluice-drain: true\r\n");
  };
  while (StateOf(0) != EndpointState::kDraining) Ask();
  sim->loop.Dispatch([&] { held->Respond("200 OK", {}, "late"); });
  sim->loop.RunFor(milliseconds(10));
  EXPECT_EQ(slow->responses().back().status, 200);
  slow.reset();
}

TEST_F(ClusterPolicyTest, WhereNoOtherIsLeftItIsStillAsked) {
  Start({{"a", 1}});
  At("a").on_message = [](Connection& connection) {
    connection.Respond("200 OK", "x-sluice-drain: true\r\n");
  };
  for (int i = 0; i < 10; ++i) EXPECT_EQ(Ask(), 200);
}

TEST_F(ClusterPolicyTest, TheHeaderMayBeIgnoredButIsNeverPassedOn) {
  edit = [](ClusterConfig& cluster, RouteConfig&) { cluster.upstream_drain.header = false; };
  Start(kTwo);
  for (auto& [address, origin] : origins) {
    origin->on_message = [](Connection& connection) {
      connection.Respond("200 OK", "x-sluice-drain: true\r\n");
    };
  }
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(Ask(), 200);
    EXPECT_EQ(client->responses().back().Header("x-sluice-drain"), "");
  }
  EXPECT_EQ(StateOf(0), EndpointState::kUsable);
}

TEST_F(ClusterPolicyTest, OtherWorkersLearnWhatOneHasFoundOut) {
  Start(kTwo);
  sim->loop.Dispatch([&] {
    sim->cluster().Learn({EndpointNews::Kind::kDraining, "a", sim->loop.Now() + seconds(10), "x"});
  });
  EXPECT_EQ(Spread(20)["a"], 0u);
  sim->loop.Dispatch([&] {
    sim->cluster().Learn({EndpointNews::Kind::kEjected, "b", sim->loop.Now() + seconds(20), "x"});
  });
  EXPECT_EQ(Spread(20)["b"], 0u) << "rather one that drains than one that seems dead";
}

// ---- slow start

TEST_F(ClusterPolicyTest, AnEndpointThatComesBackGetsItsShareLittleByLittle) {
  edit = [](ClusterConfig& cluster, RouteConfig&) {
    cluster.slow_start = {.window = seconds(100), .min_percent = 10};
    cluster.load_balancing = LoadBalancing::kRandom;
  };
  Start(kTwo);
  SetHealth("a", false);
  SetHealth("a", true);
  EXPECT_EQ(StateOf(0), EndpointState::kWarmingUp);
  // A tenth beside a whole one.
  EXPECT_NEAR(static_cast<double>(Spread(2000)["a"]), 2000 / 11.0, 60);
  sim->loop.RunFor(seconds(50));
  EXPECT_NEAR(static_cast<double>(Spread(2000)["a"]), 2000 * 0.55 / 1.55, 90);
  sim->loop.RunFor(seconds(55));
  EXPECT_NEAR(static_cast<double>(Spread(2000)["a"]), 1000, 100);
  EXPECT_EQ(StateOf(0), EndpointState::kUsable);
}

// However light, it is better than those that are dead.
TEST_F(ClusterPolicyTest, TheLastThatIsWellCarriesAll) {
  Start({{"a", 1000}, {"b", 1}});
  SetHealth("a", false);
  EXPECT_EQ(Spread(50).at("b"), 50u);
}

TEST_F(ClusterPolicyTest, NobodyWarmsUpAtTheStart) {
  edit = [](ClusterConfig& cluster, RouteConfig&) {
    cluster.health_check.emplace();
    cluster.slow_start = {.window = seconds(100), .min_percent = 10};
  };
  Start({{"a", 1}, {"b", 1}, {"c", 1}});
  for (const char* address : {"a", "b", "c"}) SetHealth(address, true);
  for (const auto& [address, count] : Spread(300)) EXPECT_EQ(count, 100u) << address;
}

TEST_F(ClusterPolicyTest, WhatAppearsWarmsUpFromItsFirstCheckOn) {
  edit = [](ClusterConfig& cluster, RouteConfig&) {
    cluster.health_check.emplace();
    cluster.slow_start = {.window = seconds(100), .min_percent = 10};
  };
  Start(kTwo);
  for (const char* address : {"a", "b"}) SetHealth(address, true);
  Add("c");
  sim->loop.Dispatch([&] { sim->cluster().SetEndpoints({{"a", 1}, {"b", 1}, {"c", 1}}); });
  sim->loop.RunFor(seconds(50));
  EXPECT_EQ(StateOf(2), EndpointState::kUnchecked);
  SetHealth("c", true);
  EXPECT_EQ(StateOf(2), EndpointState::kWarmingUp);
  client = sim->Connect();
  EXPECT_LT(Spread(210).at("c"), 20u);
}

// A new configuration tells its workers what is known: that is older than what an endpoint has said
// since.
TEST_F(ClusterPolicyTest, WhatWasKnownBeforeDoesNotEndADrain) {
  edit = [](ClusterConfig& cluster, RouteConfig&) { cluster.health_check.emplace(); };
  Start(kTwo);
  for (const char* address : {"a", "b"}) SetHealth(address, true);
  const EndpointHealth well{.healthy = true, .draining = false, .known = true};
  sim->loop.Dispatch([&] {
    sim->cluster().Learn({EndpointNews::Kind::kDraining, "a", sim->loop.Now() + seconds(10), "x"});
    sim->cluster().KnowHealth("a", well);
  });
  EXPECT_EQ(StateOf(0), EndpointState::kDraining);
  SetHealth("a", true);
  EXPECT_EQ(StateOf(0), EndpointState::kUsable);
}

TEST_F(ClusterPolicyTest, WorkersTogetherSetNoMoreAsideThanOneMay) {
  edit = [](ClusterConfig& cluster, RouteConfig&) { cluster.outlier.max_ejected_percent = 50; };
  Start(kTwo);
  const auto learn = [&](const char* address, int seconds_from_now) {
    sim->loop.Dispatch([&] {
      sim->cluster().Learn({EndpointNews::Kind::kEjected, address,
                            sim->loop.Now() + seconds(seconds_from_now), "x", 3});
    });
  };
  learn("a", 20);
  learn("b", 30);
  EXPECT_EQ(StateOf(0), EndpointState::kEjected);
  EXPECT_EQ(StateOf(1), EndpointState::kUsable);
  learn("a", 40);
  sim->loop.RunFor(seconds(30));
  EXPECT_EQ(StateOf(0), EndpointState::kEjected) << "for longer, as another worker knows";
  EXPECT_EQ(sim->cluster().endpoints()[0]->outlier.ejections, 3u);
}

// ---- faults and mirrors

TEST_F(ClusterPolicyTest, AFaultDelaysAndAborts) {
  edit = [](ClusterConfig&, RouteConfig& route) {
    route.fault = FaultConfig{
        .delay_percent = 100, .delay = milliseconds(300), .abort_percent = 30, .abort_status = 418};
  };
  Start(kTwo);
  int aborted = 0;
  for (int i = 0; i < 100; ++i) {
    const TimePoint before = sim->loop.Now();
    const int status = Ask();
    aborted += status == 418 ? 1 : 0;
    EXPECT_TRUE(status != 200 || sim->loop.Now() - before >= milliseconds(300));
  }
  EXPECT_NEAR(aborted, 30, 15);
}

TEST_F(ClusterPolicyTest, ADelayedRequestIsCutByADrainAndOnRecord) {
  edit = [](ClusterConfig&, RouteConfig& route) {
    route.fault = FaultConfig{.delay_percent = 100, .delay = seconds(100)};
  };
  options.drain.propagation_delay = options.drain.jitter = {};
  options.drain.deadline = seconds(2);
  Start(kTwo);
  client->Request("GET", "/x");
  sim->loop.RunFor(milliseconds(10));
  sim->BeginDrain();
  ASSERT_TRUE(sim->UntilExited());
  EXPECT_EQ(sim->Progress().cut_total(), 1u);
  EXPECT_EQ(client->responses().back().status, 503);
}

TEST_F(ClusterPolicyTest, AMirrorGetsACopyAndTouchesNothing) {
  edit = [](ClusterConfig&, RouteConfig& route) {
    route.mirror = MirrorConfig{.cluster = "shadow", .percent = 100};
  };
  Start({{"a", 1}});
  Add("mirror");
  std::string copied;
  At("mirror").on_message = [&](Connection& connection) {
    copied = connection.body();
    connection.Respond("500 Oops");
  };
  client->Request("POST", "/x", {}, SimBody(0, 20'000));
  ASSERT_TRUE(sim->Until([&] { return client->answered() == 1; }));
  EXPECT_EQ(client->responses().back().status, 200);
  sim->loop.RunFor(milliseconds(10));
  EXPECT_TRUE(copied == SimBody(0, 20'000)) << copied.size();
  EXPECT_EQ(sim->cluster("shadow").breaker().requests, 0u);
}

TEST_F(ClusterPolicyTest, AMirrorThatHangsHoldsUpNobody) {
  edit = [](ClusterConfig&, RouteConfig& route) {
    route.mirror = MirrorConfig{.cluster = "shadow", .percent = 100};
    route.timeout = seconds(2);
  };
  options.drain.propagation_delay = options.drain.jitter = {};
  Start({{"a", 1}});
  sim->network.At("mirror").black_hole = true;
  for (int i = 0; i < 20; ++i) EXPECT_EQ(Ask(), 200);
  EXPECT_GT(sim->cluster("shadow").breaker().requests, 0u);
  const TimePoint before = sim->loop.Now();
  sim->BeginDrain();
  ASSERT_TRUE(sim->UntilExited());
  EXPECT_LT(sim->loop.Now() - before, seconds(2)) << "no drain waits for a mirror";
  sim->loop.RunFor(seconds(3));
  EXPECT_EQ(sim->cluster("shadow").breaker().requests, 0u);
}

TEST_F(ClusterPolicyTest, OnlySoManyAreMirrored) {
  edit = [](ClusterConfig&, RouteConfig& route) {
    route.mirror = MirrorConfig{.cluster = "shadow", .percent = 25};
  };
  Start({{"a", 1}});
  Add("mirror");
  for (int i = 0; i < 200; ++i) EXPECT_EQ(Ask(), 200);
  EXPECT_NEAR(static_cast<double>(At("mirror").messages()), 50, 25);
}

}  // namespace
}  // namespace sluice
