// What a client sees, and what the upstreams see, when attempts fail: two upstreams that do as they
// are told, and the whole proxy before them, on simulated time.
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>

#include "support/proxy_sim.h"
#include "support/script_origin.h"

namespace sluice {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using Connection = ScriptOrigin::Connection;

class RetryTest : public ::testing::Test {
 protected:
  // Called before the first request; again for another simulation.
  void Start() {
    client.reset();
    a.reset();
    b.reset();
    answered_ = 0;
    options.edit = [this](Config& config) {
      config.clusters[0].endpoints = endpoints;
      // What one does to the other is what is looked at, not what is thought of it.
      config.clusters[0].outlier.consecutive_connect_failures = 0;
      RouteConfig& route = config.listeners[0].virtual_hosts[0].routes[0];
      route.retries = retries;
      if (edit) edit(config.clusters[0], route);
    };
    sim = std::make_unique<ProxySim>(seed, options);
    a = std::make_unique<ScriptOrigin>(sim->loop, sim->network, "a");
    b = std::make_unique<ScriptOrigin>(sim->loop, sim->network, "b");
    client = sim->Connect();
  }

  void TearDown() override {
    client.reset();
    if (sim != nullptr) sim->loop.RunFor(seconds(60));
  }

  int Answer() {
    const size_t before = answered_;
    if (!sim->Until([&] { return client->answered() > before || client->ended(); })) return 0;
    answered_ = client->answered();
    EXPECT_EQ(client->complaint(), "");
    return answered_ > before ? client->responses().back().status : 0;
  }
  int Ask(const std::string& method, const std::string& body = {}) {
    client->Request(method, "/x", {}, body);
    return Answer();
  }
  // The status of gRPC that the client gets.
  std::string Call() {
    client->Request("POST", "/x", "Content-Type: application/grpc\r\nTE: trailers\r\n", "12345");
    EXPECT_EQ(Answer(), 200);
    return std::string(client->responses().back().Header("grpc-status"));
  }
  // Both upstreams do the same with whole requests.
  void Both(const std::function<void(Connection&)>& what) { a->on_message = b->on_message = what; }
  size_t messages() const { return a->messages() + b->messages(); }
  double Retries(const std::string& cause) const {
    return sim->Metric("sluice_upstream_retries_total", "reason=\"" + cause + "\"");
  }
  const RequestRecord& LastRecord() const { return sim->log.back().record; }

  uint64_t seed = 1;
  ProxySimOptions options;
  RetryConfig retries;
  std::vector<EndpointConfig> endpoints = {{"a", 1}, {"b", 1}};
  std::function<void(ClusterConfig&, RouteConfig&)> edit;
  std::unique_ptr<ProxySim> sim;
  std::unique_ptr<ScriptOrigin> a;
  std::unique_ptr<ScriptOrigin> b;
  std::unique_ptr<SimClient> client;

  size_t answered_ = 0;
};

const auto kReset = [](Connection& connection) { connection.Reset(); };

// Of whatever method: nothing was sent.
TEST_F(RetryTest, AConnectionThatIsRefusedIsMadeElsewhere) {
  Start();
  a->Stop();
  for (int i = 0; i < 10; ++i) EXPECT_EQ(Ask("POST", "body"), 200);
  EXPECT_EQ(b->messages(), 10u);
  EXPECT_GE(Retries("connect_failure"), 4);
}

// It may have come back since; the one that was just tried has not.
TEST_F(RetryTest, RatherOneThatIsSetAsideThanTheSameAgain) {
  Start();
  sim->loop.Dispatch([&] {
    sim->cluster().Learn(
        {EndpointNews::Kind::kEjected, "b", sim->loop.Now() + seconds(100), "earlier"});
  });
  a->Stop();
  for (int i = 0; i < 5; ++i) EXPECT_EQ(Ask("POST", "body"), 200);
  EXPECT_EQ(b->messages(), 5u);
}

TEST_F(RetryTest, WhatBreaksOffIsSentElsewhereIfItIsIdempotent) {
  Start();
  a->on_message = kReset;
  for (int i = 0; i < 10; ++i) EXPECT_EQ(Ask("GET"), 200);
  EXPECT_EQ(b->messages(), 10u);
}

TEST_F(RetryTest, APostThatWasSentWholeIsNeverSentAgain) {
  Start();
  Both(kReset);
  EXPECT_EQ(Ask("POST", "body"), 502);
  EXPECT_EQ(messages(), 1u);
}

TEST_F(RetryTest, UnlessTheRouteSaysThatEverythingMayBe) {
  retries.any_method = true;
  Start();
  a->on_message = kReset;
  for (int i = 0; i < 4; ++i) EXPECT_EQ(Ask("POST", "body"), 200);
}

TEST_F(RetryTest, ThereAreOnlySoManyAttempts) {
  retries.attempts = 4;
  Start();
  Both(kReset);
  EXPECT_EQ(Ask("GET"), 502);
  EXPECT_EQ(messages(), 5u);
  EXPECT_EQ(LastRecord().attempts, 5);
}

TEST_F(RetryTest, NeverTheSameTwiceInARowWhereThereIsAnother) {
  retries.attempts = 9;
  Start();
  std::string order;
  a->on_message = [&](Connection& connection) {
    order += 'a';
    connection.Reset();
  };
  b->on_message = [&](Connection& connection) {
    order += 'b';
    connection.Reset();
  };
  EXPECT_EQ(Ask("GET"), 502);
  EXPECT_EQ(order.size(), 10u);
  EXPECT_EQ(order.find("aa"), std::string::npos) << order;
  EXPECT_EQ(order.find("bb"), std::string::npos) << order;
}

TEST_F(RetryTest, WithoutAttemptsThereAreNone) {
  retries.attempts = 0;
  Start();
  Both(kReset);
  EXPECT_EQ(Ask("GET"), 502);
  EXPECT_EQ(messages(), 1u);
}

// ---- statuses

TEST_F(RetryTest, AStatusIsTriedElsewhereIfTheRouteWantsThat) {
  retries.statuses = {"503"};
  Start();
  a->on_message = [](Connection& connection) {
    connection.Respond("503 Service Unavailable", {}, "sorry");
  };
  for (int i = 0; i < 10; ++i) EXPECT_EQ(Ask("GET"), 200);
  EXPECT_GE(Retries("status"), 4);
  EXPECT_EQ(Ask("GET"), 200);
}

TEST_F(RetryTest, TheLastAnswerIsTheClients) {
  retries.statuses = {"500-599"};
  Start();
  Both([](Connection& connection) { connection.Respond("599 Odd", {}, "what it says"); });
  EXPECT_EQ(Ask("GET"), 599);
  EXPECT_EQ(client->responses().back().body_bytes, 12u);
  EXPECT_EQ(messages(), 3u);
}

TEST_F(RetryTest, AStatusOfAPostIsItsAnswer) {
  retries.statuses = {"503"};
  Start();
  Both([](Connection& connection) { connection.Respond("503 Service Unavailable"); });
  EXPECT_EQ(Ask("POST", "body"), 503);
  EXPECT_EQ(messages(), 1u);
}

TEST_F(RetryTest, RetryAfterIsNothingToAnotherEndpoint) {
  retries.statuses = {"503"};
  retries.backoff = {};
  Start();
  a->on_message = [](Connection& connection) {
    connection.Respond("503 Service Unavailable", "Retry-After: 5\r\n");
  };
  const TimePoint before = sim->loop.Now();
  for (int i = 0; i < 4; ++i) EXPECT_EQ(Ask("GET"), 200);
  EXPECT_LT(sim->loop.Now() - before, seconds(1));
}

TEST_F(RetryTest, RetryAfterIsWaitedForWhereThereIsNoOther) {
  retries.statuses = {"503"};
  endpoints = {{"a", 1}};
  Start();
  int times = 0;
  a->on_message = [&](Connection& connection) {
    ++times == 1 ? connection.Respond("503 Service Unavailable", "Retry-After: 5\r\n")
                 : connection.Respond("200 OK");
  };
  const TimePoint before = sim->loop.Now();
  EXPECT_EQ(Ask("GET"), 200);
  EXPECT_GE(sim->loop.Now() - before, seconds(5));
}

TEST_F(RetryTest, AnEndpointThatGetsNothingIsNoOther) {
  retries.statuses = {"503"};
  endpoints = {{"a", 1}, {"b", 0}};
  options.route_timeout = seconds(4);
  Start();
  a->on_message = [](Connection& connection) {
    connection.Respond("503 Service Unavailable", "Retry-After: 5\r\n");
  };
  EXPECT_EQ(Ask("GET"), 503);
  EXPECT_EQ(messages(), 1u);
}

TEST_F(RetryTest, RetryAfterBeyondTheTimeoutIsTheClients) {
  retries.statuses = {"503"};
  endpoints = {{"a", 1}};
  options.route_timeout = seconds(4);
  Start();
  a->on_message = [](Connection& connection) {
    connection.Respond("503 Service Unavailable", "Retry-After: 5\r\n");
  };
  EXPECT_EQ(Ask("GET"), 503);
  EXPECT_EQ(a->messages(), 1u);
  EXPECT_EQ(Retries("status"), 0) << "there was none";
}

// ---- statuses of gRPC

std::function<void(Connection&)> GrpcAnswer(int status) {
  return [=](Connection& connection) {
    connection.Respond("200 OK", "Content-Type: application/grpc\r\nGrpc-Status: " +
                                     std::to_string(status) + "\r\n");
  };
}

// Every call is a POST, so that its method says nothing of what a second one would do.
TEST_F(RetryTest, AGrpcStatusIsTriedElsewhereIfTheRouteWantsThat) {
  retries.grpc_statuses = {"unavailable"};
  Start();
  a->on_message = GrpcAnswer(14);
  b->on_message = GrpcAnswer(0);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(Call(), "0");
  EXPECT_EQ(b->messages(), 10u);
  EXPECT_GE(Retries("grpc_status"), 4);
}

TEST_F(RetryTest, TheLastGrpcStatusIsTheClients) {
  retries.grpc_statuses = {"unavailable"};
  Start();
  Both(GrpcAnswer(14));
  EXPECT_EQ(Call(), "14");
  EXPECT_EQ(messages(), 3u);
}

TEST_F(RetryTest, AnotherGrpcStatusIsTheAnswer) {
  retries.grpc_statuses = {"unavailable"};
  Start();
  Both(GrpcAnswer(13));
  EXPECT_EQ(Call(), "13");
  EXPECT_EQ(messages(), 1u);
}

TEST_F(RetryTest, ACallThatBreaksOffIsNotMadeAgainForItsStatus) {
  retries.grpc_statuses = {"unavailable"};
  Start();
  Both(kReset);
  EXPECT_EQ(Call(), "14");
  EXPECT_EQ(messages(), 1u);
}

// ---- time

TEST_F(RetryTest, AnAttemptThatTakesTooLongIsGivenUp) {
  retries.per_try_timeout = milliseconds(200);
  Start();
  a->on_message = [](Connection&) {};
  const TimePoint before = sim->loop.Now();
  for (int i = 0; i < 4; ++i) EXPECT_EQ(Ask("GET"), 200);
  EXPECT_GE(sim->loop.Now() - before, milliseconds(400));
  EXPECT_GE(Retries("try_timeout"), 2);
}

TEST_F(RetryTest, APostIsToldThatItTookTooLong) {
  retries.per_try_timeout = milliseconds(200);
  Start();
  Both([](Connection&) {});
  EXPECT_EQ(Ask("POST", "body"), 504);
  EXPECT_EQ(LastRecord().detail, "try_timeout");
  EXPECT_EQ(messages(), 1u);
}

TEST_F(RetryTest, AllAttemptsTogetherHaveTheTimeOfTheRoute) {
  retries.per_try_timeout = seconds(2);
  retries.attempts = 20;
  options.route_timeout = seconds(5);
  Start();
  Both([](Connection&) {});
  const TimePoint before = sim->loop.Now();
  EXPECT_EQ(Ask("GET"), 504);
  EXPECT_LE(sim->loop.Now() - before, milliseconds(5100));
  EXPECT_GE(messages(), 2u);
}

TEST_F(RetryTest, TheBackoffGrowsAndHasALimit) {
  retries.attempts = 8;
  retries.backoff = milliseconds(100);
  retries.max_backoff = milliseconds(400);
  for (seed = 1; seed <= 20; ++seed) {
    Start();
    Both(kReset);
    const TimePoint before = sim->loop.Now();
    EXPECT_EQ(Ask("GET"), 502);
    EXPECT_LE(sim->loop.Now() - before, milliseconds(100 + 200 + 6 * 400 + 100));
    EXPECT_GE(sim->loop.Now() - before, milliseconds(200)) << "seven times zero is not likely";
  }
}

TEST_F(RetryTest, ABackoffBeyondItsLimitIsTheLimit) {
  retries.attempts = 20;
  retries.backoff = std::chrono::hours(8760);
  retries.max_backoff = milliseconds(1);
  Start();
  Both(kReset);
  const TimePoint before = sim->loop.Now();
  EXPECT_EQ(Ask("GET"), 502);
  EXPECT_EQ(messages(), 21u);
  EXPECT_LE(sim->loop.Now() - before, seconds(1));
}

// ---- a drain

TEST_F(RetryTest, NoRetryBeginsThatTheDrainWouldCut) {
  retries.backoff = retries.max_backoff = seconds(10);
  retries.statuses = {"503"};
  options.drain.propagation_delay = options.drain.jitter = {};
  options.drain.deadline = seconds(3);
  endpoints = {{"a", 1}};
  edit = [](ClusterConfig&, RouteConfig& route) { route.timeout = seconds(60); };
  Start();
  Connection* held = nullptr;
  a->on_message = [&](Connection& connection) { held = &connection; };
  client->Request("GET", "/x");
  ASSERT_TRUE(sim->Until([&] { return held != nullptr; }));
  sim->BeginDrain();
  ASSERT_TRUE(sim->UntilPhase(Phase::kDraining));
  sim->loop.Dispatch(
      [&] { held->Respond("503 Service Unavailable", "Retry-After: 9\r\n", "from the upstream"); });
  EXPECT_EQ(Answer(), 503);
  EXPECT_EQ(client->responses().back().body_bytes, 17u) << "and not an answer of ours";
  ASSERT_TRUE(sim->UntilExited());
  EXPECT_EQ(sim->Progress().cut_total(), 0u);
}

TEST_F(RetryTest, ADrainWaitsForARetry) {
  options.drain.propagation_delay = options.drain.jitter = {};
  Start();
  Both([](Connection&) {});
  client->Request("GET", "/x");
  ASSERT_TRUE(sim->Until([&] { return messages() == 1; }));
  sim->BeginDrain();
  ASSERT_TRUE(sim->UntilPhase(Phase::kDraining));
  ScriptOrigin& first = a->messages() == 1 ? *a : *b;
  (&first == a.get() ? *b : *a).on_message = nullptr;
  sim->loop.Dispatch([&] { first.Kill(); });
  EXPECT_EQ(Answer(), 200);
  ASSERT_TRUE(sim->UntilExited());
  EXPECT_EQ(sim->Progress().cut_total(), 0u);
}

// ---- the budget

TEST_F(RetryTest, ADyingClusterIsNotMetWithTwiceTheLoad) {
  constexpr int kClients = 100;
  edit = [](ClusterConfig& cluster, RouteConfig&) { cluster.circuit_breaker.retry_percent = 10; };
  Start();
  Both([](Connection&) {});
  std::vector<std::unique_ptr<SimClient>> clients;
  for (int i = 0; i < kClients; ++i) {
    clients.push_back(sim->Connect());
    clients.back()->Request("GET", "/x");
  }
  ASSERT_TRUE(sim->Until([&] { return messages() == kClients; }));
  sim->loop.Dispatch([&] {
    for (ScriptOrigin* origin : {a.get(), b.get()}) {
      for (const auto& connection : origin->connections) connection->Reset();
    }
  });
  sim->loop.RunFor(seconds(1));
  EXPECT_LE(messages(), kClients + kClients / 10u);
  EXPECT_EQ(Retries("reset"), messages() - kClients);
  EXPECT_GT(messages(), static_cast<size_t>(kClients));
  EXPECT_GT(sim->Metric("sluice_upstream_retry_overflow_total"), 0);
  for (auto& one : clients) one.reset();
}

}  // namespace
}  // namespace sluice
