// Which requests are sent again, how often and where to: the proxy between a FakeStream and HTTP/2
// upstreams that do as they are told.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "base/metrics.h"
#include "config/config.h"
#include "proxy/proxy.h"
#include "support/fake_stream.h"
#include "support/h2_upstream.h"
#include "support/proxy_extras.h"
#include "support/sim_loop.h"
#include "support/sim_network.h"
#include "upstream/cluster.h"

namespace sluice {
namespace {

using std::chrono::milliseconds;
using testing::ElementsAre;
using testing::Pair;

class ReplayDecisionTest : public ::testing::Test {
 protected:
  ReplayDecisionTest() {
    config.name = "app";
    config.protocol = UpstreamProtocol::kHttp2;
    config.endpoints = {{"a", 1}};
    Listen("a");
  }

  // Clients leave before the proxy does.
  void TearDown() override {
    loop.Dispatch([&] {
      for (const auto& stream : streams) stream->Reset();
    });
    for (const auto& upstream : upstreams) EXPECT_EQ(upstream->session().complaint(), "");
  }

  void Listen(const std::string& address) {
    network.At(address).accept = [this, address](std::unique_ptr<Transport> transport) {
      auto& upstream =
          upstreams.emplace_back(std::make_unique<TestH2Upstream>(loop, std::move(transport)));
      upstream->session().Start();
      addresses.push_back(address);
    };
  }

  // A request that is on its way, as far as it goes without the rest of its body.
  FakeStream& Send(std::string_view method, bool end_stream = true) {
    if (proxy == nullptr) {
      clusters["app"] = std::make_unique<Cluster>(loop, network, config, shard);
      proxy = std::make_unique<Proxy>(
          Proxy::Surroundings{loop, *router, forwarding, clusters, extras.long_lived,
                              extras.websocket_metrics, extras.websockets, extras.parts});
    }
    FakeStream& stream = *streams.emplace_back(std::make_unique<FakeStream>(loop, method, "/"));
    loop.Dispatch([&] { stream.Deliver(*proxy, end_stream); });
    Run();
    return stream;
  }
  FakeStream& Post(const std::string& body) {
    FakeStream& stream = Send("POST", /*end_stream=*/false);
    Body(stream, body, true);
    return stream;
  }
  void Body(FakeStream& stream, const std::string& bytes, bool end_stream) {
    loop.Dispatch([&] { stream.SendRequestBody(bytes, end_stream); });
    Run();
  }
  void Run() { loop.RunFor(milliseconds(100)); }

  // The stream that came last to the upstream connection made last.
  SimH2Stream& Newest() {
    TestH2Upstream& upstream = *upstreams.back();
    return upstream.stream(upstream.session().last_peer_stream());
  }
  void Refuse() {
    loop.Dispatch([&] { upstreams.back()->session().Reset(Newest(), h2::kRefusedStream); });
    Run();
  }
  void Respond() {
    loop.Dispatch([&] { upstreams.back()->Respond(Newest().id); });
    Run();
  }
  // Leaves a connection in the pool that has carried a request.
  void Warm() {
    Send("GET");
    Respond();
    ASSERT_EQ(upstreams.size(), 1u);
  }

  void ExpectRefused(FakeStream& stream, int attempts) {
    EXPECT_EQ(stream.status(), 503);
    EXPECT_EQ(stream.record().detail, "upstream_refused");
    EXPECT_EQ(stream.record().attempts, attempts);
  }
  void ExpectAnswered(FakeStream& stream, int attempts) {
    EXPECT_EQ(stream.status(), 200) << stream.record().detail;
    EXPECT_EQ(stream.record().attempts, attempts);
  }

  static std::unique_ptr<const Router> MakeRouter() {
    RouteConfig route;
    route.name = "all";
    route.clusters = {{"app", 1}};
    VirtualHost host;
    host.name = "default";
    host.domains = {"*"};
    host.routes = {route};
    return Router::Build({host}).value();
  }

  SimLoop loop;
  SimNetwork network{loop};
  std::deque<std::unique_ptr<TestH2Upstream>> upstreams;  // one for each connection
  std::vector<std::string> addresses;                     // of them
  Metrics metrics;
  MetricShard& shard{metrics.AddShard()};
  ClusterConfig config;
  ClusterMap clusters;
  ProxyExtras extras{loop, shard};
  std::unique_ptr<const Router> router = MakeRouter();
  Forwarding forwarding{ListenerConfig()};
  std::deque<std::unique_ptr<FakeStream>> streams;
  std::unique_ptr<Proxy> proxy;
};

constexpr size_t kHeld = 64 * 1024;

// ---- refused: whatever the method

TEST_F(ReplayDecisionTest, ARefusedPostIsSentAgainWhole) {
  const std::string body = SimBody(0, kHeld);
  FakeStream& post = Post(body);
  ASSERT_EQ(Newest().in.body_bytes, kHeld);
  Refuse();
  ASSERT_EQ(upstreams.size(), 2u) << "on another connection";
  EXPECT_EQ(Newest().in.body_bytes, kHeld);
  EXPECT_TRUE(Newest().in.body_as_expected);
  EXPECT_TRUE(Newest().in.complete);
  Respond();
  ExpectAnswered(post, 2);
}

TEST_F(ReplayDecisionTest, ABodyLargerThanWhatIsHeldIsNot) {
  FakeStream& post = Post(SimBody(0, kHeld + 1));
  Refuse();
  ExpectRefused(post, 1);
  EXPECT_EQ(upstreams.size(), 1u);
}

TEST_F(ReplayDecisionTest, WhatIsHeldAddsUpOverPieces) {
  FakeStream& post = Send("POST", false);
  Body(post, SimBody(0, kHeld), false);
  Body(post, SimBody(kHeld, 1), false);
  Refuse();
  ExpectRefused(post, 1);
}

TEST_F(ReplayDecisionTest, ABodyGoesOnBehindItsReplay) {
  FakeStream& post = Send("POST", false);
  Body(post, SimBody(0, 1000), false);
  Refuse();
  Body(post, SimBody(1000, 2000), true);
  EXPECT_EQ(Newest().in.body_bytes, 3000u);
  EXPECT_TRUE(Newest().in.body_as_expected);
  Respond();
  ExpectAnswered(post, 2);
}

TEST_F(ReplayDecisionTest, TrailersAreSentAgainToo) {
  FakeStream& post = Send("POST", false);
  Body(post, "body", false);
  loop.Dispatch([&] {
    HeaderList trailers;
    trailers.Add("X-Sum", "4");
    post.SendRequestTrailers(trailers);
  });
  Run();
  Refuse();
  EXPECT_EQ(Newest().in.body, "body");
  EXPECT_THAT(Newest().in.trailers, ElementsAre(Pair("x-sum", "4")));
  Respond();
  ExpectAnswered(post, 2);
}

TEST_F(ReplayDecisionTest, AnUpstreamThatKeepsRefusingIsBelieved) {
  FakeStream& post = Post("body");
  for (int i = 0; i < 4; ++i) Refuse();
  ExpectRefused(post, 4);
  EXPECT_EQ(upstreams.size(), 4u);
}

TEST_F(ReplayDecisionTest, ARefusedRequestGoesToAnotherEndpoint) {
  config.endpoints = {{"a", 1}, {"b", 1}};
  Listen("b");
  FakeStream& post = Post("body");
  Refuse();
  ASSERT_EQ(addresses.size(), 2u);
  EXPECT_NE(addresses[0], addresses[1]);
  Respond();
  ExpectAnswered(post, 2);
}

TEST_F(ReplayDecisionTest, AGoawayRefusesManyAndLosesNone) {
  for (int i = 0; i < 50; ++i) Post("body");
  ASSERT_EQ(upstreams.size(), 1u);
  loop.Dispatch([&] { upstreams[0]->session().Goaway(1, h2::kNoError); });
  Run();
  ASSERT_EQ(upstreams.size(), 2u) << "49 requests need one connection";
  loop.Dispatch([&] {
    upstreams[0]->Respond(1);
    for (auto& [id, stream] : upstreams[1]->session().streams()) upstreams[1]->Respond(id);
  });
  Run();
  ExpectAnswered(*streams[0], 1);
  for (size_t i = 1; i < streams.size(); ++i) ExpectAnswered(*streams[i], 2);
}

TEST_F(ReplayDecisionTest, RefusingAgainIsBoundedByTheBudget) {
  constexpr int kRequests = 40;
  for (int i = 0; i < kRequests; ++i) Post("body");
  for (int round = 0; round < 2; ++round) {
    loop.Dispatch([&] { upstreams.back()->session().Goaway(0, h2::kNoError); });
    Run();
  }
  int third = 0;
  for (const auto& stream : streams) third += stream->record().attempts == 3 ? 1 : 0;
  // They come one by one, and each takes its part of what is in flight then.
  EXPECT_GT(third, 0);
  EXPECT_LE(third, kRequests / 5) << "a fifth of what is in flight";
}

TEST_F(ReplayDecisionTest, AGoodbyeIsNoFailure) {
  FakeStream& post = Post("body");
  loop.Dispatch([&] { upstreams[0]->session().Goaway(1, h2::kNoError); });
  Run();
  EXPECT_EQ(post.status(), 0);
  loop.Dispatch([&] { upstreams[0]->Respond(1); });
  Run();
  ExpectAnswered(post, 1);
}

TEST_F(ReplayDecisionTest, AnInterimResponseMeansThatItWasTaken) {
  FakeStream& post = Post("body");
  loop.Dispatch([&] { upstreams[0]->Head(1, 103); });
  Run();
  Refuse();
  EXPECT_EQ(post.status(), 502);
  EXPECT_EQ(post.record().attempts, 1);
}

// ---- lost: only what may be processed twice

TEST_F(ReplayDecisionTest, AGetThatIsLostWithAReusedConnectionIsSentAgain) {
  Warm();
  FakeStream& get = Send("GET");
  loop.Dispatch([&] { upstreams[0]->Reset(); });
  Run();
  ASSERT_EQ(upstreams.size(), 2u);
  Respond();
  ExpectAnswered(get, 2);
}

TEST_F(ReplayDecisionTest, APostThatIsLostIsNot) {
  Warm();
  FakeStream& post = Post("body");
  loop.Dispatch([&] { upstreams[0]->Reset(); });
  Run();
  EXPECT_EQ(post.status(), 502);
  EXPECT_EQ(post.record().attempts, 1);
  EXPECT_EQ(upstreams.size(), 1u);
}

TEST_F(ReplayDecisionTest, AGetIsSentThreeTimesAndNoMore) {
  Warm();
  FakeStream& get = Send("GET");
  for (int i = 0; i < 3; ++i) {
    loop.Dispatch([&] { upstreams.back()->Reset(); });
    Run();
  }
  EXPECT_EQ(get.status(), 502);
  EXPECT_EQ(get.record().attempts, 3);
}

TEST_F(ReplayDecisionTest, AResetOfOneStreamIsAnAnswer) {
  Warm();
  FakeStream& get = Send("GET");
  loop.Dispatch([&] { upstreams[0]->session().Reset(Newest(), h2::kInternalError); });
  Run();
  EXPECT_EQ(get.status(), 502);
  EXPECT_EQ(get.record().detail, "upstream_reset_stream");
  EXPECT_EQ(get.record().attempts, 1);
}

TEST_F(ReplayDecisionTest, NothingIsSentAgainOnceTheResponseHasBegun) {
  Warm();
  FakeStream& get = Send("GET");
  loop.Dispatch([&] { upstreams[0]->Head(Newest().id, 200, {{"content-length", "10"}}); });
  Run();
  loop.Dispatch([&] { upstreams[0]->Reset(); });
  Run();
  EXPECT_EQ(get.aborted(), StreamEnd::kUpstreamFailed);
  EXPECT_EQ(get.record().attempts, 1);
}

}  // namespace
}  // namespace sluice
