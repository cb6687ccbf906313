// Every way in which a WebSocketTunnel can end: Close, end and reset from either side in every
// state of it, time limits, and the drain's deadline.
#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <string_view>

#include "support/tunnel_sim.h"

namespace sluice {
namespace {

using namespace std::chrono_literals;
using test::CloseFrame;
using test::Frame;
using test::kFinBit;
using test::Opcode;

std::string Said(std::string_view text, uint8_t flags = kFinBit) {
  return Frame(WebSocketSender::kServer, Opcode::kText, text, flags);
}
std::string ClientClose(uint16_t code = 1001) { return CloseFrame(WebSocketSender::kClient, code); }
std::string ServerClose(uint16_t code = 1000) { return CloseFrame(WebSocketSender::kServer, code); }

// ---- who is closing already is left alone

TEST(WebSocketTunnel, AClientThatClosesIsLeftToTheUpstream) {
  for (const bool told_first : {false, true}) {
    TunnelSim sim;
    sim.FromUpstream(Said("half", 0));
    if (told_first) sim.Tell();
    sim.FromClient(ClientClose(1000));
    sim.Tell();
    sim.FromUpstream(Frame(WebSocketSender::kServer, Opcode::kContinuation, "whole") +
                     Said("last words"));
    EXPECT_EQ(sim.client_close(), 0);
    sim.FromUpstream(ServerClose(1000));
    EXPECT_EQ(sim.client_close(), 1000) << "the upstream's answer, not ours";
    EXPECT_EQ(sim.client_got(), sim.upstream_said());
    EXPECT_EQ(sim.closes_to_client(), 0);
    sim.ClientEnds();
    EXPECT_TRUE(sim.complete());
  }
}

TEST(WebSocketTunnel, AnUpstreamThatClosesIsLeftToTheClient) {
  for (const bool told_first : {false, true}) {
    TunnelSim sim;
    sim.FromUpstream(Said("half", 0));
    if (told_first) sim.Tell();
    sim.FromUpstream(ServerClose(4000));
    sim.Tell();
    EXPECT_EQ(sim.client_close(), 4000);
    EXPECT_EQ(sim.closes_to_client(), 0);
    sim.FromClient(ClientClose(4000));
    EXPECT_EQ(sim.upstream_got(), sim.client_said());
    sim.UpstreamEnds();
    EXPECT_TRUE(sim.client_ended());
    sim.ClientEnds();
    EXPECT_TRUE(sim.complete());
  }
}

// Both have said goodbye, and neither closes its connection: the server's side does.
TEST(WebSocketTunnel, EndsWhenBothHaveClosed) {
  TunnelSim sim;
  sim.FromClient(ClientClose());
  sim.FromUpstream(ServerClose());
  EXPECT_FALSE(sim.client_ended()) << "it is theirs while nobody wants it to end";
  sim.Tell();
  EXPECT_TRUE(sim.client_ended());
  sim.ClientEnds();
  EXPECT_TRUE(sim.complete());
}

TEST(WebSocketTunnel, AClientWhoseCloseIsNotAnsweredIsAnswered) {
  TunnelSim sim;
  sim.FromClient(ClientClose());
  sim.Tell();
  sim.Wait(WebSocketConfig().close_timeout);
  EXPECT_EQ(sim.client_close(), 1001);
  EXPECT_TRUE(sim.client_ended());
  sim.ClientEnds();
  EXPECT_TRUE(sim.complete());
}

TEST(WebSocketTunnel, AClientThatDoesNotAnswerTheUpstreamIsLost) {
  TunnelSim sim;
  sim.FromUpstream(ServerClose());
  sim.Tell();
  sim.Wait(WebSocketConfig().close_timeout);
  EXPECT_EQ(sim.stream().aborted(), StreamEnd::kClientTimeout);
  EXPECT_TRUE(sim.upstream_left());
}

// ---- who never answers us

TEST(WebSocketTunnel, AClientThatNeverAnswersIsLost) {
  TunnelSim sim;
  sim.Tell();
  sim.FromClient(Frame(WebSocketSender::kClient, Opcode::kText, "as if nothing had been said"));
  sim.Wait(WebSocketConfig().close_timeout);
  EXPECT_EQ(sim.stream().aborted(), StreamEnd::kClientTimeout);
  EXPECT_EQ(sim.upstream_close(), 1001);
  EXPECT_EQ(sim.closes_to_upstream(), 1);
  EXPECT_TRUE(sim.upstream_left());
  EXPECT_EQ(sim.open(), 0);
}

TEST(WebSocketTunnel, InTheMiddleOfAClientsFrameNothingIsSaidToTheUpstream) {
  TunnelSim sim;
  sim.Tell();
  const std::string frame = Frame(WebSocketSender::kClient, Opcode::kText, "broken off");
  sim.FromClient(frame.substr(0, 9));
  sim.Wait(WebSocketConfig().close_timeout);
  EXPECT_EQ(sim.stream().aborted(), StreamEnd::kClientTimeout);
  EXPECT_EQ(sim.upstream_got(), frame.substr(0, 9));
}

TEST(WebSocketTunnel, AClientThatReadsSlowlyHasItsTime) {
  TunnelSim sim;
  sim.ClientStopsReading();
  sim.Tell();
  sim.Wait(10min);
  EXPECT_FALSE(sim.over()) << "the codec bounds it";
}

TEST(WebSocketTunnel, AnUpstreamThatNeverAnswersIsLeft) {
  TunnelSim sim;
  sim.Tell();
  sim.FromClient(ClientClose());
  sim.FromUpstream(Said("on and on"));
  EXPECT_EQ(sim.client_got().size(), std::string("going away").size() + 4);
  sim.Wait(WebSocketConfig().close_timeout);
  EXPECT_TRUE(sim.client_ended());
  sim.ClientEnds();
  EXPECT_TRUE(sim.complete());
}

TEST(WebSocketTunnel, AClientThatDoesNotEndIsNotWaitedForLong) {
  TunnelSim sim;
  sim.Tell();
  sim.FromClient(ClientClose());
  sim.FromUpstream(ServerClose());
  EXPECT_TRUE(sim.client_ended());
  EXPECT_FALSE(sim.over());
  sim.Wait(1s);
  EXPECT_TRUE(sim.complete());
}

// A frame that was begun is waited for as long as it moves.
TEST(WebSocketTunnel, AFrameThatStandsStillIsBroken) {
  TunnelSim sim;
  const std::string frame = Said(std::string(100, 'x'));
  sim.FromUpstream(frame.substr(0, 10));
  sim.Tell();
  for (size_t at = 10; at < 20; ++at) {
    sim.Wait(4s);
    sim.FromUpstream(frame.substr(at, 1));
  }
  EXPECT_FALSE(sim.over());
  sim.Wait(10s);
  EXPECT_EQ(sim.stream().aborted(), StreamEnd::kUpstreamFailed);
  EXPECT_EQ(sim.client_got(), frame.substr(0, 20));
}

// ---- Close, end and reset of the upstream, in every state

enum class At : uint8_t { kOpen, kTelling, kTold, kAnswered, kEnding, kCut };

void Bring(TunnelSim& sim, At state) {
  if (state == At::kTelling) sim.FromUpstream(Said("half", 0));
  if (state == At::kCut) sim.Cut();
  if (state == At::kOpen || state == At::kCut) return;
  sim.Tell();
  if (state >= At::kAnswered) sim.FromClient(ClientClose());
  if (state >= At::kEnding) sim.FromUpstream(ServerClose());
}

constexpr At kAll[] = {At::kOpen, At::kTelling, At::kTold, At::kAnswered, At::kEnding, At::kCut};

TEST(WebSocketTunnel, TheUpstreamEndsInEveryState) {
  for (const At state : kAll) {
    SCOPED_TRACE(static_cast<int>(state));
    TunnelSim sim;
    Bring(sim, state);
    sim.UpstreamEnds();
    EXPECT_EQ(sim.client_ended(), state != At::kTold);
    if (state != At::kAnswered && state != At::kEnding) sim.FromClient(ClientClose());
    EXPECT_TRUE(sim.client_ended());
    sim.ClientEnds();
    EXPECT_TRUE(sim.complete());
  }
}

TEST(WebSocketTunnel, TheUpstreamBreaksInEveryState) {
  for (const At state : kAll) {
    SCOPED_TRACE(static_cast<int>(state));
    TunnelSim sim;
    Bring(sim, state);
    sim.UpstreamBreaks();
    EXPECT_EQ(sim.broken(), state == At::kOpen || state == At::kTelling);
    if (sim.broken()) continue;
    if (state == At::kTold || state == At::kCut) sim.FromClient(ClientClose());
    EXPECT_TRUE(sim.client_ended());
    sim.ClientEnds();
    EXPECT_TRUE(sim.complete());
  }
}

// A goodbye is not made a failure by how the connection ends after it.
TEST(WebSocketTunnel, AnUpstreamMayBreakOffAfterItsClose) {
  for (const bool by_client : {false, true}) {
    for (const bool told : {false, true}) {
      TunnelSim sim;
      if (by_client) {
        sim.FromClient(ClientClose(1000));
      } else {
        sim.FromUpstream(ServerClose(1000));
      }
      if (told) sim.Tell();
      sim.UpstreamBreaks();
      EXPECT_FALSE(sim.broken());
      EXPECT_TRUE(sim.client_ended());
      sim.ClientEnds();
      EXPECT_TRUE(sim.complete());
    }
  }
}

// ---- end and reset of the client, in every state

TEST(WebSocketTunnel, TheClientEndsInEveryState) {
  for (const At state : kAll) {
    SCOPED_TRACE(static_cast<int>(state));
    TunnelSim sim;
    Bring(sim, state);
    sim.ClientEnds();
    EXPECT_EQ(sim.over(), state == At::kEnding || state == At::kCut);
    if (state <= At::kTelling) {
      EXPECT_TRUE(sim.upstream_ended());
      EXPECT_FALSE(sim.over());
    }
    sim.UpstreamEnds();
    EXPECT_TRUE(sim.complete());
  }
}

TEST(WebSocketTunnel, AClientThatEndsAndAnUpstreamThatDoesNot) {
  for (const At state : kAll) {
    SCOPED_TRACE(static_cast<int>(state));
    TunnelSim sim;
    Bring(sim, state);
    sim.ClientEnds();
    if (state == At::kOpen) sim.Tell();
    sim.Wait(WebSocketConfig().close_timeout);
    EXPECT_TRUE(sim.over());
    EXPECT_TRUE(sim.upstream_left());
    EXPECT_EQ(sim.stream().aborted().has_value(), state <= At::kTelling)
        << "a message that was broken off is not complete";
  }
}

TEST(WebSocketTunnel, TheClientResetsInEveryState) {
  for (const At state : kAll) {
    SCOPED_TRACE(static_cast<int>(state));
    TunnelSim sim;
    Bring(sim, state);
    sim.ClientResets();
    EXPECT_TRUE(sim.over());
    sim.Wait(1h);
  }
}

// ---- the deadline, in every state, and again

TEST(WebSocketTunnel, IsCutInEveryState) {
  for (const At state : kAll) {
    SCOPED_TRACE(static_cast<int>(state));
    TunnelSim sim;
    Bring(sim, state);
    sim.Cut();
    if (state == At::kOpen || state == At::kTelling || state == At::kCut) {
      EXPECT_FALSE(sim.over());
      EXPECT_EQ(sim.client_close(), 1001);
      EXPECT_EQ(sim.upstream_close(), 1001);
      sim.CutAgain();
      EXPECT_FALSE(sim.complete());
    } else if (state == At::kTold) {
      EXPECT_EQ(sim.stream().aborted(), StreamEnd::kClientTimeout);
    } else {
      EXPECT_TRUE(sim.complete());
    }
    EXPECT_TRUE(sim.over());
    EXPECT_TRUE(sim.upstream_left());
    sim.Wait(1h);
  }
}

TEST(WebSocketTunnel, AnAnswerInTheLastWaitIsEnough) {
  for (const bool ends : {false, true}) {
    TunnelSim sim;
    sim.Cut();
    sim.FromClient(ClientClose());
    sim.FromUpstream(Said("nobody hears this"));
    if (ends) {
      sim.ClientEnds();
      EXPECT_TRUE(sim.over()) << "the stream is gone, whatever the upstream has still to say";
    } else {
      sim.CutAgain();
    }
    EXPECT_TRUE(sim.complete());
  }
}

TEST(WebSocketTunnel, WhoIsClosingAtTheDeadline) {
  {
    TunnelSim sim;
    sim.FromClient(ClientClose());
    sim.Cut();
    EXPECT_EQ(sim.client_close(), 1001) << "an answer, though not the upstream's";
    EXPECT_TRUE(sim.complete());
  }
  {
    TunnelSim sim;
    sim.FromUpstream(ServerClose(1000));
    sim.Cut();
    EXPECT_EQ(sim.client_close(), 1000);
    EXPECT_TRUE(sim.client_ended());
    sim.FromClient(ClientClose());
    sim.CutAgain();
    EXPECT_TRUE(sim.complete());
  }
  {
    TunnelSim sim;
    sim.FromClient(ClientClose());
    sim.FromUpstream(ServerClose());
    sim.Cut();
    EXPECT_TRUE(sim.complete());
  }
}

}  // namespace
}  // namespace sluice
