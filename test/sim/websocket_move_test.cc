// WebSockets that a drain moves into another process, at any byte of what both sides say.
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "support/proxy_sim.h"
#include "support/sim_generation.h"
#include "support/sim_stream_origin.h"
#include "support/sim_websocket.h"

namespace sluice {
namespace {

using namespace std::chrono_literals;

ProxySimOptions Options() {
  ProxySimOptions options;
  options.tie_break = TieBreak::kRandom;
  options.route_timeout = {};
  options.drain.propagation_delay = {};
  options.drain.jitter = {};
  options.drain.deadline = 20s;
  return options;
}

struct Restart {
  explicit Restart(uint64_t seed = 1, const ProxySimOptions& options = Options())
      : sim(seed, options), next(sim, options), mover(sim, next) {}

  SimWebSocket& Open(const std::string& target, WebSocketManner manner = WebSocketManner::kPolite) {
    sockets.push_back(
        std::make_unique<SimWebSocket>(sim, sim.loop.random().Next(), target, manner));
    SimWebSocket& socket = *sockets.back();
    EXPECT_TRUE(sim.Until([&] { return socket.client().answered() == 1 || socket.left(); }));
    return socket;
  }
  void Begin() {
    sim.connections.MoveTo(&mover);
    sim.BeginDrain();
  }

  ProxySim sim;
  SimStreamOrigin origin{sim.loop, sim.network, "origin", 1};
  SimGeneration next;
  SimMover mover;
  std::vector<std::unique_ptr<SimWebSocket>> sockets;
};

// What was said and is not under way was heard, in order and once; nobody's frames were damaged.
void ExpectWhole(Restart& restart, SimWebSocket& socket) {
  EXPECT_EQ(socket.reader().error(), "");
  const SimStreamOrigin::Session* const session = restart.origin.Find(socket.target());
  ASSERT_NE(session, nullptr);
  EXPECT_EQ(session->complaint, "");
  ASSERT_LE(session->heard.size(), socket.said().size());
  for (size_t i = 0; i < session->heard.size(); ++i) {
    ASSERT_EQ(session->heard[i], socket.said()[i]) << i;
  }
  const std::vector<std::string>& got = socket.reader().messages();
  ASSERT_LE(got.size(), session->said.size());
  for (size_t i = 0; i < got.size(); ++i) ASSERT_EQ(got[i], session->said[i]) << i;
}

void ExpectOpen(SimWebSocket& socket) {
  EXPECT_FALSE(socket.reader().close());
  EXPECT_FALSE(socket.left());
  EXPECT_FALSE(socket.client().ended());
}

TEST(WebSocketMove, ASessionGoesOnInTheOtherProcess) {
  Restart restart;
  SimWebSocket& socket = restart.Open("/websocket?count=10000&ms=20");
  restart.sim.loop.RunFor(5s);
  restart.Begin();
  ASSERT_TRUE(restart.sim.UntilExited());
  EXPECT_EQ(restart.mover.taken, 1u);
  EXPECT_EQ(restart.mover.refusals, std::vector<std::string>());
  const DrainProgress progress = restart.sim.Progress();
  EXPECT_EQ(progress.moved, 1u);
  EXPECT_EQ(progress.cut_total(), 0u);
  EXPECT_EQ(progress.finished, 0u);
  EXPECT_EQ(progress.streams_told, 0u);
  EXPECT_EQ(progress.streams_left, 0u);
  EXPECT_EQ(restart.sim.log.size(), 0u) << "it is not over";
  const size_t said = socket.said().size();
  const size_t heard = restart.origin.Find(socket.target())->heard.size();
  restart.sim.loop.RunFor(10s);
  ExpectOpen(socket);
  EXPECT_GT(socket.said().size(), said + 10);
  EXPECT_GT(restart.origin.Find(socket.target())->heard.size(), heard + 10);
  ExpectWhole(restart, socket);
  EXPECT_EQ(restart.next.moved("websocket", "adopted"), 1);

  // The account of all its life is written where it ends.
  socket.client().Close();
  ASSERT_TRUE(restart.sim.Until([&] { return !restart.next.log.empty(); }));
  const SimLogEntry& entry = restart.next.log[0];
  EXPECT_EQ(entry.method, "GET");
  EXPECT_EQ(entry.target, "/websocket?count=10000&ms=20");
  EXPECT_EQ(entry.record.protocol, Protocol::kWebSocket);
  EXPECT_EQ(entry.record.status, 101);
  EXPECT_GT(restart.sim.loop.Now() - entry.record.started, 14s);
  EXPECT_GE(entry.record.bytes_out, socket.client().tunnel().size());
}

TEST(WebSocketMove, ARefusedOneIsTold) {
  Restart restart;
  SimWebSocket& socket = restart.Open("/websocket?count=1000&ms=20");
  restart.mover.refuse_chance = 1;
  restart.Begin();
  ASSERT_TRUE(restart.sim.UntilExited());
  ASSERT_TRUE(socket.reader().close());
  EXPECT_EQ(socket.reader().close()->code, 1001);
  EXPECT_EQ(restart.sim.Progress().streams_told, 1u);
  EXPECT_EQ(restart.sim.Progress().cut_total(), 0u);
  ExpectWhole(restart, socket);
}

TEST(WebSocketMove, TheOtherProcessRefusesWhatItDoesNotHave) {
  ProxySimOptions options = Options();
  options.limits.websockets = 1;
  Restart restart(1, Options());
  SimGeneration small(restart.sim, options);
  SimMover mover(restart.sim, small);
  restart.Open("/websocket?id=1");
  restart.Open("/websocket?id=2");
  restart.sim.connections.MoveTo(&mover);
  restart.sim.BeginDrain();
  ASSERT_TRUE(restart.sim.UntilExited());
  ASSERT_EQ(mover.refusals.size(), 1u);
  EXPECT_NE(mover.refusals[0].find("limit"), std::string::npos) << mover.refusals[0];
  EXPECT_EQ(restart.sim.Progress().moved, 1u);
  EXPECT_EQ(restart.sim.Progress().streams_told, 1u);
  EXPECT_EQ(restart.sim.Progress().cut_total(), 0u);
  for (const auto& socket : restart.sockets) socket->client().Close();
  restart.sim.loop.RunFor(1s);
}

TEST(WebSocketMove, WithoutAnAnswerTheDeadlineEndsTheWaitAndTheSessionGoesOn) {
  Restart restart;
  SimWebSocket& socket = restart.Open("/websocket?count=10000&ms=20");
  restart.mover.lose_answer_chance = 1;
  restart.Begin();
  ASSERT_TRUE(restart.sim.UntilExited());
  restart.sim.loop.RunFor(5s);
  ExpectOpen(socket);
  ExpectWhole(restart, socket);
}

// At any moment of what is said, with pieces of any size, whatever the other process answers and
// when: a session goes on, or is ended as by any drain.
TEST(WebSocketMove, AtAnyMoment) {
  size_t moved = 0;
  size_t told = 0;
  for (uint64_t seed = 1; seed <= 150 && !testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Restart restart(seed);
    Random random(seed);
    const auto faults = [&random] { return PipeFaults::Draw(random, false); };
    restart.sim.network.At("proxy").faults = faults;
    restart.sim.network.At("origin").faults = faults;
    restart.mover.most_under_way = 1ms * static_cast<int>(random.Below(200));
    restart.mover.most_answer = 1ms * static_cast<int>(random.Below(200));
    restart.mover.refuse_chance = random.Chance(0.5) ? 0.3 : 0;
    for (int i = 0; i < 5; ++i) {
      const auto manner = static_cast<WebSocketManner>(random.Below(5));
      restart.Open("/websocket?count=100000&ms=10&id=" + std::to_string(i), manner);
    }
    restart.sim.loop.RunFor(std::chrono::microseconds(random.Below(3'000'000)));
    restart.Begin();
    ASSERT_TRUE(restart.sim.UntilExited());
    restart.sim.loop.RunFor(10s);
    EXPECT_EQ(restart.sim.connections.connection_count(), 0u);
    EXPECT_EQ(restart.sim.Progress().in_flight_total(), 0u);
    moved += restart.sim.Progress().moved;
    told += restart.sim.Progress().streams_told;
    for (const auto& socket : restart.sockets) {
      if (socket->manner() != WebSocketManner::kLeaves) ExpectWhole(restart, *socket);
      // Of those that moved, who is polite is not asked to end.
      const bool polite = socket->manner() == WebSocketManner::kPolite;
      const bool moved_on = restart.sim.LoggedOf(socket->client().local_address()).empty();
      if (polite && moved_on) ExpectOpen(*socket);
    }
  }
  EXPECT_GT(moved, 300u);
  EXPECT_GT(told, 50u);
}

}  // namespace
}  // namespace sluice
