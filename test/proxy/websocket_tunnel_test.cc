// Sessions of a WebSocketTunnel told to end at every byte of what either side says.
#include "proxy/websocket_tunnel.h"

#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "support/tunnel_sim.h"

namespace sluice {
namespace {

using namespace std::chrono_literals;
using test::CloseFrame;
using test::Frame;
using test::kFinBit;
using test::Opcode;

constexpr uint8_t kRsv1 = 0x40;

const std::vector<size_t> kPieces = {1, 3, 7, 1000};

std::string FromServer(Opcode opcode, std::string_view payload, uint8_t flags = kFinBit) {
  return Frame(WebSocketSender::kServer, opcode, payload, flags);
}
std::string FromClient(Opcode opcode, std::string_view payload, uint8_t flags = kFinBit) {
  return Frame(WebSocketSender::kClient, opcode, payload, flags);
}
std::string ClientClose(uint16_t code = 1001) { return CloseFrame(WebSocketSender::kClient, code); }
std::string ServerClose(uint16_t code = 1000) { return CloseFrame(WebSocketSender::kServer, code); }

// What one side says, and where its frames and messages end.
struct Script {
  explicit Script(WebSocketSender who) : side(who) {}

  Script& Add(Opcode opcode, std::string_view payload, uint8_t flags = kFinBit) {
    bytes += Frame(side, opcode, payload, flags);
    frame_ends.push_back(bytes.size());
    if (opcode < Opcode::kClose) open = (flags & kFinBit) == 0;
    if (!open) message_ends.push_back(bytes.size());
    return *this;
  }
  // The first end at or behind `at`.
  static size_t At(const std::vector<size_t>& ends, size_t at) {
    for (const size_t end : ends) {
      if (end >= at) return end;
    }
    return SIZE_MAX;
  }

  WebSocketSender side;
  std::string bytes;
  std::vector<size_t> frame_ends{0};
  std::vector<size_t> message_ends{0};
  bool open = false;
};

// Every form of a frame: with each size of its length, fragments with control frames between them,
// nothing in it, reserved bits.
Script Talk(WebSocketSender side) {
  Script script(side);
  script.Add(Opcode::kText, "hello").Add(Opcode::kPing, "").Add(Opcode::kText, "");
  script.Add(Opcode::kText, "frag", 0).Add(Opcode::kPing, "between");
  script.Add(Opcode::kContinuation, "", 0).Add(Opcode::kPong, "");
  script.Add(Opcode::kContinuation, "ment");
  script.Add(Opcode::kBinary, std::string(126, 'b')).Add(Opcode::kText, "packed", kFinBit | kRsv1);
  return script;
}

TunnelSimOptions WithExtensions() {
  TunnelSimOptions options;
  options.extensions = true;
  return options;
}

void InPieces(std::string_view bytes, size_t piece, const auto& say) {
  for (; !bytes.empty(); bytes.remove_prefix(std::min(piece, bytes.size()))) {
    say(std::string(bytes.substr(0, piece)));
  }
}

// The rest of a polite end, once the client has our Close.
void Answer(TunnelSim& sim) {
  EXPECT_FALSE(sim.client_ended());
  sim.FromClient(FromClient(Opcode::kText, "still under way"));
  sim.FromClient(ClientClose());
  EXPECT_EQ(sim.upstream_got(), sim.client_said());
  EXPECT_FALSE(sim.client_ended()) << "TCP is closed after both Closes";
  sim.FromUpstream(ServerClose(1001));
  EXPECT_TRUE(sim.client_ended());
  EXPECT_FALSE(sim.over());
  sim.ClientEnds();
  EXPECT_TRUE(sim.complete());
  EXPECT_TRUE(sim.upstream_left());
}

TEST(WebSocketTunnelEveryByte, IsToldAfterTheMessage) {
  const Script talk = Talk(WebSocketSender::kServer);
  for (const size_t piece : kPieces) {
    for (size_t told = 0; told <= talk.bytes.size(); ++told) {
      SCOPED_TRACE(testing::Message() << "told at " << told << ", then pieces of " << piece);
      TunnelSim sim(WithExtensions());
      InPieces(std::string_view(talk.bytes).substr(0, told), piece,
               [&](std::string bytes) { sim.FromUpstream(std::move(bytes)); });
      sim.Tell();
      InPieces(std::string_view(talk.bytes).substr(told), piece,
               [&](std::string bytes) { sim.FromUpstream(std::move(bytes)); });
      const std::string close = CloseFrame(WebSocketSender::kServer, 1001, "going away");
      ASSERT_EQ(sim.client_got(),
                talk.bytes.substr(0, Script::At(talk.message_ends, told)) + close);
      Answer(sim);
      ASSERT_FALSE(testing::Test::HasFailure());
    }
  }
}

TEST(WebSocketTunnelEveryByte, IsToldAfterTheFrameWhenTheMessageTakesTooLong) {
  const Script talk = Talk(WebSocketSender::kServer);
  for (size_t told = 0; told <= talk.bytes.size(); ++told) {
    SCOPED_TRACE(testing::Message() << "told at " << told);
    TunnelSim sim(WithExtensions());
    if (told > 0) sim.FromUpstream(talk.bytes.substr(0, told));
    sim.Tell();
    sim.Wait(WebSocketConfig().message_wait);
    InPieces(std::string_view(talk.bytes).substr(told), 1,
             [&](std::string bytes) { sim.FromUpstream(std::move(bytes)); });
    ASSERT_EQ(sim.to_client().error(), "");
    ASSERT_EQ(sim.client_got().size() - 4 - std::string("going away").size(),
              Script::At(talk.frame_ends, told));
    Answer(sim);
    ASSERT_FALSE(testing::Test::HasFailure());
  }
}

TEST(WebSocketTunnelEveryByte, WhatTheClientSaysFlowsUntilItsClose) {
  const Script talk = Talk(WebSocketSender::kClient);
  for (const size_t piece : kPieces) {
    for (size_t told = 0; told <= talk.bytes.size(); ++told) {
      SCOPED_TRACE(testing::Message() << "told at " << told << ", then pieces of " << piece);
      TunnelSim sim(WithExtensions());
      if (told > 0) sim.FromClient(talk.bytes.substr(0, told));
      sim.Tell();
      EXPECT_EQ(sim.client_close(), 1001);
      InPieces(talk.bytes.substr(told) + ClientClose(), piece,
               [&](std::string bytes) { sim.FromClient(std::move(bytes)); });
      EXPECT_EQ(sim.upstream_got(), talk.bytes + ClientClose());
      sim.FromUpstream(ServerClose());
      sim.ClientEnds();
      EXPECT_TRUE(sim.complete());
      ASSERT_FALSE(testing::Test::HasFailure());
    }
  }
}

// Its Close is passed on if it is whole; if it is not, or if there is none, the upstream hears of
// the client's end from us, where that fits between two frames.
TEST(WebSocketTunnelEveryByte, TheClientGoesWithoutAClose) {
  const Script talk = Talk(WebSocketSender::kClient);
  for (size_t gone = 0; gone <= talk.bytes.size(); ++gone) {
    SCOPED_TRACE(testing::Message() << "gone at " << gone);
    TunnelSim sim(WithExtensions());
    sim.Tell();
    if (gone > 0) sim.FromClient(talk.bytes.substr(0, gone));
    sim.ClientEnds();
    const bool between = Script::At(talk.frame_ends, gone) == gone;
    EXPECT_EQ(sim.upstream_close(), between ? 1001 : 0);
    EXPECT_EQ(sim.closes_to_upstream(), between ? 1 : 0);
    EXPECT_FALSE(sim.over());
    sim.Wait(1s);
    EXPECT_TRUE(sim.over()) << "a client that has gone waits for nothing";
    EXPECT_TRUE(sim.upstream_left());
    ASSERT_FALSE(testing::Test::HasFailure());
  }
}

// At the deadline: what is between two frames gets its Close and a last wait, what is not is cut.
TEST(WebSocketTunnelEveryByte, IsCut) {
  const Script talk = Talk(WebSocketSender::kServer);
  for (const bool told : {false, true}) {
    for (size_t cut = 0; cut <= talk.bytes.size(); ++cut) {
      SCOPED_TRACE(testing::Message() << "cut at " << cut << ", told: " << told);
      TunnelSim sim(WithExtensions());
      if (cut > 0) sim.FromUpstream(talk.bytes.substr(0, cut));
      if (told) sim.Tell();
      const bool waiting_for_message = sim.client_close() == 0;
      sim.Cut();
      const bool between = Script::At(talk.frame_ends, cut) == cut;
      EXPECT_EQ(sim.client_close(), between ? 1001 : 0);
      if (!waiting_for_message) {
        EXPECT_EQ(sim.stream().aborted(), StreamEnd::kClientTimeout) << "it was told before";
      } else if (!between) {
        EXPECT_TRUE(sim.over()) << "a frame that will never be whole";
        EXPECT_FALSE(sim.complete());
      } else {
        EXPECT_TRUE(sim.client_ended());
        EXPECT_FALSE(sim.over());
        sim.FromUpstream(talk.bytes.substr(cut));
        sim.FromClient(ClientClose());
        sim.ClientEnds();
        EXPECT_TRUE(sim.complete());
      }
      EXPECT_EQ(sim.upstream_close(), 1001);
      EXPECT_TRUE(sim.over());
      EXPECT_TRUE(sim.upstream_left());
      ASSERT_FALSE(testing::Test::HasFailure());
    }
  }
}

// From the first byte that is no frame on nothing can be said, and everything is relayed.
TEST(WebSocketTunnelEveryByte, TurnsOpaque) {
  const std::string valid = FromServer(Opcode::kText, "hello");
  const std::string garbage = "\x7f\x7fgarbage";
  for (const bool told : {false, true}) {
    for (const size_t piece : kPieces) {
      SCOPED_TRACE(testing::Message() << "told: " << told << ", pieces of " << piece);
      TunnelSim sim;
      sim.FromUpstream(valid + FromServer(Opcode::kText, "half", 0));
      if (told) sim.Tell();
      InPieces(garbage, piece, [&](std::string bytes) { sim.FromUpstream(std::move(bytes)); });
      sim.FromClient("\x01more garbage");
      EXPECT_EQ(sim.client_got(), sim.upstream_said());
      EXPECT_EQ(sim.upstream_got(), sim.client_said());
      EXPECT_EQ(sim.protocol(), Protocol::kTunnel);
      EXPECT_EQ(sim.opaque(), 1);
      sim.Tell();
      sim.Wait(1h);
      EXPECT_FALSE(sim.over());
      sim.UpstreamEnds();
      EXPECT_TRUE(sim.client_ended());
      sim.ClientEnds();
      EXPECT_TRUE(sim.upstream_ended());
      EXPECT_TRUE(sim.complete());
    }
  }
}

}  // namespace
}  // namespace sluice
