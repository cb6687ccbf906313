// The races that every graceful proxy meets (docs/drain.md, section 7), each tried at every moment
// around the one that matters and in every order of events of that moment.
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>

#include "support/proxy_sim.h"

namespace sluice {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr Duration kGrace = milliseconds(100);

ProxySimOptions Options() {
  ProxySimOptions options;
  options.tie_break = TieBreak::kRandom;
  options.drain.propagation_delay = {};
  options.drain.jitter = {};
  options.drain.idle_grace = kGrace;
  return options;
}

// Runs `race` for many seeds.
void ForSeeds(uint64_t count, const std::function<void(ProxySim&)>& race,
              const ProxySimOptions& options = Options()) {
  for (uint64_t seed = 1; seed <= count && !::testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    ProxySim sim(seed, options);
    race(sim);
  }
}

// An idle keep-alive connection.
std::unique_ptr<SimClient> IdleClient(ProxySim& sim) {
  auto client = sim.Connect();
  client->Request("GET", "/fast?first");
  EXPECT_TRUE(sim.Until([&] { return client->answered() == 1; }));
  return client;
}

// What the process left with the kernel still arrives after its exit.
void Deliver(ProxySim& sim) { sim.loop.RunFor(seconds(1)); }

// The second request was answered as the last one, or it never reached the proxy: the connection
// ended in order and the client may send it again elsewhere.
void ExpectAnsweredOrUntouched(ProxySim& sim, const SimClient& client) {
  ASSERT_TRUE(sim.UntilExited());
  EXPECT_EQ(sim.Progress().cut_total(), 0u);
  EXPECT_EQ(sim.connections.connection_count(), 0u);
  EXPECT_EQ(client.complaint(), "");
  if (client.answered() == 2) {
    EXPECT_TRUE(client.told_to_close());
    EXPECT_EQ(client.error(), 0);
    return;
  }
  const PipeAccount& server = *sim.network.Find(client.local_address())->server;
  EXPECT_EQ(client.responses().size(), 1u) << "half an answer";
  EXPECT_LE(server.delivered_at_goodbye.value(), client.sent().at(1).offset)
      << "the request was read, and not answered";
  EXPECT_EQ(server.unread_at_goodbye, 0u) << "the request was there, and nobody looked";
}

TEST(DrainRaces, ARequestOnTheWireOfAnIdleConnectionIsAnswered) {
  ForSeeds(20, [](ProxySim& sim) {
    sim.network.At("proxy").faults = [] {
      PipeFaults faults;
      faults.min_delay = faults.max_delay = milliseconds(20);
      return faults;
    };
    const auto client = IdleClient(sim);
    client->Request("GET", "/fast?second");
    sim.BeginDrain();
    ExpectAnsweredOrUntouched(sim, *client);
    EXPECT_EQ(client->answered(), 2u) << "it was sent before the drain began";
  });
}

TEST(DrainRaces, ARequestCrossesTheEndOfTheIdleGrace) {
  size_t answered = 0;
  size_t tried = 0;
  for (Duration early : {Duration{}, Duration(microseconds(1)), Duration(microseconds(500))}) {
    ForSeeds(100, [&](ProxySim& sim) {
      const auto client = IdleClient(sim);
      sim.BeginDrain();
      ASSERT_TRUE(sim.UntilPhase(Phase::kDraining));
      sim.loop.After(kGrace - early, [&] { client->Request("GET", "/fast?second"); });
      ExpectAnsweredOrUntouched(sim, *client);
      ++tried;
      answered += client->answered() == 2 ? 1 : 0;
    });
  }
  EXPECT_GT(answered, 0u);
  EXPECT_LT(answered, tried) << "the moment was not tried";
}

TEST(DrainRaces, ARequestCrossesTheEndOfTheIdleTimeout) {
  ProxySimOptions options = Options();
  options.timeouts.idle = seconds(3);
  size_t answered = 0;
  size_t tried = 0;
  ForSeeds(
      200,
      [&](ProxySim& sim) {
        const auto client = IdleClient(sim);
        sim.loop.After(seconds(3), [&] { client->Request("GET", "/fast?second"); });
        sim.loop.RunFor(seconds(5));
        ++tried;
        if (client->answered() == 2) {
          ++answered;
          return;
        }
        const PipeAccount& server = *sim.network.Find(client->local_address())->server;
        EXPECT_EQ(server.unread_at_goodbye, 0u) << "the request was there, and nobody looked";
        EXPECT_LE(server.delivered_at_goodbye.value(), client->sent().at(1).offset);
      },
      options);
  EXPECT_LT(answered, tried) << "the moment was not tried";
}

TEST(DrainRaces, AConnectionInTheAcceptQueueIsServed) {
  ForSeeds(100, [](ProxySim& sim) {
    const auto client = sim.Connect();
    client->Request("GET", "/fast");
    ASSERT_TRUE(sim.loop.RunUntil([&] { return sim.network.made("proxy") == 1; }, seconds(1)));
    sim.BeginDrain();
    ASSERT_TRUE(sim.UntilExited());
    Deliver(sim);
    ASSERT_EQ(client->answered(), 1u);
    EXPECT_EQ(client->responses()[0].status, 200);
    EXPECT_EQ(sim.Progress().told, 1u);
  });
}

TEST(DrainRaces, AConnectionIsServedOrRefusedNeverDropped) {
  for (int moment = 0; moment < 20; ++moment) {
    ForSeeds(10, [&](ProxySim& sim) {
      sim.network.At("proxy").connect_delay = microseconds(100);
      const auto client = sim.Connect();
      client->Request("GET", "/fast");
      sim.loop.RunFor(microseconds(95 + moment));
      sim.BeginDrain();
      ASSERT_TRUE(sim.UntilExited());
      Deliver(sim);
      if (client->error() == ECONNREFUSED) return;
      EXPECT_EQ(client->error(), 0);
      EXPECT_EQ(client->answered(), 1u);
    });
  }
}

TEST(DrainRaces, TheLastResponseIsNotDestroyedByWhatTheClientStillSends) {
  // The client is answered before it has sent all of its upload, and goes on sending it.
  ForSeeds(20, [](ProxySim& sim) {
    const auto client = sim.Connect();
    client->Upload("/early", 100'000, 1000, milliseconds(2));
    ASSERT_TRUE(sim.Until([&] { return client->uploaded() > 5'000; }));
    client->PauseReading();
    sim.BeginDrain();
    sim.loop.RunFor(milliseconds(600));
    client->ResumeReading();
    ASSERT_TRUE(sim.UntilExited());
    EXPECT_EQ(client->answered(), 1u);
    EXPECT_EQ(client->error(), 0);
  });
}

TEST(DrainRaces, AHalfClosedClientDoesNotPinTheDrain) {
  ForSeeds(20, [](ProxySim& sim) {
    const auto client = sim.Connect();
    client->Request("GET", "/hold");
    client->HalfClose();
    ASSERT_TRUE(sim.Until([&] { return sim.origin.held() == 1; }));
    sim.BeginDrain();
    ASSERT_TRUE(sim.UntilPhase(Phase::kDraining));
    sim.origin.Release();
    const TimePoint before = sim.loop.Now();
    ASSERT_TRUE(sim.UntilExited());
    EXPECT_LE(sim.loop.Now() - before, milliseconds(10)) << "nobody is there to linger for";
    Deliver(sim);
    EXPECT_EQ(client->answered(), 1u);
  });
}

TEST(DrainRaces, AnIdleProcessIsGoneAtOnce) {
  ForSeeds(5, [](ProxySim& sim) {
    const TimePoint before = sim.loop.Now();
    sim.BeginDrain();
    ASSERT_TRUE(sim.UntilExited());
    EXPECT_LE(sim.loop.Now() - before, milliseconds(50));
  });
}

TEST(DrainRaces, AHundredSignalsAreTheSameAsTwo) {
  ForSeeds(5, [](ProxySim& sim) {
    const auto client = sim.Connect();
    client->Request("GET", "/hold");
    ASSERT_TRUE(sim.Until([&] { return sim.origin.held() == 1; }));
    for (int i = 0; i < 100; ++i) sim.BeginDrain();
    ASSERT_TRUE(sim.UntilExited());
    ASSERT_EQ(client->answered(), 1u);
    EXPECT_EQ(client->responses()[0].status, 503);
    EXPECT_EQ(sim.Progress().cut_total(), 1u);
  });
}

TEST(DrainRaces, LameDuckAdvisesClosingAndKeepsAccepting) {
  ProxySimOptions options = Options();
  options.drain.propagation_delay = seconds(5);
  ForSeeds(
      5,
      [](ProxySim& sim) {
        const auto old_client = IdleClient(sim);
        sim.BeginDrain();
        ASSERT_TRUE(sim.UntilPhase(Phase::kLameDuck));
        old_client->Request("GET", "/fast?second");
        const auto new_client = sim.Connect();
        new_client->Request("GET", "/fast?new");
        sim.loop.RunFor(seconds(1));
        EXPECT_EQ(old_client->answered(), 2u);
        EXPECT_TRUE(old_client->told_to_close());
        EXPECT_EQ(new_client->answered(), 1u);
        EXPECT_TRUE(new_client->told_to_close());
        ASSERT_TRUE(sim.UntilExited());
      },
      options);
}

TEST(DrainRaces, GradualAdviceRisesWithTime) {
  ProxySimOptions options = Options();
  options.drain.propagation_delay = seconds(10);
  options.drain.strategy = DrainStrategy::kGradual;
  size_t early = 0;
  size_t late = 0;
  ForSeeds(
      200,
      [&](ProxySim& sim) {
        const auto first = IdleClient(sim);
        const auto second = IdleClient(sim);
        sim.BeginDrain();
        ASSERT_TRUE(sim.UntilPhase(Phase::kLameDuck));
        sim.loop.RunFor(seconds(1));
        first->Request("GET", "/fast?early");
        sim.loop.RunFor(seconds(8));
        second->Request("GET", "/fast?late");
        sim.loop.RunFor(milliseconds(500));
        early += first->told_to_close() ? 1 : 0;
        late += second->told_to_close() ? 1 : 0;
      },
      options);
  EXPECT_GT(early, 4u);
  EXPECT_LT(early, 50u);
  EXPECT_GT(late, 150u);
  EXPECT_LT(late, 200u);
}

}  // namespace
}  // namespace sluice
