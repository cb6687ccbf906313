// The pool over a simulated network, against origins that count their connections and streams.
#include "upstream/endpoint_pool.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/metrics.h"
#include "support/alpn_dialer.h"
#include "support/sim_h2_origin.h"
#include "support/sim_loop.h"
#include "support/sim_network.h"
#include "support/sim_origin.h"

namespace sluice {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::Each;
using testing::ElementsAre;
using testing::SizeIs;

// Somebody who sends one GET.
class Visitor final : public ConnectionWaiter, public ResponseReceiver {
 public:
  explicit Visitor(const std::string& path) {
    request.method_name = "GET";
    request.scheme = "http";
    request.authority = "app.test";
    request.path = request.arena.Copy(path);
  }

  RequestHead request;
  ClientConnection* connection = nullptr;  // while the exchange goes on
  const void* served_by = nullptr;         // the connection it got, for comparison
  bool reused = false;
  std::optional<ConnectFailure> none;
  int status = 0;
  bool complete = false;
  std::optional<UpstreamFailure> failure;
  std::vector<Visitor*>* order = nullptr;  // of those who got a connection
  std::function<void()> on_failure;

  void Cancel() { std::exchange(stream_, nullptr)->Cancel(); }

 private:
  void OnConnection(ClientConnection& got, EndpointPool&, bool was_used) override {
    EXPECT_GT(got.room(), 0u) << "a connection without room";
    served_by = connection = &got;
    reused = was_used;
    if (order != nullptr) order->push_back(this);
    stream_ = &got.StartRequest(request, true, *this);
  }
  void OnNoConnection(ConnectFailure why) override {
    EXPECT_FALSE(none) << "told twice";
    none = why;
  }

  void OnInformational(const ResponseHead&) override {}
  void OnResponseHead(ResponseHead& head, bool end_stream) override {
    status = head.status;
    if (end_stream) complete = true;
  }
  void OnResponseBody(std::string_view, bool end_stream) override { complete |= end_stream; }
  void OnResponseTrailers(const HeaderList&) override { complete = true; }
  void OnRequestWritable() override {}
  void OnUpstreamFailure(const UpstreamFailure& what) override {
    EXPECT_FALSE(failure) << "failed twice";
    failure = what;
    if (on_failure) on_failure();
  }

  ClientStream* stream_ = nullptr;
};

class PoolTest : public ::testing::Test {
 protected:
  PoolTest() {
    config.name = "app";
    config.protocol = UpstreamProtocol::kHttp2;
    endpoint.address = "h2";
  }

  void TearDown() override {
    pool.reset();
    loop.RunFor(seconds(1));
    EXPECT_THAT(h2_origin.complaints(), SizeIs(0));
    EXPECT_EQ(Metric("sluice_upstream_connections_open"), 0);
  }

  void Open(Dialer& dialer) {
    pool = std::make_unique<EndpointPool>(loop, dialer, config, endpoint, metrics);
  }

  Visitor& Ask(const std::string& path, ConnectionNeeds needs = {}) {
    if (pool == nullptr) Open(network);
    Visitor& visitor = visitors.emplace_back(path);
    visitor.order = &order;
    loop.Dispatch([&] { pool->Acquire(visitor, needs); });
    return visitor;
  }
  // `count` requests at once.
  void Burst(size_t count, const std::string& path) {
    for (size_t i = 0; i < count; ++i) Ask(path);
  }
  void Run(Duration span = milliseconds(100)) { loop.RunFor(span); }

  size_t complete() const {
    return std::count_if(visitors.begin(), visitors.end(),
                         [](const Visitor& visitor) { return visitor.complete; });
  }
  size_t without_connection() const {
    return std::count_if(visitors.begin(), visitors.end(),
                         [](const Visitor& visitor) { return visitor.none.has_value(); });
  }

  double Metric(const std::string& name) {
    double sum = 0;
    for (const auto& family : all_metrics.Collect()) {
      if (family.name != name) continue;
      for (const auto& metric : family.metric) sum += metric.counter.value + metric.gauge.value;
    }
    return sum;
  }

  SimLoop loop;
  SimNetwork network{loop};
  SimH2Origin h2_origin{loop, network, "h2"};
  SimOrigin h1_origin{loop, network, "h1"};
  Metrics all_metrics;
  ClusterMetrics metrics{"app", all_metrics.AddShard()};
  ClusterConfig config;
  EndpointConfig endpoint;
  std::deque<Visitor> visitors;
  std::vector<Visitor*> order;
  std::unique_ptr<EndpointPool> pool;
};

// ---- how many connections

TEST_F(PoolTest, RequestsShareOneConnection) {
  Burst(50, "/hold");
  Run();
  EXPECT_EQ(h2_origin.connections(), 1u);
  EXPECT_EQ(h2_origin.held(), 50u);
  h2_origin.Release();
  Run();
  EXPECT_EQ(complete(), 50u);
  EXPECT_EQ(Metric("sluice_upstream_connections_total"), 1);
  EXPECT_EQ(Metric("sluice_upstream_requests_total"), 50);
}

TEST_F(PoolTest, ABurstMakesAsManyConnectionsAsItFills) {
  config.http2.max_concurrent_streams = 100;
  Burst(500, "/hold");
  Run();
  EXPECT_EQ(h2_origin.connections(), 5u);
  EXPECT_EQ(h2_origin.held(), 500u);
  EXPECT_EQ(h2_origin.peak_streams(), 100u);
  h2_origin.Release();
  Run();
  EXPECT_EQ(complete(), 500u);
}

TEST_F(PoolTest, AFullConnectionIsFollowedByAnother) {
  h2_origin.options.http2.max_streams = 2;
  Ask("/fast");
  Run();
  Burst(2, "/hold");
  Run();
  EXPECT_EQ(h2_origin.connections(), 1u);
  Ask("/hold");
  Run();
  EXPECT_EQ(h2_origin.connections(), 2u);
  EXPECT_EQ(h2_origin.held(), 3u);
  h2_origin.Release();
  Run();
  EXPECT_EQ(complete(), 4u);
}

TEST_F(PoolTest, WhatAConnectionCarriesIsRemembered) {
  h2_origin.options.http2.max_streams = 10;
  Ask("/fast");
  Run();
  Burst(45, "/hold");
  Run();
  EXPECT_EQ(h2_origin.held(), 45u) << "none was refused";
  EXPECT_EQ(h2_origin.connections(), 5u);
}

TEST_F(PoolTest, ALimitOfConnectionsIsKeptAndWhoWaitsIsServedInOrder) {
  config.max_connections = 1;
  config.http2.max_concurrent_streams = 2;
  Burst(6, "/hold");
  Run();
  for (size_t round = 1; round <= 3; ++round) {
    EXPECT_EQ(h2_origin.held(), 2u);
    EXPECT_EQ(order.size(), 2 * round);
    h2_origin.Release();
    Run();
  }
  EXPECT_EQ(complete(), 6u);
  EXPECT_EQ(h2_origin.connections(), 1u);
  for (size_t i = 0; i < visitors.size(); ++i) EXPECT_EQ(order[i], &visitors[i]) << i;
}

TEST_F(PoolTest, TooManyWhoWaitAreTurnedAway) {
  config.max_connections = 1;
  config.http2.max_concurrent_streams = 1;
  config.max_pending = 2;
  Ask("/hold");
  Run();
  Burst(3, "/hold");
  EXPECT_THAT(visitors.back().none, ConnectFailure::kOverflow);
  EXPECT_EQ(without_connection(), 1u);
  EXPECT_EQ(Metric("sluice_upstream_pending_overflow_total"), 1);
  EXPECT_EQ(Metric("sluice_upstream_requests_total"), 1) << "the others were not sent";
}

TEST_F(PoolTest, WhoStopsWaitingIsNotServed) {
  config.max_connections = 1;
  config.http2.max_concurrent_streams = 1;
  config.max_pending = 1;
  Ask("/hold");
  Run();
  Visitor& leaves = Ask("/hold");
  leaves.StopWaiting();
  Visitor& stays = Ask("/hold");
  EXPECT_FALSE(stays.none) << "the place of the other is free";
  h2_origin.Release();
  Run();
  EXPECT_EQ(leaves.served_by, nullptr);
  EXPECT_NE(stays.served_by, nullptr);
}

// ---- which connection

TEST_F(PoolTest, AnIdleConnectionIsUsedAgain) {
  for (int i = 0; i < 3; ++i) {
    Visitor& visitor = Ask("/fast");
    Run();
    EXPECT_EQ(visitor.reused, i > 0);
  }
  EXPECT_EQ(h2_origin.connections(), 1u);
  EXPECT_EQ(complete(), 3u);
}

TEST_F(PoolTest, AConnectionInUseIsUsedBeforeAnIdleOne) {
  config.http2.max_concurrent_streams = 2;
  Burst(4, "/hold");
  Run();
  ASSERT_EQ(h2_origin.connections(), 2u);
  visitors[0].Cancel();
  visitors[1].Cancel();
  visitors[2].Cancel();
  Run();
  EXPECT_EQ(Ask("/hold").served_by, visitors[3].served_by);
}

TEST_F(PoolTest, TheOthersAgeAndClose) {
  config.http2.max_concurrent_streams = 10;
  config.idle_timeout = seconds(10);
  Burst(30, "/hold");
  Run();
  ASSERT_EQ(h2_origin.connections(), 3u);
  h2_origin.Release();
  for (int i = 0; i < 30; ++i) {
    Run(seconds(1));
    Ask("/fast");
  }
  Run();
  EXPECT_EQ(h2_origin.open_connections(), 1u);
  EXPECT_EQ(h2_origin.connections(), 3u);
  Run(seconds(11));
  EXPECT_EQ(h2_origin.open_connections(), 0u);
}

TEST_F(PoolTest, MaxIdleHoldsForSharedConnections) {
  config.http2.max_concurrent_streams = 1;
  config.max_idle = 2;
  Burst(5, "/hold");
  Run();
  ASSERT_EQ(h2_origin.connections(), 5u);
  h2_origin.Release();
  Run();
  EXPECT_EQ(h2_origin.open_connections(), 2u);
}

TEST_F(PoolTest, AConnectionIsWornOutByItsRequests) {
  config.max_requests_per_connection = 3;
  Burst(3, "/hold");
  Run();
  Burst(1, "/hold");
  Run();
  EXPECT_EQ(h2_origin.connections(), 2u);
  EXPECT_EQ(h2_origin.open_connections(), 2u) << "the first one finishes what it carries";
  h2_origin.Release();
  Run();
  EXPECT_EQ(complete(), 4u);
  EXPECT_EQ(h2_origin.open_connections(), 1u);
}

TEST_F(PoolTest, CloseIdleSparesWhatIsInUse) {
  config.http2.max_concurrent_streams = 1;
  Burst(2, "/hold");
  Run();
  visitors[0].Cancel();
  Run();
  ASSERT_EQ(h2_origin.open_connections(), 2u);
  loop.Dispatch([&] { pool->CloseIdle(); });
  Run();
  EXPECT_EQ(h2_origin.open_connections(), 1u);
  h2_origin.Release();
  Run();
  EXPECT_EQ(complete(), 1u);
}

// ---- goodbyes of the upstream

TEST_F(PoolTest, AConnectionThatWasToldToGoTakesNothingMore) {
  Ask("/hold");
  Run();
  h2_origin.GoawayAll();
  Run();
  Ask("/fast");
  Run();
  EXPECT_EQ(h2_origin.connections(), 2u);
  EXPECT_FALSE(visitors[0].failure);
  h2_origin.Release();
  Run();
  EXPECT_EQ(complete(), 2u);
  EXPECT_EQ(h2_origin.open_connections(), 1u) << "the old one is closed with its last exchange";
}

TEST_F(PoolTest, AnIdleConnectionThatWasToldToGoIsClosed) {
  Ask("/fast");
  Run();
  h2_origin.GoawayAll();
  Run();
  EXPECT_EQ(h2_origin.open_connections(), 0u);
}

TEST_F(PoolTest, AConnectionThatGoesDoesNotHoldUpAnother) {
  config.max_connections = 1;
  Ask("/hold");
  Run();
  h2_origin.GoawayAll();
  Run();
  Ask("/fast");
  Run();
  EXPECT_TRUE(visitors[1].complete) << "it need not wait for the long exchange on the old one";
}

TEST_F(PoolTest, WhoWaitsForAFullConnectionThatGoesGetsAnother) {
  config.max_connections = 1;
  config.http2.max_concurrent_streams = 1;
  Ask("/hold");
  Run();
  Ask("/fast");
  Run();
  EXPECT_EQ(visitors[1].served_by, nullptr);
  h2_origin.GoawayAll();
  Run();
  EXPECT_TRUE(visitors[1].complete);
}

// ---- replays

TEST_F(PoolTest, AReplayGetsAConnectionThatWasNeverUsed) {
  Ask("/hold");
  Run();
  Visitor& again = Ask("/fast", {.fresh = true});
  Run();
  EXPECT_FALSE(again.reused);
  EXPECT_NE(again.served_by, visitors[0].served_by);
}

TEST_F(PoolTest, ReplaysShareTheirConnection) {
  Ask("/hold");
  Run();
  for (int i = 0; i < 50; ++i) Ask("/fast", {.fresh = true});
  Run();
  EXPECT_EQ(complete(), 50u);
  EXPECT_EQ(h2_origin.connections(), 2u);
}

TEST_F(PoolTest, AReplayMakesDoWithWhatThereIsAtTheLimit) {
  config.max_connections = 1;
  Ask("/hold");
  Run();
  Visitor& again = Ask("/fast", {.fresh = true});
  h2_origin.Release();
  Run();
  EXPECT_TRUE(again.complete);
}

TEST_F(PoolTest, AReplayIsNotPutBackOnWhatRefusedIt) {
  Visitor& post = Ask("/refuse?times=1");
  Visitor& again = visitors.emplace_back("/refuse?times=1");
  post.on_failure = [&] { pool->Acquire(again, {.fresh = true}); };
  Run();
  EXPECT_TRUE(again.complete);
  EXPECT_NE(again.served_by, post.served_by);
}

// ---- failures

TEST_F(PoolTest, AFailedAttemptFailsAllWhomItWasToCarry) {
  network.At("h2").black_hole = true;
  Burst(500, "/fast");
  Run(config.connect_timeout + milliseconds(10));
  EXPECT_EQ(without_connection(), 500u) << "not one after the other";
  EXPECT_EQ(Metric("sluice_upstream_connect_failures_total"), 5);
}

TEST_F(PoolTest, ARefusedConnectionIsToldAtOnce) {
  network.StopListening("h2");
  Ask("/fast");
  Run();
  EXPECT_EQ(visitors[0].none, ConnectFailure::kRefused);
}

TEST_F(PoolTest, ABrokenConnectionFailsItsExchangesAndIsReplaced) {
  Burst(3, "/hold");
  Run();
  h2_origin.ResetAll();
  Run();
  for (const Visitor& visitor : visitors) EXPECT_TRUE(visitor.failure);
  Ask("/fast");
  Run();
  EXPECT_TRUE(visitors.back().complete);
}

TEST_F(PoolTest, ThePoolMayDieWithExchangesUnderWay) {
  Burst(3, "/hold");
  Run();
  Ask("/hold");
  loop.Dispatch([&] { pool.reset(); });
  Run();
  for (const Visitor& visitor : visitors) EXPECT_TRUE(visitor.failure);
}

// ---- protocols

TEST_F(PoolTest, Http1OpensOneConnectionForEachWhoWaits) {
  config.protocol = UpstreamProtocol::kHttp1;
  endpoint.address = "h1";
  Burst(20, "/hold");
  Run();
  EXPECT_EQ(h1_origin.connections(), 20u);
  EXPECT_EQ(h1_origin.held(), 20u);
  h1_origin.Release();
  Run();
  Ask("/fast");
  Run();
  EXPECT_EQ(complete(), 21u);
  EXPECT_EQ(h1_origin.connections(), 20u);
}

TEST_F(PoolTest, AutoIsHttp1WithoutTls) {
  config.protocol = UpstreamProtocol::kAuto;
  endpoint.address = "h1";
  Burst(20, "/hold");
  Run();
  EXPECT_EQ(h1_origin.held(), 20u);
  EXPECT_EQ(h1_origin.connections(), 20u);
}

TEST_F(PoolTest, AutoIsWhatTlsAgreesOn) {
  config.protocol = UpstreamProtocol::kAuto;
  AlpnDialer dialer(network, "h2");
  Open(dialer);
  Burst(20, "/hold");
  Run();
  EXPECT_EQ(h2_origin.connections(), 1u);
  EXPECT_EQ(h2_origin.held(), 20u);
  EXPECT_THAT(h2_origin.seen().front().request.headers,
              testing::Contains(testing::Pair(":scheme", "https")));
  pool.reset();
}

TEST_F(PoolTest, Http2InsistsOnItsProtocol) {
  AlpnDialer dialer(network, "http/1.1");
  Open(dialer);
  Burst(3, "/fast");
  Run();
  for (const Visitor& visitor : visitors) EXPECT_EQ(visitor.none, ConnectFailure::kNoHttp2);
  pool.reset();
}

}  // namespace
}  // namespace sluice
