// A reused upstream connection may die as a request is put on it. Before the first byte of a
// response the request is sent once more, on a fresh connection, if that is safe (docs/drain.md,
// section 4; RFC 9110 9.2.2): the client must not notice. Otherwise it is told.
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "support/proxy_sim.h"

namespace sluice {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class ReplayTest : public ::testing::Test {
 protected:
  // Leaves one idle connection in the pool.
  void SetUp() override {
    client->Request("GET", "/fast?warm");
    ClientSees(200);
    ASSERT_EQ(sim.origin.connections(), 1u);
  }

  void ClientSees(int status) {
    const size_t before = client->answered();
    ASSERT_TRUE(sim.Until([&] { return client->answered() > before || client->ended(); }));
    ASSERT_GT(client->answered(), before) << "the connection ended instead";
    EXPECT_EQ(client->responses().back().status, status);
    EXPECT_EQ(client->complaint(), "");
  }

  const RequestRecord& LastRecord() const { return sim.log.back().record; }

  ProxySim sim;
  std::unique_ptr<SimClient> client = sim.Connect();
};

TEST_F(ReplayTest, AnIdempotentRequestIsSentOnceMore) {
  client->Request("GET", "/die?reused=1");
  ClientSees(200);
  EXPECT_EQ(sim.origin.times_seen("/die?reused=1"), 2u);
  EXPECT_EQ(sim.origin.connections(), 2u) << "on a fresh connection";
  EXPECT_EQ(LastRecord().attempts, 2);
}

TEST_F(ReplayTest, AnIdempotentRequestWithABodyIsSentWholeOnceMore) {
  const std::string body = SimBody(0, 5000);
  client->Request("PUT", "/die?reused=1", {}, body);
  ClientSees(200);
  ASSERT_EQ(sim.origin.times_seen("/die?reused=1"), 2u);
  EXPECT_EQ(sim.origin.seen().back().request.body_bytes, body.size());
  EXPECT_TRUE(sim.origin.seen().back().request.body_as_expected);
}

TEST_F(ReplayTest, ABodyOnlyPartlyReceivedGoesOnAfterTheReplay) {
  const std::string body = SimBody(0, 10'000);
  client->Begin("PUT", "/die-after-head?bytes=100&reused=1",
                "PUT /die-after-head?bytes=100&reused=1 HTTP/1.1\r\nHost: sim.test\r\n"
                "Content-Length: 10000\r\n\r\n" +
                    body.substr(0, 4000));
  sim.loop.RunFor(milliseconds(100));
  client->Send(body.substr(4000));
  ClientSees(200);
  EXPECT_EQ(sim.origin.seen().back().request.body_bytes, body.size());
  EXPECT_TRUE(sim.origin.seen().back().request.body_as_expected);
}

TEST_F(ReplayTest, ThereIsAnEndToRetries) {
  client->Request("GET", "/die");
  ClientSees(502);
  EXPECT_EQ(sim.origin.times_seen("/die"), 3u);
}

TEST_F(ReplayTest, APostThatWasSentIsNotSentAgain) {
  client->Request("POST", "/die?reused=1", {}, "body");
  ClientSees(502);
  EXPECT_EQ(sim.origin.times_seen("/die?reused=1"), 1u);
}

TEST_F(ReplayTest, NothingIsReplayedAfterTheFirstByteOfAResponse) {
  client->Request("GET", "/drop-mid?bytes=100&at=10");
  ASSERT_TRUE(sim.Until([&] { return client->ended(); }));
  EXPECT_EQ(sim.origin.times_seen("/drop-mid?bytes=100&at=10"), 1u);
  EXPECT_FALSE(client->responses().back().complete);
  EXPECT_EQ(LastRecord().end, StreamEnd::kUpstreamFailed);
}

TEST_F(ReplayTest, APostIsNotPutOnAConnectionThatTheUpstreamHasClosed) {
  // Closed, and the proxy could see it if it looked, but its loop has not told it yet.
  sim.origin.CloseAll();
  client->Request("POST", "/fast?post", {}, "body");
  ClientSees(200);
  EXPECT_EQ(sim.origin.times_seen("/fast?post"), 1u);
  EXPECT_EQ(sim.origin.connections(), 2u);
}

TEST_F(ReplayTest, ReplaysAreBoundedWhenEveryConnectionDies) {
  // Many idle connections, then all of them die under a request each.
  std::vector<std::unique_ptr<SimClient>> clients;
  for (int i = 0; i < 40; ++i) {
    clients.push_back(sim.Connect());
    clients.back()->Request("GET", "/hold");
  }
  ASSERT_TRUE(sim.Until([&] { return sim.origin.held() == 40; }));
  sim.origin.Release();
  for (const auto& one : clients) {
    ASSERT_TRUE(sim.Until([&] { return one->answered() == 1; }));
    one->Request("GET", "/die?reused=1");
  }
  for (const auto& one : clients) {
    ASSERT_TRUE(sim.Until([&] { return one->answered() == 2; }));
  }
  uint64_t replayed = 0;
  for (const SimLogEntry& one : sim.log) replayed += one.record.attempts > 1 ? 1 : 0;
  EXPECT_GE(replayed, 3u);
  EXPECT_LE(replayed, 10u) << "a dying upstream must not be met with twice the load";
}

}  // namespace
}  // namespace sluice
