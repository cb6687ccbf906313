// Uploads whose upstream restarts in the middle of them: what is still held goes elsewhere, and
// what is not comes back from an upstream that says 379.
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

class UploadTest : public ::testing::Test {
 protected:
  void Start() {
    options.edit = [this](Config& config) {
      // "b" is asked only when "a" has failed.
      config.clusters[0].endpoints = {{"a", 1}, {.address = "b", .priority = 1}};
      config.clusters[0].partial_post_replay = partial_post_replay;
      config.clusters[0].outlier.consecutive_connect_failures = 0;
      RouteConfig& route = config.listeners[0].virtual_hosts[0].routes[0];
      route.retries = retries;
      route.timeout = seconds(60);
      if (edit) edit(config.clusters[0]);
    };
    sim = std::make_unique<ProxySim>(1, options);
    a = std::make_unique<ScriptOrigin>(sim->loop, sim->network, "a");
    b = std::make_unique<ScriptOrigin>(sim->loop, sim->network, "b");
    b->on_message = [this](Connection& connection) {
      received = connection.body();
      replay_field = std::string(connection.request().Header("partial-post-replay"));
      connection.Respond("200 OK");
    };
    client = sim->Connect();
  }
  void TearDown() override {
    client.reset();
    if (sim != nullptr) sim->loop.RunFor(seconds(120));
  }

  // The head and the first bytes of a body of `total`.
  void Begin(const std::string& method, size_t total, size_t first) {
    body = SimBody(0, total);
    client->Begin(method, "/x",
                  method + " /x HTTP/1.1\r\nHost: sim.test\r\nContent-Length: " +
                      std::to_string(total) + "\r\n\r\n" + body.substr(0, first));
    sent = first;
  }
  void SendRest() { client->Send(body.substr(sent)); }
  bool HasCome(size_t bytes) {
    return sim->Until([&] {
      return !a->connections.empty() && a->heads() > 0 && Last(*a).body().size() >= bytes;
    });
  }
  static Connection& Last(ScriptOrigin& origin) { return *origin.connections.back(); }
  int Answer() {
    if (!sim->Until([&] { return client->answered() > 0 || client->ended(); })) return 0;
    EXPECT_EQ(client->complaint(), "");
    return client->answered() > 0 ? client->responses().back().status : 0;
  }
  double Retries(const std::string& cause) const {
    return sim->Metric("sluice_upstream_retries_total", "reason=\"" + cause + "\"");
  }

  // "a" answers 379 as soon as `after` bytes of a body have come, and gives back what it has got
  // and what still comes, but for the last `keeps` bytes; `adds` are more than it got.
  void GiveBack(size_t after, size_t keeps = 0, const std::string& adds = {}) {
    given = 0;
    a->on_message = [](Connection&) {};
    a->on_body = [=, this](Connection& connection) {
      const std::string got = connection.body();
      if (got.size() < after) return;
      if (given == 0) {
        connection.Write(
            "HTTP/1.1 379 Partial POST Replay\r\nConnection: close\r\nEcho-Host: sim.test\r\n"
            "Transfer-Encoding: chunked\r\n\r\n");
      }
      const std::string piece = got.substr(given, got.size() - given - keeps) + adds;
      given = got.size();
      char size[32];
      std::snprintf(size, sizeof(size), "%zx\r\n", piece.size());
      connection.Write(size + piece + "\r\n");
      if (keeps > 0) connection.Write("0\r\n\r\n");
    };
  }

  ProxySimOptions options;
  RetryConfig retries;
  bool partial_post_replay = true;
  std::function<void(ClusterConfig&)> edit;
  std::unique_ptr<ProxySim> sim;
  std::unique_ptr<ScriptOrigin> a;
  std::unique_ptr<ScriptOrigin> b;
  std::unique_ptr<SimClient> client;
  std::string body;
  size_t sent = 0;
  size_t given = 0;
  std::string received;  // by "b"
  std::string replay_field;
};

// ---- what is held

TEST_F(UploadTest, APostThatIsCutOffInTheMiddleGoesElsewhere) {
  Start();
  Begin("POST", 50'000, 20'000);
  ASSERT_TRUE(HasCome(20'000));
  sim->loop.Dispatch([&] { a->Kill(); });
  sim->loop.RunFor(milliseconds(10));
  SendRest();
  EXPECT_EQ(Answer(), 200);
  EXPECT_TRUE(received == body) << received.size() << " bytes of " << body.size();
  EXPECT_EQ(a->messages(), 0u);
  EXPECT_EQ(Retries("reset") + Retries("lost"), 1);
}

TEST_F(UploadTest, AlsoWhenItWasToldToGoOn) {
  Start();
  a->on_head = [](Connection& connection) { connection.Write("HTTP/1.1 100 Continue\r\n\r\n"); };
  b->on_head = a->on_head;
  body = SimBody(0, 3000);
  client->Begin("POST", "/x",
                "POST /x HTTP/1.1\r\nHost: sim.test\r\nExpect: 100-continue\r\n"
                "Content-Length: 3000\r\n\r\n");
  sim->loop.RunFor(milliseconds(10));
  client->Send(body.substr(0, 1000));
  sent = 1000;
  ASSERT_TRUE(HasCome(1000));
  sim->loop.Dispatch([&] { a->Kill(); });
  sim->loop.RunFor(milliseconds(10));
  SendRest();
  EXPECT_EQ(Answer(), 200);
  EXPECT_TRUE(received == body) << received.size() << " bytes of " << body.size();
}

TEST_F(UploadTest, APostThatHadItsEndIsNot) {
  Start();
  a->on_message = [](Connection& connection) { connection.Reset(); };
  Begin("POST", 1000, 1000);
  EXPECT_EQ(Answer(), 502);
  EXPECT_EQ(b->heads(), 0u);
}

TEST_F(UploadTest, WhatIsTooLongToBeHeldIsLost) {
  Start();
  Begin("POST", 200'000, 100'000);
  ASSERT_TRUE(HasCome(100'000));
  sim->loop.Dispatch([&] { a->Kill(); });
  SendRest();
  EXPECT_EQ(Answer(), 502);
  EXPECT_EQ(b->heads(), 0u);
  EXPECT_EQ(sim->log.size(), 1u);
}

TEST_F(UploadTest, TheRouteSaysHowMuchIsHeld) {
  retries.body_bytes = 150'000;
  Start();
  Begin("POST", 200'000, 100'000);
  ASSERT_TRUE(HasCome(100'000));
  sim->loop.Dispatch([&] { a->Kill(); });
  sim->loop.RunFor(milliseconds(10));
  SendRest();
  EXPECT_EQ(Answer(), 200);
  EXPECT_TRUE(received == body) << received.size() << " bytes of " << body.size();
}

TEST_F(UploadTest, UnlessTheRouteDoesNotWantThat) {
  retries.uploads = false;
  Start();
  Begin("POST", 50'000, 20'000);
  ASSERT_TRUE(HasCome(20'000));
  sim->loop.Dispatch([&] { a->Kill(); });
  EXPECT_EQ(Answer(), 502);
  EXPECT_EQ(b->heads(), 0u);
}

TEST_F(UploadTest, ASlowClientIsWaitedForWhateverTheTry) {
  retries.per_try_timeout = milliseconds(100);
  Start();
  Begin("POST", 2000, 1000);
  ASSERT_TRUE(HasCome(1000));
  sim->loop.RunFor(seconds(2));
  SendRest();
  a->on_message = nullptr;
  EXPECT_EQ(Answer(), 200);
  EXPECT_EQ(b->heads(), 0u);
}

// ---- what comes back (draft-frindell-httpbis-partial-post-replay)

TEST_F(UploadTest, ALongUploadThatComesBackGoesOnElsewhere) {
  Start();
  GiveBack(300'000);
  Begin("POST", 1'000'000, 400'000);
  ASSERT_TRUE(HasCome(300'000));
  sim->loop.RunFor(milliseconds(10));
  SendRest();
  EXPECT_EQ(Answer(), 200);
  EXPECT_EQ(received.size(), body.size());
  EXPECT_TRUE(received == body) << received.size() << " bytes of " << body.size();
  EXPECT_EQ(replay_field, "1");
  EXPECT_EQ(Retries("partial_post"), 1);
  EXPECT_EQ(sim->log.back().record.attempts, 2);
}

TEST_F(UploadTest, AlsoWhenAllOfItWasSent) {
  Start();
  GiveBack(300'000);
  Begin("POST", 300'000, 300'000);
  EXPECT_EQ(Answer(), 200);
  EXPECT_TRUE(received == body) << received.size() << " bytes of " << body.size();
}

TEST_F(UploadTest, AShortOneNeedsNothingBack) {
  Start();
  a->on_body = [](Connection& connection) {
    connection.Write(
        "HTTP/1.1 379 Partial POST Replay\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
  };
  Begin("POST", 50'000, 10'000);
  sim->loop.RunFor(milliseconds(10));
  SendRest();
  EXPECT_EQ(Answer(), 200);
  EXPECT_TRUE(received == body) << received.size() << " bytes of " << body.size();
}

TEST_F(UploadTest, WhatComesBackTooShortIsAnError) {
  Start();
  GiveBack(300'000, /*keeps=*/1);
  Begin("POST", 1'000'000, 400'000);
  EXPECT_EQ(Answer(), 502);
  EXPECT_EQ(sim->log.back().record.detail, "partial_post_replay");
  EXPECT_EQ(b->messages(), 0u);
}

TEST_F(UploadTest, WhatComesBackTooLongIsAnError) {
  Start();
  GiveBack(300'000, 0, std::string(200'000, 'x'));
  Begin("POST", 1'000'000, 400'000);
  EXPECT_EQ(Answer(), 502);
  EXPECT_EQ(b->messages(), 0u);
}

TEST_F(UploadTest, WhatBreaksOffOnItsWayBackIsAnError) {
  Start();
  GiveBack(300'000);
  a->on_body = [inner = a->on_body](Connection& connection) {
    connection.Write(
        "HTTP/1.1 379 Partial POST Replay\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n");
    connection.Close();
  };
  Begin("POST", 1'000'000, 100'000);
  EXPECT_EQ(Answer(), 502);
  EXPECT_EQ(b->messages(), 0u);
}

TEST_F(UploadTest, An379ThatNobodyExpectsNeverReachesTheClient) {
  partial_post_replay = false;
  Start();
  GiveBack(1000);
  Begin("POST", 2000, 2000);
  EXPECT_EQ(Answer(), 502);
}

TEST_F(UploadTest, TheUpstreamThatGaveItBackIsDraining) {
  Start();
  GiveBack(1000);
  Begin("POST", 2000, 1500);
  sim->loop.RunFor(milliseconds(10));
  SendRest();
  EXPECT_EQ(Answer(), 200);
  EXPECT_EQ(sim->cluster().endpoints()[0]->state(sim->loop.Now()), EndpointState::kDraining);
}

TEST_F(UploadTest, AClientThatLeavesMeanwhileLeavesNothingBehind) {
  Start();
  b->on_message = [](Connection&) {};
  GiveBack(300'000);
  Begin("POST", 1'000'000, 400'000);
  ASSERT_TRUE(HasCome(300'000));
  client->Reset();
  sim->loop.RunFor(seconds(1));
  EXPECT_EQ(sim->cluster().breaker().requests, 0u);
}

// The next upstream takes nothing: what comes back has to wait, in the one that gives it back.
TEST_F(UploadTest, ASlowUpstreamHoldsBackWhatComesBack) {
  Start();
  bool paused = true;
  b->on_body = [&](Connection& connection) {
    if (std::exchange(paused, false)) connection.PauseReading();
  };
  GiveBack(200'000);
  Begin("POST", 8'000'000, 4'000'000);
  sim->loop.RunFor(seconds(1));
  for (const SimNetwork::Connection& one : sim->network.connections()) {
    if (one.address == "proxy") continue;  // what the client has written is its own affair
    EXPECT_LE(one.client->peak_queued, Transport::kHighWatermark + 192 * 1024) << one.address;
  }
  sim->loop.Dispatch([&] { Last(*b).ResumeReading(); });
  SendRest();
  EXPECT_EQ(Answer(), 200);
  EXPECT_TRUE(received == body) << received.size() << " bytes of " << body.size();
}

// Nothing was sent there, and what comes back is still to come.
TEST_F(UploadTest, WhatComesBackOutlivesAnEndpointThatCannotBeReached) {
  edit = [](ClusterConfig& cluster) {
    cluster.endpoints = {
        {"a", 1}, {.address = "gone", .priority = 1}, {.address = "b", .priority = 2}};
  };
  Start();
  GiveBack(300'000);
  Begin("POST", 300'000, 300'000);
  EXPECT_EQ(Answer(), 200);
  EXPECT_TRUE(received == body);
}

TEST_F(UploadTest, AnUpstreamThatGivesNothingBackIsNotWaitedForForEver) {
  Start();
  a->on_message = [](Connection&) {};
  a->on_head = [](Connection& connection) {
    connection.Write("HTTP/1.1 379 Partial POST Replay\r\nTransfer-Encoding: chunked\r\n\r\n");
  };
  Begin("POST", 1'000'000, 400'000);
  sim->loop.RunFor(seconds(130));
  EXPECT_TRUE(client->answered() == 1 || client->ended());
  EXPECT_EQ(sim->cluster().breaker().requests, 0u);
}

// Each holds the connection that it comes back on, until it has got another.
TEST_F(UploadTest, WhatComesBackDoesNotWaitForItself) {
  edit = [](ClusterConfig& cluster) { cluster.circuit_breaker.connections = 1; };
  Start();
  GiveBack(300'000);
  Begin("POST", 300'000, 300'000);
  EXPECT_EQ(Answer(), 200);
  EXPECT_TRUE(received == body);
}

}  // namespace
}  // namespace sluice
