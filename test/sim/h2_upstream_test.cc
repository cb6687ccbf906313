// HTTP/2 towards an upstream that limits, refuses and goes away: what it has not processed is sent
// again, POST too, and never what it may have processed (docs/drain.md, section 4; RFC 9113 6.8,
// 8.7). Clients must not notice an upstream that goes in order.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "support/proxy_sim.h"

namespace sluice {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::IsEmpty;

class H2UpstreamTest : public ::testing::Test {
 protected:
  void Build(ProxySimOptions options = {}) {
    client_.reset();  // before its simulation
    options.cluster.protocol = UpstreamProtocol::kHttp2;
    sim_ = std::make_unique<ProxySim>(1, options);
    client_ = sim_->ConnectH2();
  }
  void SetUp() override { Build(); }
  void TearDown() override {
    EXPECT_THAT(origin().complaints(), IsEmpty());
    EXPECT_EQ(client_->complaint(), "");
    ExpectProcessedAtMostOnce();
  }

  SimH2Origin& origin() { return sim_->h2_origin; }

  const SimH2Stream& Await(uint32_t id) {
    const SimH2Stream& stream = client_->stream(id);
    EXPECT_TRUE(sim_->Until([&] { return stream.in.complete || stream.reset_by_peer; }));
    return stream;
  }
  int StatusOf(uint32_t id) { return Await(id).in.complete ? client_->stream(id).in.status : 0; }

  // Whatever was sent again had not been processed before, unless it was safe to repeat.
  void ExpectProcessedAtMostOnce() {
    std::map<std::string, size_t> times;
    for (const SimH2Origin::Seen& seen : origin().seen()) {
      if (seen.request.method == "POST" && seen.processed) {
        EXPECT_EQ(++times[seen.request.target], 1u) << seen.request.target;
      }
    }
  }

  std::unique_ptr<ProxySim> sim_;
  std::unique_ptr<SimH2Client> client_;
};

// --- refusals

TEST_F(H2UpstreamTest, ARefusedRequestIsSentAgainWhateverItsMethod) {
  for (const char* path : {"/refuse?", "/goaway-below?"}) {
    for (const char* method : {"GET", "POST", "PUT", "DELETE"}) {
      const std::string target = std::string(path) + method;
      const std::string_view body = method == std::string("GET") ? "" : "abcd";
      EXPECT_EQ(StatusOf(client_->Request(method, target, {}, body)), 200) << target;
      EXPECT_EQ(origin().times_seen(target), 2u);
      EXPECT_EQ(sim_->log.back().record.attempts, 2) << sim_->log.back().record.detail;
    }
  }
}

TEST_F(H2UpstreamTest, ARefusedBodyIsSentAgainWhole) {
  const uint32_t id = client_->Request("POST", "/refuse?body", {}, SimBody(0, 30'000));
  EXPECT_EQ(StatusOf(id), 200);
  EXPECT_EQ(origin().seen().back().request.body_bytes, 30'000u);
  EXPECT_TRUE(origin().seen().back().request.body_as_expected);
}

TEST_F(H2UpstreamTest, ABodyThatIsStillComingGoesOnAfterTheRefusal) {
  const uint32_t id = client_->Upload("/refuse?slow", 40'000, 1000, milliseconds(5));
  EXPECT_EQ(StatusOf(id), 200);
  EXPECT_EQ(origin().seen().back().request.body_bytes, 40'000u);
  EXPECT_TRUE(origin().seen().back().request.body_as_expected);
}

TEST_F(H2UpstreamTest, AnUpstreamThatRefusesForEverIsNotAskedForEver) {
  const uint32_t id = client_->Request("POST", "/refuse?times=1000", {}, "body");
  EXPECT_GE(StatusOf(id), 500);
  EXPECT_LE(origin().times_seen("/refuse?times=1000"), 4u) << "once, and three times again";
}

TEST_F(H2UpstreamTest, OtherResetsAreNotRefusals) {
  for (const uint32_t error : {h2::kInternalError, h2::kCancel, h2::kEnhanceYourCalm}) {
    const std::string target = "/rst?error=" + std::to_string(error);
    EXPECT_EQ(StatusOf(client_->Request("POST", target, {}, "body")), 502);
    EXPECT_EQ(origin().times_seen(target), 1u);
  }
}

TEST_F(H2UpstreamTest, AResponseThatHasBegunIsNeverReplayed) {
  const uint32_t id = client_->Request("GET", "/drop-mid?bytes=100&at=10");
  EXPECT_EQ(StatusOf(id), 0);
  EXPECT_EQ(origin().times_seen("/drop-mid?bytes=100&at=10"), 1u);
}

// --- an upstream that goes away

TEST_F(H2UpstreamTest, GoawayInTwoStagesIsNotNoticed) {
  origin().options.goaway_after = 3;
  origin().options.two_stages = true;
  for (int i = 0; i < 20; ++i) {
    std::vector<uint32_t> ids;
    for (int j = 0; j < 3; ++j) {
      const std::string target = "/fast?" + std::to_string(i) + "." + std::to_string(j);
      ids.push_back(client_->Request("POST", target, {}, "body"));
    }
    for (const uint32_t id : ids) EXPECT_EQ(StatusOf(id), 200);
  }
  EXPECT_GT(origin().connections(), 5u);
  for (const SimLogEntry& one : sim_->log) EXPECT_EQ(one.record.attempts, 1) << one.target;
}

TEST_F(H2UpstreamTest, WhatIsAboveTheLastStreamOfAGoawayIsSentAgain) {
  origin().options.goaway_after = 2;
  sim_->network.At("h2.origin").faults = [] {
    PipeFaults faults;
    faults.min_delay = faults.max_delay = milliseconds(5);
    return faults;
  };
  std::vector<uint32_t> ids;
  for (int i = 0; i < 6; ++i) {
    ids.push_back(client_->Request("POST", "/fast?" + std::to_string(i), {}, "body"));
  }
  size_t again = 0;
  for (const uint32_t id : ids) EXPECT_EQ(StatusOf(id), 200);
  for (const SimLogEntry& one : sim_->log) again += one.record.attempts > 1 ? 1 : 0;
  EXPECT_GE(again, 3u);
  EXPECT_GT(origin().connections(), 1u);
}

TEST_F(H2UpstreamTest, ExchangesBelowAGoawayGoOnBesideANewConnection) {
  const uint32_t held = client_->Request("GET", "/hold-mid?bytes=1000&at=400");
  ASSERT_TRUE(sim_->Until([&] { return origin().held() == 1; }));
  origin().GoawayAll();
  sim_->loop.RunFor(milliseconds(10));
  EXPECT_EQ(StatusOf(client_->Request("POST", "/fast", {}, "body")), 200);
  EXPECT_EQ(origin().connections(), 2u);
  EXPECT_FALSE(client_->stream(held).over());
  origin().Release();
  EXPECT_EQ(StatusOf(held), 200);
  EXPECT_EQ(client_->stream(held).in.body_bytes, 1000u);
  sim_->loop.RunFor(seconds(5));
  EXPECT_EQ(origin().open_connections(), 1u) << "the one that went away is closed";
}

TEST_F(H2UpstreamTest, ARequestOnAConnectionThatGoesIdleIsNotLost) {
  // The upstream's idle timeout, at every moment around a request.
  for (int moment = 0; moment < 40; ++moment) {
    Build();
    origin().options.idle_timeout = seconds(1);
    sim_->network.At("h2.origin").faults = [] {
      PipeFaults faults;
      faults.min_delay = faults.max_delay = milliseconds(1);
      return faults;
    };
    EXPECT_EQ(StatusOf(client_->Request("POST", "/fast?first", {}, "body")), 200);
    sim_->loop.RunFor(seconds(1) - milliseconds(4) + std::chrono::microseconds(200) * moment);
    EXPECT_EQ(StatusOf(client_->Request("POST", "/fast?second", {}, "body")), 200) << moment;
    EXPECT_EQ(client_->complaint(), "");
    ExpectProcessedAtMostOnce();
  }
}

TEST_F(H2UpstreamTest, AConnectionThatDiesTakesOnlyWhatCannotBeRepeated) {
  const uint32_t warm = client_->Request("GET", "/fast");
  EXPECT_EQ(StatusOf(warm), 200);
  const uint32_t get = client_->Request("GET", "/hold");
  const uint32_t post = client_->Request("POST", "/hold?post", {}, "body");
  const uint32_t mid = client_->Request("GET", "/hold-mid?bytes=100&at=10");
  ASSERT_TRUE(sim_->Until([&] { return origin().held() == 3; }));
  sim_->loop.RunFor(milliseconds(10));
  origin().ResetAll();
  EXPECT_EQ(StatusOf(post), 502);
  EXPECT_EQ(StatusOf(mid), 0);
  ASSERT_TRUE(sim_->Until([&] { return origin().held() == 1; })) << "the GET is sent again";
  origin().Release();
  EXPECT_EQ(StatusOf(get), 200);
}

TEST_F(H2UpstreamTest, AnUpstreamThatBreaksTheRulesOfItsConnectionIsLeft) {
  EXPECT_EQ(StatusOf(client_->Request("POST", "/garbage", {}, "body")), 502);
  EXPECT_EQ(StatusOf(client_->Request("GET", "/fast")), 200);
}

// --- how many streams

TEST_F(H2UpstreamTest, AsManyStreamsAsTheUpstreamAllowsThenAFurtherConnection) {
  origin().options.http2.max_streams = 2;
  EXPECT_EQ(StatusOf(client_->Request("GET", "/fast")), 200);  // the limit is known from here on
  std::vector<uint32_t> ids;
  for (int i = 0; i < 7; ++i) {
    ids.push_back(client_->Request("POST", "/hold?" + std::to_string(i), {}, "body"));
  }
  ASSERT_TRUE(sim_->Until([&] { return origin().held() == 7; }));
  EXPECT_EQ(origin().open_connections(), 4u);
  origin().Release();
  for (const uint32_t id : ids) EXPECT_EQ(StatusOf(id), 200);
}

TEST_F(H2UpstreamTest, BeforeTheLimitIsKnownRefusalsAreSentElsewhere) {
  origin().options.http2.max_streams = 2;
  std::vector<uint32_t> ids;
  for (int i = 0; i < 6; ++i) {
    ids.push_back(client_->Request("POST", "/slow?ms=20&" + std::to_string(i), {}, "body"));
  }
  for (const uint32_t id : ids) EXPECT_EQ(StatusOf(id), 200);
  EXPECT_LE(origin().peak_streams(), 6u);
}

TEST_F(H2UpstreamTest, WithoutAFurtherConnectionRequestsWaitInOrder) {
  ProxySimOptions options;
  options.cluster.max_connections = 1;
  Build(options);
  origin().options.http2.max_streams = 2;
  EXPECT_EQ(StatusOf(client_->Request("GET", "/fast")), 200);
  std::vector<uint32_t> ids;
  for (int i = 0; i < 6; ++i) {
    ids.push_back(client_->Request("POST", "/hold?" + std::to_string(i), {}, "body"));
  }
  for (int round = 0; round < 3; ++round) {
    ASSERT_TRUE(sim_->Until([&] { return origin().held() == 2; }));
    sim_->loop.RunFor(seconds(1));
    EXPECT_EQ(origin().seen().size(), 1u + 2 * (round + 1)) << "more than two at a time";
    origin().Release();
  }
  for (const uint32_t id : ids) EXPECT_EQ(StatusOf(id), 200);
  EXPECT_EQ(origin().connections(), 1u);
  for (int i = 0; i < 6; ++i) {
    EXPECT_EQ(origin().seen()[i + 1].request.target, "/hold?" + std::to_string(i));
  }
}

TEST_F(H2UpstreamTest, OurOwnLimitHoldsWhateverTheUpstreamAllows) {
  ProxySimOptions options;
  options.cluster.http2.max_concurrent_streams = 3;
  Build(options);
  std::vector<uint32_t> ids;
  for (int i = 0; i < 9; ++i) ids.push_back(client_->Request("GET", "/hold"));
  ASSERT_TRUE(sim_->Until([&] { return origin().held() == 9; }));
  EXPECT_EQ(origin().open_connections(), 3u);
  EXPECT_EQ(origin().peak_streams(), 3u);
  origin().Release();
  for (const uint32_t id : ids) EXPECT_EQ(StatusOf(id), 200);
}

TEST_F(H2UpstreamTest, ACancelledRequestIsResetAndMakesRoom) {
  origin().options.http2.max_streams = 1;
  ProxySimOptions options;
  options.cluster.max_connections = 1;
  Build(options);
  const uint32_t first = client_->Request("GET", "/hold?first");
  ASSERT_TRUE(sim_->Until([&] { return origin().held() == 1; }));
  const uint32_t second = client_->Request("GET", "/hold?second");
  client_->ResetStream(first);
  ASSERT_TRUE(sim_->Until([&] { return origin().times_seen("/hold?second") == 1; }));
  EXPECT_THAT(origin().resets(), ::testing::ElementsAre(h2::kCancel));
  ASSERT_TRUE(sim_->Until([&] { return origin().held() == 1; }));
  origin().Release();
  EXPECT_EQ(StatusOf(second), 200);
}

TEST_F(H2UpstreamTest, HttpOneClientsShareFewConnections) {
  std::vector<std::unique_ptr<SimClient>> clients;
  for (int i = 0; i < 50; ++i) {
    clients.push_back(sim_->Connect());
    clients.back()->Request("GET", "/hold");
  }
  ASSERT_TRUE(sim_->Until([&] { return origin().held() == 50; }));
  EXPECT_EQ(origin().open_connections(), 1u);
  origin().Release();
  for (const auto& client : clients) {
    ASSERT_TRUE(sim_->Until([&] { return client->answered() == 1; }));
    EXPECT_EQ(client->responses()[0].status, 200);
  }
}

}  // namespace
}  // namespace sluice
