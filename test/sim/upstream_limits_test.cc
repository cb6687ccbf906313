// The limits of a cluster and of a route: who waits, who is turned away, and that everybody who
// waits is served or told in time.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
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

class UpstreamLimitsTest : public ClusterSim {
 protected:
  void LimitConnections(uint32_t limit, Duration route_timeout = seconds(15)) {
    edit = [=](ClusterConfig& cluster, RouteConfig& route) {
      cluster.circuit_breaker.connections = limit;
      route.timeout = route_timeout;
    };
  }
  // A client that has sent a request, and the upstream's end of it, which is not answered.
  struct Held {
    std::unique_ptr<SimClient> client;
    Connection* at = nullptr;
  };
  Held Hold() {
    Held held{sim->Connect(), nullptr};
    for (auto& [address, origin] : origins) {
      origin->on_message = [&](Connection& connection) { held.at = &connection; };
    }
    held.client->Request("GET", "/held");
    EXPECT_TRUE(sim->Until([&] { return held.at != nullptr; }));
    for (auto& [address, origin] : origins) origin->on_message = nullptr;
    return held;
  }
  std::unique_ptr<SimClient> Upload(size_t length, const std::string& begun) {
    auto uploading = sim->Connect();
    uploading->Begin("POST", "/x",
                     "POST /x HTTP/1.1\r\nHost: sim.test\r\nContent-Length: " +
                         std::to_string(length) + "\r\n\r\n" + begun);
    sim->loop.RunFor(milliseconds(10));
    return uploading;
  }
};

// ---- connections

// Idle connections elsewhere must not starve an endpoint of its first.
TEST_F(UpstreamLimitsTest, TheBreakerLimitsConnectionsOfAllEndpointsTogether) {
  edit = [](ClusterConfig& cluster, RouteConfig&) { cluster.circuit_breaker.connections = 1; };
  Start(kTwo);
  const auto got = Spread(20);
  EXPECT_EQ(got.at("a"), 10u);
  EXPECT_EQ(got.at("b"), 10u);
  EXPECT_EQ(sim->network.open_at_client("a") + sim->network.open_at_client("b"), 1u);
}

TEST_F(UpstreamLimitsTest, EachEndpointMayHaveOneConnection) {
  LimitConnections(1);
  Start(kTwo);
  const Held first = Hold();
  EXPECT_EQ(Ask(), 200) << "on the other endpoint";
  sim->loop.Dispatch([&] { first.at->Respond("200 OK"); });
  sim->loop.RunFor(milliseconds(10));
  EXPECT_EQ(sim->cluster().breaker().connections, 1u) << "not for longer than it is needed";
}

// Nobody else would tell the one who waits.
TEST_F(UpstreamLimitsTest, AConnectionThatBecomesIdleMakesRoomElsewhere) {
  LimitConnections(2);
  Start(kTwo);
  const Held one = Hold();
  const Held other = Hold();
  client->Request("GET", "/x");
  sim->loop.RunFor(milliseconds(10));
  ASSERT_EQ(sim->cluster().breaker().pending, 1u);
  // It waits for the endpoint of the first.
  sim->loop.Dispatch([&] { other.at->Respond("200 OK"); });
  sim->loop.RunFor(milliseconds(10));
  EXPECT_EQ(client->answered(), 1u);
  EXPECT_EQ(one.client->answered(), 0u);
}

TEST_F(UpstreamLimitsTest, WhoWaitsForAnEndpointThatIsRemovedIsServed) {
  LimitConnections(2);
  Start(kTwo);
  const Held one = Hold();
  const Held other = Hold();
  auto waiting = Upload(10, "12345");
  ASSERT_EQ(sim->cluster().breaker().pending, 1u);
  Add("c");
  sim->loop.Dispatch([&] {
    other.at->Respond("200 OK");
    sim->cluster().SetEndpoints({{"c", 1}});
  });
  sim->loop.RunFor(milliseconds(10));
  EXPECT_EQ(sim->cluster().breaker().pending, 0u);
}

TEST_F(UpstreamLimitsTest, AnUploadDoesNotWaitForAConnectionForEver) {
  LimitConnections(1, seconds(10));
  Start({{"a", 1}});
  const Held events = Hold();
  sim->loop.Dispatch(
      [&] { events.at->Write("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"); });
  auto waiting = Upload(100'000, "12345");
  for (int i = 0; i < 12; ++i) {
    sim->loop.Dispatch([&] { events.at->Write(": still here\n\n"); });
    sim->loop.RunFor(seconds(1));
  }
  ASSERT_EQ(waiting->answered(), 1u);
  EXPECT_EQ(waiting->responses().back().status, 504);
}

// Whoever reads at all has all the time it needs.
TEST_F(UpstreamLimitsTest, AnUploadIsGivenUpOnlyWhenNothingOfItIsRead) {
  LimitConnections(1, seconds(4));
  Start({{"a", 1}});
  Connection* slow = nullptr;
  At("a").on_body = [&](Connection& connection) {
    slow = &connection;
    connection.PauseReading();
  };
  auto uploading = sim->Connect();
  uploading->Upload("/x", 4'000'000, 64 * 1024, Duration{});
  ASSERT_TRUE(sim->Until([&] { return slow != nullptr; }));
  for (int i = 0; i < 5; ++i) {
    sim->loop.RunFor(seconds(3));
    EXPECT_EQ(uploading->answered(), 0u) << "after " << 3 * i << " s";
    sim->loop.Dispatch([&] { slow->ResumeReading(); });  // for one more piece
  }
  sim->loop.RunFor(seconds(9));
  EXPECT_TRUE(uploading->answered() == 1 || uploading->ended());
  EXPECT_EQ(sim->cluster().breaker().requests, 0u);
}

// A place that becomes free is not for those who are about to hear that there is none.
TEST_F(UpstreamLimitsTest, AFailedAttemptIsMadeOnce) {
  edit = [](ClusterConfig& cluster, RouteConfig& route) {
    cluster.circuit_breaker.connections = 1;
    cluster.outlier.consecutive_connect_failures = 0;
    route.retries.attempts = 0;
  };
  Start({{"a", 1}});
  At("a").Stop();
  EXPECT_EQ(Ask(), 503);
  EXPECT_EQ(sim->Metric("sluice_upstream_connect_failures_total"), 1);
}

// ---- requests, and those who wait

TEST_F(UpstreamLimitsTest, TheBreakerLimitsRequests) {
  edit = [](ClusterConfig& cluster, RouteConfig&) { cluster.circuit_breaker.requests = 2; };
  Start(kTwo);
  for (auto& [address, origin] : origins) origin->on_message = [](Connection&) {};
  std::vector<std::unique_ptr<SimClient>> clients;
  for (int i = 0; i < 2; ++i) {
    clients.push_back(sim->Connect());
    clients.back()->Request("GET", "/hold");
  }
  sim->loop.RunFor(milliseconds(10));
  EXPECT_EQ(Ask(), 503);
  EXPECT_EQ(sim->log.back().record.detail, "pending_overflow");
  clients.clear();
}

TEST_F(UpstreamLimitsTest, TheBreakerLimitsThoseWhoWaitForAConnection) {
  constexpr size_t kPending = 2;
  edit = [](ClusterConfig& cluster, RouteConfig&) {
    cluster.circuit_breaker.connections = 1;
    cluster.circuit_breaker.pending = kPending;
  };
  Start({{"a", 1}});
  Connection* busy = nullptr;
  At("a").on_message = [&](Connection& connection) { busy = &connection; };
  client->Request("GET", "/hold");
  ASSERT_TRUE(sim->Until([&] { return busy != nullptr; }));
  std::deque<std::unique_ptr<SimClient>> waiting;
  const auto add = [&] {
    waiting.push_back(sim->Connect());
    waiting.back()->Request("GET", "/x");
    sim->loop.RunFor(milliseconds(10));
    return waiting.back()->answered() == 0 ? 0 : waiting.back()->responses().back().status;
  };
  for (size_t i = 0; i < kPending; ++i) EXPECT_EQ(add(), 0);
  EXPECT_EQ(add(), 503);
  EXPECT_EQ(sim->log.back().record.detail, "pending_overflow");
  sim->loop.Dispatch([&] { waiting.front()->Reset(); });
  waiting.pop_front();
  sim->loop.RunFor(milliseconds(10));
  EXPECT_EQ(add(), 0) << "one has left";
  At("a").on_message = nullptr;
  sim->loop.Dispatch([&] { busy->Respond("200 OK"); });
  for (const size_t served : {size_t{0}, size_t{2}}) {
    EXPECT_TRUE(sim->Until([&] { return waiting[served]->answered() == 1; }));
    EXPECT_EQ(waiting[served]->responses().back().status, 200);
  }
}

// How well is a matter of wait_limiter_test.cc.
TEST_F(UpstreamLimitsTest, WhatWouldWaitTooLongIsTurnedAway) {
  edit = [](ClusterConfig& cluster, RouteConfig&) {
    cluster.circuit_breaker.max_wait = milliseconds(100);
    cluster.circuit_breaker.admit_always = 2;
  };
  Start({{"a", 1}});
  std::vector<Connection*> held;
  At("a").on_message = [&](Connection& connection) { held.push_back(&connection); };
  std::vector<std::unique_ptr<SimClient>> waiting;
  for (int i = 0; i < 5; ++i) {
    waiting.push_back(sim->Connect());
    waiting.back()->Request("GET", "/x");
  }
  sim->loop.RunFor(seconds(1));
  ASSERT_EQ(held.size(), 5u);
  EXPECT_EQ(Ask(), 503);
  EXPECT_EQ(sim->log.back().record.detail, "upstream_overload");
  EXPECT_EQ(sim->Metric("sluice_upstream_overload_total"), 1);
  // With its head an answer is there, however long the rest takes.
  sim->loop.Dispatch([&] {
    for (Connection* connection : held) {
      connection->Write("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n");
    }
  });
  At("a").on_message = nullptr;
  sim->loop.RunFor(seconds(1));
  for (int i = 0; i < 10; ++i) EXPECT_EQ(Ask(), 200);
}

// A request that needs a connection waits for it, if only for a moment.
TEST_F(UpstreamLimitsTest, OneMayWaitWhereOneMayWait) {
  edit = [](ClusterConfig& cluster, RouteConfig&) { cluster.circuit_breaker.pending = 1; };
  Start(kTwo);
  EXPECT_EQ(Ask(), 200);
}

TEST_F(UpstreamLimitsTest, ARateLimitIsExactAndSaysWhen) {
  edit = [](ClusterConfig&, RouteConfig& route) {
    route.rate_limit = RateLimitConfig{.requests = 2, .per = seconds(1), .burst = 3};
  };
  Start(kTwo);
  std::vector<int> statuses;
  for (int i = 0; i < 5; ++i) statuses.push_back(Ask());
  EXPECT_THAT(statuses, ElementsAre(200, 200, 200, 429, 429));
  EXPECT_EQ(client->responses().back().Header("retry-after"), "1");
  EXPECT_EQ(sim->log.back().record.detail, "rate_limit");
  sim->loop.RunFor(milliseconds(500));
  EXPECT_EQ(Ask(), 200);
  EXPECT_EQ(Ask(), 429);
}

TEST_F(UpstreamLimitsTest, ARouteLimitsWhatIsInFlight) {
  edit = [](ClusterConfig&, RouteConfig& route) { route.max_in_flight = 1; };
  Start(kTwo);
  for (auto& [address, origin] : origins) origin->on_message = [](Connection&) {};
  auto slow = sim->Connect();
  slow->Request("GET", "/hold");
  sim->loop.RunFor(milliseconds(10));
  EXPECT_EQ(Ask(), 503);
  EXPECT_EQ(sim->log.back().record.detail, "max_in_flight");
  slow->Reset();
  sim->loop.RunFor(milliseconds(10));
  for (auto& [address, origin] : origins) origin->on_message = nullptr;
  EXPECT_EQ(Ask(), 200) << "the place was given back";
  slow.reset();
}

// A copy has an answer as any other request, only that nobody wants it.
TEST_F(UpstreamLimitsTest, MirroredRequestsAreAnsweredToo) {
  edit = [](ClusterConfig&, RouteConfig& route) {
    route.mirror = MirrorConfig{.cluster = "shadow", .percent = 100};
  };
  edit_mirror = [](ClusterConfig& cluster) {
    cluster.circuit_breaker.max_wait = milliseconds(100);
    cluster.circuit_breaker.admit_always = 1;
  };
  Start(kTwo);
  Add("mirror");
  Connection* held = nullptr;
  At("mirror").on_message = [&](Connection& connection) { held = &connection; };
  for (int i = 0; i < 100; ++i) {
    held = nullptr;
    EXPECT_EQ(Ask(), 200);
    sim->loop.RunFor(milliseconds(40));
    ASSERT_NE(held, nullptr) << "at the " << i << "th";
    sim->loop.Dispatch([&] { held->Respond("200 OK"); });
    sim->loop.RunFor(milliseconds(1));
  }
  EXPECT_EQ(sim->Metric("sluice_upstream_overload_total"), 0);
}

TEST_F(UpstreamLimitsTest, ALongPollTurnsNobodyAway) {
  edit = [](ClusterConfig& cluster, RouteConfig& route) {
    cluster.circuit_breaker.max_wait = milliseconds(250);
    route.timeout = seconds(60);
  };
  Start({{"a", 1}});
  const Held poll = Hold();
  sim->loop.RunFor(seconds(2));
  std::vector<std::unique_ptr<SimClient>> burst;
  for (int i = 0; i < 40; ++i) {
    burst.push_back(sim->Connect());
    burst.back()->Request("GET", "/x");
  }
  sim->loop.RunFor(seconds(1));
  for (const auto& one : burst) EXPECT_EQ(one->responses().back().status, 200);
}

}  // namespace
}  // namespace sluice
