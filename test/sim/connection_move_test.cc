// Idle connections that a drain moves into another process, where their clients go on as if nothing
// had happened.
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "support/proxy_sim.h"
#include "support/sim_generation.h"

namespace sluice {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

ProxySimOptions Options() {
  ProxySimOptions options;
  options.tie_break = TieBreak::kRandom;
  options.drain.propagation_delay = {};
  options.drain.jitter = {};
  return options;
}

// An old process, a new one, and what is between them.
struct Restart {
  explicit Restart(uint64_t seed = 1, const ProxySimOptions& options = Options())
      : sim(seed, options), next(sim, options), mover(sim, next) {}

  void Begin() {
    sim.connections.MoveTo(&mover);
    sim.BeginDrain();
  }
  bool UntilExited() {
    const bool exited = sim.UntilExited();
    next.Listen();
    return exited;
  }

  ProxySim sim;
  SimGeneration next;
  SimMover mover;
};

std::unique_ptr<SimClient> IdleClient(ProxySim& sim) {
  auto client = sim.Connect();
  client->Request("GET", "/fast?first");
  EXPECT_TRUE(sim.Until([&] { return client->answered() == 1; }));
  return client;
}

void ExpectUntouched(const SimClient& client) {
  EXPECT_EQ(client.complaint(), "");
  EXPECT_EQ(client.error(), 0);
  EXPECT_FALSE(client.ended());
  EXPECT_FALSE(client.told_to_close());
}

TEST(ConnectionMove, AnIdleConnectionGoesOnInTheOtherProcess) {
  Restart restart;
  const auto client = IdleClient(restart.sim);
  restart.Begin();
  ASSERT_TRUE(restart.UntilExited());
  EXPECT_EQ(restart.mover.taken, 1u);
  const DrainProgress progress = restart.sim.Progress();
  EXPECT_EQ(progress.moved, 1u);
  EXPECT_EQ(progress.told, 0u);
  EXPECT_EQ(progress.cut_total(), 0u);
  client->Request("GET", "/fast?second");
  ASSERT_TRUE(restart.sim.Until([&] { return client->answered() == 2; }));
  ExpectUntouched(*client);
  EXPECT_EQ(restart.next.LoggedOf(client->local_address()).size(), 1u);
  EXPECT_EQ(restart.next.moved("http1", "adopted"), 1);
}

TEST(ConnectionMove, AtEveryByteOfAHead) {
  const std::string request = "\r\n\r\nGET /fast?second HTTP/1.1\r\nHost: proxy\r\n\r\n";
  for (bool fresh : {false, true}) {
    for (size_t at = 0; at < request.size(); ++at) {
      SCOPED_TRACE(std::to_string(at) + (fresh ? " of the first" : " of the second"));
      Restart restart(at + 1);
      auto client = fresh ? restart.sim.Connect() : IdleClient(restart.sim);
      const size_t before = fresh ? 0 : 1;
      client->Begin("GET", "/fast?second", request.substr(0, at));
      restart.sim.loop.RunFor(milliseconds(1));
      restart.Begin();
      ASSERT_TRUE(restart.UntilExited());
      ASSERT_EQ(restart.mover.taken, 1u);
      EXPECT_TRUE(restart.sim.LoggedOf(client->local_address()).size() == before);
      client->Send(request.substr(at));
      ASSERT_TRUE(restart.sim.Until([&] { return client->answered() == before + 1; }));
      ExpectUntouched(*client);
      EXPECT_EQ(restart.sim.Progress().in_flight_total(), 0u);
    }
  }
}

TEST(ConnectionMove, HalfOfAPrefaceIsStillOne) {
  for (size_t at = 0; at < 4; ++at) {
    Restart restart(at + 1);
    auto client = restart.sim.Connect();
    client->Send(std::string("PRI * HTTP/2.0\r\n").substr(0, at));
    restart.sim.loop.RunFor(milliseconds(1));
    restart.Begin();
    ASSERT_TRUE(restart.UntilExited());
    ASSERT_EQ(restart.mover.taken, 1u);
    // It is no request of HTTP/1.1, for which it would be answered 400.
    client->Send(std::string("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").substr(at));
    restart.sim.loop.RunFor(seconds(1));
    EXPECT_TRUE(client->responses().empty() || client->responses()[0].status != 400);
  }
}

TEST(ConnectionMove, ABusyOneGoesWhenItsResponseIsOver) {
  Restart restart;
  const auto client = restart.sim.Connect();
  client->Request("GET", "/hold");
  ASSERT_TRUE(restart.sim.Until([&] { return restart.sim.held() == 1; }));
  restart.Begin();
  restart.sim.loop.RunFor(seconds(2));
  EXPECT_EQ(restart.mover.asked, 0u);
  restart.sim.Release();
  ASSERT_TRUE(restart.UntilExited());
  EXPECT_EQ(client->answered(), 1u);
  EXPECT_EQ(restart.sim.Progress().finished, 1u);
  client->Request("GET", "/fast");
  ASSERT_TRUE(restart.sim.Until([&] { return client->answered() == 2; }));
  ExpectUntouched(*client);
}

TEST(ConnectionMove, NoMoreAreMovedWhenTheMoverIsGone) {
  Restart restart;
  const auto busy = restart.sim.Connect();
  busy->Request("GET", "/hold");
  ASSERT_TRUE(restart.sim.Until([&] { return restart.sim.held() == 1; }));
  restart.Begin();
  restart.sim.loop.RunFor(seconds(1));
  restart.sim.connections.MoveTo(nullptr);
  restart.sim.Release();
  ASSERT_TRUE(restart.UntilExited());
  restart.sim.loop.RunFor(seconds(1));
  EXPECT_EQ(restart.mover.asked, 0u);
  EXPECT_EQ(busy->answered(), 1u);
  EXPECT_EQ(busy->state(), SimClient::State::kEnded);
  EXPECT_EQ(restart.sim.Progress().told, 1u);
}

TEST(ConnectionMove, ALateRefusalFindsARequestThatCameMeanwhile) {
  Restart restart;
  const auto client = IdleClient(restart.sim);
  restart.mover.refuse_chance = 1;
  restart.mover.most_answer = seconds(2);
  restart.Begin();
  restart.sim.loop.RunFor(microseconds(500));
  ASSERT_EQ(restart.mover.asked, 1u);
  client->Request("GET", "/fast?second");
  ASSERT_TRUE(restart.UntilExited());
  ASSERT_TRUE(restart.sim.Until([&] { return client->answered() == 2; }));
  EXPECT_EQ(client->error(), 0);
  EXPECT_TRUE(client->told_to_close());
}

TEST(ConnectionMove, WithoutAnAnswerTheDeadlineEndsTheWait) {
  Restart restart;
  const auto client = IdleClient(restart.sim);
  restart.mover.lose_answer_chance = 1;
  restart.Begin();
  ASSERT_TRUE(restart.UntilExited());
  EXPECT_EQ(restart.sim.Progress().cut_total(), 0u);
  // It went, whatever the old process knows of it.
  client->Request("GET", "/fast?second");
  ASSERT_TRUE(restart.sim.Until([&] { return client->answered() == 2; }));
  ExpectUntouched(*client);
}

TEST(ConnectionMove, ManyMoveWithoutALongWaitForAny) {
  Restart restart;
  restart.mover.most_answer = milliseconds(1);
  std::vector<std::unique_ptr<SimClient>> clients;
  for (int i = 0; i < 1000; ++i) clients.push_back(IdleClient(restart.sim));
  restart.Begin();
  ASSERT_TRUE(restart.UntilExited());
  EXPECT_EQ(restart.mover.taken, 1000u);
  for (const auto& client : clients) client->Request("GET", "/fast?second");
  ASSERT_TRUE(restart.sim.Until([&] {
    return std::all_of(clients.begin(), clients.end(),
                       [](const auto& client) { return client->answered() == 2; });
  }));
  for (const auto& client : clients) ExpectUntouched(*client);
}

TEST(ConnectionMove, ARefusedOneIsToldAsByAnyDrain) {
  Restart restart;
  const auto client = IdleClient(restart.sim);
  restart.mover.refuse_chance = 1;
  restart.Begin();
  ASSERT_TRUE(restart.UntilExited());
  restart.sim.loop.RunFor(seconds(1));
  EXPECT_EQ(restart.sim.Progress().moved, 0u);
  EXPECT_EQ(restart.sim.Progress().told, 1u);
  EXPECT_EQ(client->error(), 0);
  EXPECT_EQ(client->state(), SimClient::State::kEnded);
}

}  // namespace
}  // namespace sluice
