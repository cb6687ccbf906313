// The races of a drain under HTTP/2 (docs/drain.md, section 7), each tried at every moment around
// the one that matters and in every order of events of that moment.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <string>

#include "support/proxy_sim.h"

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

// Runs `race` for many seeds.
void ForSeeds(uint64_t count, const std::function<void(ProxySim&)>& race,
              const ProxySimOptions& options = Options()) {
  for (uint64_t seed = 1; seed <= count && !::testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    ProxySim sim(seed, options);
    race(sim);
  }
}

// Bytes take so long from one kernel to the other.
void Delay(ProxySim& sim, Duration delay) {
  sim.network.At("proxy").faults = [delay] {
    PipeFaults faults;
    faults.min_delay = faults.max_delay = delay;
    return faults;
  };
}

// A connection that has carried one request.
std::unique_ptr<SimH2Client> IdleClient(ProxySim& sim, const SimH2Options& http2 = {}) {
  auto client = sim.ConnectH2(http2);
  client->Request("GET", "/fast?first");
  EXPECT_TRUE(sim.Until([&] { return client->answered() == 1; }));
  return client;
}

// Two goodbyes, the second with the id up to which every stream was answered; what is above it was
// not touched.
void ExpectGoodbyesKept(ProxySim& sim, const SimH2Client& client) {
  EXPECT_EQ(client.complaint(), "");
  EXPECT_EQ(client.error(), 0);
  EXPECT_EQ(sim.Progress().cut_total(), 0u);
  EXPECT_EQ(sim.connections.connection_count(), 0u);
  ASSERT_EQ(client.goaways().size(), 2u);
  EXPECT_EQ(client.goaways()[0].last_stream, h2::kMaxStreamId);
  const uint32_t last = client.goaways()[1].last_stream;
  size_t served = 0;
  for (const auto& [id, stream] : client.session().streams()) {
    EXPECT_EQ(stream.has_head, id <= last) << "stream " << id << ", the last is " << last;
    if (id > last || stream.reset_by_us) continue;
    EXPECT_TRUE(stream.in.complete) << "stream " << id;
    EXPECT_EQ(stream.in.status, 200) << "stream " << id;
    ++served;
  }
  EXPECT_EQ(sim.log.size(), served) << "one record for each stream that was taken";
}

TEST(H2DrainRaces, ARequestCrossesEitherGoaway) {
  // The client sends one request after the other, at every moment of a goodbye that takes two
  // round trips.
  size_t refused = 0;
  size_t late = 0;
  ForSeeds(40, [&](ProxySim& sim) {
    Delay(sim, milliseconds(5));
    const auto client = IdleClient(sim);
    for (int i = 0; i < 40; ++i) {
      sim.loop.After(milliseconds(1) * i, [&, i] {
        if (!client->ended()) client->Request("GET", "/fast?" + std::to_string(i));
      });
    }
    sim.loop.RunFor(milliseconds(5) + microseconds(sim.loop.random().Below(3000)));
    sim.BeginDrain();
    ASSERT_TRUE(sim.UntilExited());
    sim.loop.RunFor(seconds(2));
    ExpectGoodbyesKept(sim, *client);
    const uint32_t last = client->goaways()[1].last_stream;
    for (const auto& [id, stream] : client->session().streams()) refused += id > last ? 1 : 0;
    late += last > 1 ? 1 : 0;
  });
  EXPECT_GT(refused, 0u) << "the moment was not tried";
  EXPECT_EQ(late, 40u) << "what was on its way when the drain began was not served";
}

TEST(H2DrainRaces, ARequestInTheSameReadAsTheAckOfThePing) {
  for (const bool before : {true, false}) {
    ForSeeds(20, [&](ProxySim& sim) {
      const auto client = IdleClient(sim, {.ack_pings = false});
      sim.BeginDrain();
      ASSERT_TRUE(sim.Until([&] { return client->session().pings() == 1; }));
      uint32_t id = 0;
      sim.loop.Dispatch([&] {
        if (before) id = client->Request("GET", "/fast?second");
        client->session().AckPings();
        if (!before) id = client->Request("GET", "/fast?second");
      });
      ASSERT_TRUE(sim.UntilExited());
      ExpectGoodbyesKept(sim, *client);
      // The id is settled at the end of the turn that reads the ACK: what came with it is served.
      EXPECT_EQ(client->goaways()[1].last_stream, id);
    });
  }
}

TEST(H2DrainRaces, AStreamResetByTheClientAtEachMoment) {
  const std::string targets[] = {"/fast", "/slow?ms=3", "/big?bytes=200000", "/hints",
                                 "/chunked?bytes=3000&chunk=100&trailers=1"};
  for (const std::string& target : targets) {
    for (int moment = 0; moment < 30; ++moment) {
      ForSeeds(4, [&](ProxySim& sim) {
        SCOPED_TRACE(target + " at " + std::to_string(moment));
        Delay(sim, microseconds(700));
        const auto client = IdleClient(sim);
        const uint32_t id = client->Request("GET", target);
        sim.loop.After(microseconds(300) * moment, [&] { client->ResetStream(id); });
        sim.loop.After(microseconds(sim.loop.random().Below(9000)), [&] { sim.BeginDrain(); });
        ASSERT_TRUE(sim.UntilExited());
        sim.loop.RunFor(seconds(2));
        EXPECT_EQ(client->complaint(), "");
        EXPECT_EQ(client->error(), 0);
        EXPECT_EQ(client->goaways().size(), 2u);
        EXPECT_EQ(sim.Progress().cut_total(), 0u);
        // It is on record exactly once, as whole or as given up by the client; unless it was above
        // the last stream.
        const bool taken = client->goaways().back().last_stream >= id;
        ASSERT_EQ(sim.log.size(), taken ? 2u : 1u);
        if (!taken) return;
        const StreamEnd end = sim.log.back().record.end;
        EXPECT_TRUE(end == StreamEnd::kClientGone || end == StreamEnd::kComplete)
            << StreamEndName(end);
        if (client->stream(id).in.complete) {
          EXPECT_EQ(end, StreamEnd::kComplete);
        }
        EXPECT_EQ(sim.upstream_connections(), 0u);
      });
    }
  }
}

TEST(H2DrainRaces, TheLastResponseHasLeftWhenTheConnectionEnds) {
  // A response of every size is under way, in small pieces, when the drain begins.
  for (const uint64_t bytes : {1ull, 16384ull, 60000ull, 70000ull, 300000ull}) {
    ForSeeds(20, [&](ProxySim& sim) {
      sim.network.At("proxy").faults = [&] {
        PipeFaults faults;
        faults.seed = sim.loop.random().Next();
        faults.max_delay = milliseconds(1);
        faults.max_chunk = 4096;
        faults.random_chunks = true;
        faults.socket_buffer = 8192;
        return faults;
      };
      const auto client = sim.ConnectH2();
      const uint32_t id = client->Request("GET", "/big?bytes=" + std::to_string(bytes));
      sim.loop.After(microseconds(sim.loop.random().Below(10'000)), [&] { sim.BeginDrain(); });
      ASSERT_TRUE(sim.UntilExited());
      sim.loop.RunFor(seconds(2));
      if (client->goaways().empty()) return;  // refused: it had not connected
      EXPECT_TRUE(client->stream(id).in.complete || client->goaways().back().last_stream < id);
      ExpectGoodbyesKept(sim, *client);
    });
  }
}

TEST(H2DrainRaces, AConnectionInTheAcceptQueueIsServed) {
  ForSeeds(100, [](ProxySim& sim) {
    const auto client = sim.ConnectH2();
    const uint32_t id = client->Request("GET", "/fast");
    ASSERT_TRUE(sim.loop.RunUntil([&] { return sim.network.made("proxy") == 1; }, seconds(1)));
    sim.BeginDrain();
    ASSERT_TRUE(sim.UntilExited());
    sim.loop.RunFor(seconds(1));
    ASSERT_EQ(client->answered(), 1u);
    EXPECT_EQ(client->stream(id).in.status, 200);
    ExpectGoodbyesKept(sim, *client);
  });
}

TEST(H2DrainRaces, AConnectionIsServedOrRefusedNeverDropped) {
  for (int moment = 0; moment < 20; ++moment) {
    ForSeeds(10, [&](ProxySim& sim) {
      sim.network.At("proxy").connect_delay = microseconds(100);
      const auto client = sim.ConnectH2();
      client->Request("GET", "/fast");
      sim.loop.RunFor(microseconds(95 + moment));
      sim.BeginDrain();
      ASSERT_TRUE(sim.UntilExited());
      sim.loop.RunFor(seconds(1));
      if (client->error() == ECONNREFUSED) return;
      EXPECT_EQ(client->error(), 0);
      EXPECT_EQ(client->answered(), 1u);
    });
  }
}

// A preface that comes in two parts, the drain between them.
void CutPreface(size_t first) {
  ForSeeds(10, [&](ProxySim& sim) {
    SCOPED_TRACE("after " + std::to_string(first) + " bytes");
    const auto client = sim.ConnectH2();
    client->HoldBackAfter(first);
    ASSERT_TRUE(sim.Until([&] { return client->state() == SimH2Client::State::kOpen; }));
    client->Request("GET", "/fast");
    sim.loop.RunFor(milliseconds(20));
    sim.BeginDrain();
    ASSERT_TRUE(sim.UntilPhase(Phase::kDraining));
    sim.loop.RunFor(milliseconds(20));  // within the idle grace
    client->SendHeldBack();
    ASSERT_TRUE(sim.UntilExited());
    sim.loop.RunFor(seconds(1));
    EXPECT_EQ(client->answered(), 1u);
    EXPECT_EQ(client->complaint(), "");
    EXPECT_EQ(client->error(), 0);
    EXPECT_EQ(client->goaways().size(), 2u);
    EXPECT_EQ(sim.Progress().cut_total(), 0u);
  });
}

TEST(H2DrainRaces, TheDrainBeginsInsideOfThePrefaceOrTheFirstFrames) {
  for (const size_t first : {1, 2, 3, 4, 14, 15, 16, 23, 24, 25, 33, 40, 50, 60}) CutPreface(first);
}

TEST(H2DrainRaces, AClientThatNeverEndsItsPrefaceDoesNotPinTheDrain) {
  for (const size_t first : {1, 14, 20, 24, 30}) {
    ForSeeds(5, [&](ProxySim& sim) {
      const auto client = sim.ConnectH2();
      client->HoldBackAfter(first);
      sim.loop.RunFor(milliseconds(20));
      const TimePoint before = sim.loop.Now();
      sim.BeginDrain();
      ASSERT_TRUE(sim.UntilExited());
      EXPECT_LE(sim.loop.Now() - before, seconds(22));
      sim.loop.RunFor(seconds(1));
      EXPECT_TRUE(client->ended());
    });
  }
}

TEST(H2DrainRaces, AHalfClosedClientIsAnsweredAndDoesNotPinTheDrain) {
  ForSeeds(20, [](ProxySim& sim) {
    const auto client = sim.ConnectH2();
    client->Request("GET", "/hold");
    client->HalfClose();
    ASSERT_TRUE(sim.Until([&] { return sim.held() == 1; }));
    sim.BeginDrain();
    ASSERT_TRUE(sim.UntilPhase(Phase::kDraining));
    sim.Release();
    const TimePoint before = sim.loop.Now();
    ASSERT_TRUE(sim.UntilExited());
    EXPECT_LE(sim.loop.Now() - before, milliseconds(10)) << "nobody is there to linger for";
    sim.loop.RunFor(seconds(1));
    EXPECT_EQ(client->answered(), 1u);
    EXPECT_EQ(client->complaint(), "");
  });
}

TEST(H2DrainRaces, AClientThatReadsNothingIsCutInTime) {
  ProxySimOptions options = Options();
  options.route_timeout = seconds(100);
  for (const bool again : {false, true}) {
    const auto race = [&](ProxySim& sim) {
      const auto client =
          sim.ConnectH2({.stream_window = 40'000'000, .connection_window = 40'000'000});
      client->Request("GET", "/big?bytes=30000000");
      client->Request("GET", "/hold");
      ASSERT_TRUE(sim.Until([&] { return client->stream(1).has_head && sim.held() == 1; }));
      client->PauseReading();
      sim.loop.RunFor(milliseconds(100));
      const TimePoint before = sim.loop.Now();
      sim.BeginDrain();
      if (again) {
        ASSERT_TRUE(sim.UntilPhase(Phase::kDraining));
        sim.BeginDrain();
      }
      ASSERT_TRUE(sim.UntilExited());
      EXPECT_LE(sim.loop.Now() - before, again ? seconds(3) : seconds(23));
      EXPECT_EQ(sim.Progress().cut_total(), 2u);
      client->ResumeReading();
      sim.loop.RunFor(seconds(1));
      EXPECT_FALSE(client->stream(1).in.complete) << "a part of a response looks like a whole";
    };
    ForSeeds(10, race, options);
  }
}

TEST(H2DrainRaces, AnIdleConnectionIsGoneInARoundTrip) {
  ForSeeds(10, [](ProxySim& sim) {
    const auto client = IdleClient(sim);
    client->on_end = [&] { client->Close(); };
    const TimePoint before = sim.loop.Now();
    sim.BeginDrain();
    ASSERT_TRUE(sim.UntilExited());
    EXPECT_LE(sim.loop.Now() - before, milliseconds(10)) << "the ACK is all there is to wait for";
  });
}

TEST(H2DrainRaces, GradualAdviceRisesWithTime) {
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
        early += first->goaways().size() == 2 ? 1 : 0;
        late += second->goaways().size() == 2 ? 1 : 0;
      },
      options);
  EXPECT_GT(early, 4u);
  EXPECT_LT(early, 50u);
  EXPECT_GT(late, 150u);
  EXPECT_LT(late, 200u);
}

TEST(H2DrainRaces, ARequestCrossesTheEndOfTheIdleTimeout) {
  ProxySimOptions options = Options();
  options.timeouts.idle = seconds(3);
  size_t answered = 0;
  ForSeeds(
      100,
      [&](ProxySim& sim) {
        Delay(sim, milliseconds(2));
        const auto client = IdleClient(sim);
        const auto early = microseconds(sim.loop.random().Below(8000));
        sim.loop.After(seconds(3) - early, [&] { client->Request("GET", "/fast?second"); });
        sim.loop.RunFor(seconds(10));
        ASSERT_EQ(client->goaways().size(), 2u);
        EXPECT_EQ(client->complaint(), "");
        EXPECT_EQ(client->error(), 0);
        const bool taken = client->goaways()[1].last_stream == 3;
        EXPECT_EQ(client->stream(3).in.complete, taken);
        answered += taken ? 1 : 0;
      },
      options);
  EXPECT_GT(answered, 0u);
}

}  // namespace
}  // namespace sluice
