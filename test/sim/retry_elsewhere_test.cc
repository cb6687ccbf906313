// Where a request goes when it goes again, and that nothing is carried out twice.
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "support/cluster_sim.h"

namespace sluice {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using Connection = ScriptOrigin::Connection;

class RetryElsewhereTest : public ClusterSim {
 protected:
  // "b" only for as long as "a" will not do.
  const std::vector<EndpointConfig> kBackup = {{"a", 1}, {.address = "b", .priority = 1}};

  // The next request to "a" ends its connection, as one that was idle for too long.
  void LoseOne() {
    At("a").on_message = [this](Connection& connection) {
      At("a").on_message = nullptr;
      connection.Close();
    };
  }
};

// ---- an idle connection that has died says nothing against its endpoint

TEST_F(RetryElsewhereTest, WhatIsLostDoesNotGoToAnEndpointThatIsIll) {
  Start(kTwo);
  SetHealth("b", false);
  EXPECT_EQ(Ask(), 200);
  LoseOne();
  EXPECT_EQ(Ask(), 200);
  EXPECT_EQ(At("b").messages(), 0u);
}

TEST_F(RetryElsewhereTest, WhatIsLostDoesNotGoToTheBackup) {
  Start(kBackup);
  EXPECT_EQ(Ask(), 200);
  LoseOne();
  EXPECT_EQ(Ask(), 200);
  EXPECT_EQ(At("b").messages(), 0u);
}

TEST_F(RetryElsewhereTest, ButWhatCannotConnectDoes) {
  Start(kBackup);
  SetHealth("b", false);
  EXPECT_EQ(Ask(), 200);
  At("a").Kill();
  EXPECT_EQ(Ask(), 200);
  EXPECT_EQ(At("b").messages(), 1u);
}

// A status says that an endpoint is there: one that most likely is not is no better.
TEST_F(RetryElsewhereTest, AfterAStatusNobodyIllIsAsked) {
  edit = [](ClusterConfig&, RouteConfig& route) { route.retries.statuses = {"503"}; };
  Start(kTwo);
  SetHealth("b", false);
  At("a").on_message = [](Connection& connection) {
    connection.Respond("503 Service Unavailable");
  };
  EXPECT_EQ(Ask(), 503);
  EXPECT_EQ(At("a").messages(), 3u);
  EXPECT_EQ(At("b").messages(), 0u);
}

// What one endpoint did to an idle connection says nothing of those to another.
TEST_F(RetryElsewhereTest, AnIdleConnectionElsewhereIsGoodEnough) {
  edit = [](ClusterConfig& cluster, RouteConfig&) { cluster.max_connections = 1; };
  Start(kTwo);
  for (int i = 0; i < 4; ++i) EXPECT_EQ(Ask(), 200);
  At("a").on_message = [](Connection& connection) { connection.Reset(); };
  for (int i = 0; i < 4; ++i) {
    const TimePoint before = sim->loop.Now();
    EXPECT_EQ(Ask(), 200);
    EXPECT_LT(sim->loop.Now() - before, seconds(1));
  }
  EXPECT_EQ(At("b").connections.size(), 1u);
}

// ---- what must not be carried out twice

// The length said how much there would be: with that much it has all of it, whatever the client has
// still to say.
TEST_F(RetryElsewhereTest, AnUploadWithoutItsEndMayBeWholeAllTheSame) {
  Start(kBackup);
  At("a").on_message = [](Connection& connection) { connection.Reset(); };
  auto h2 = sim->ConnectH2();
  const uint32_t id = h2->Begin("POST", "/x", {{"content-length", "4"}});
  h2->SendBytes(id, "body");
  sim->loop.RunFor(seconds(1));
  h2->Finish(id);
  sim->loop.RunFor(seconds(1));
  EXPECT_EQ(At("a").messages(), 1u);
  EXPECT_EQ(At("b").messages(), 0u);
  EXPECT_EQ(h2->stream(id).in.status, 502);
}

TEST_F(RetryElsewhereTest, ACallIsCarriedOutMessageByMessage) {
  Start(kBackup);
  At("a").on_head = [](Connection&) {};
  auto h2 = sim->ConnectH2();
  const uint32_t id = h2->Grpc("/package.Service/Chat", 3, /*ends=*/false);
  ASSERT_TRUE(sim->Until([&] { return At("a").heads() == 1; }));
  sim->loop.RunFor(milliseconds(10));
  sim->loop.Dispatch([&] { At("a").connections.back()->Reset(); });
  ASSERT_TRUE(sim->Until([&] { return h2->stream(id).over(); }));
  EXPECT_EQ(h2->stream(id).in.Header("grpc-status"), "14");
  EXPECT_EQ(At("b").heads(), 0u);
}

// ---- what the client hears on the way

TEST_F(RetryElsewhereTest, TheClientIsToldToGoOnByWhoeverSaysSoFirst) {
  Start(kBackup);
  At("a").on_head = [](Connection& connection) { connection.Reset(); };
  At("b").on_head = [](Connection& connection) {
    connection.Write("HTTP/1.1 100 Continue\r\n\r\n");
  };
  client->Begin("POST", "/x",
                "POST /x HTTP/1.1\r\nHost: sim.test\r\nContent-Length: 4\r\n"
                "Expect: 100-continue\r\n\r\n");
  sim->loop.RunFor(seconds(1));
  EXPECT_EQ(client->reader().informational().size(), 1u);
  client->Send("body");
  ASSERT_TRUE(sim->Until([&] { return client->answered() == 1; }));
  EXPECT_EQ(client->responses().back().status, 200);
}

}  // namespace
}  // namespace sluice
