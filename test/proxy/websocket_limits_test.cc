// The limits in time of a WebSocket that nobody drains: Ping, idle, duration.
#include <gtest/gtest.h>

#include <chrono>
#include <string>

#include "support/tunnel_sim.h"

namespace sluice {
namespace {

using namespace std::chrono_literals;
using test::CloseFrame;
using test::Frame;
using test::Opcode;
using test::WebSocketReader;

std::string ClientClose() { return CloseFrame(WebSocketSender::kClient, 1001); }
std::string ServerClose() { return CloseFrame(WebSocketSender::kServer, 1000); }
std::string Pong() { return Frame(WebSocketSender::kClient, Opcode::kPong, ""); }

size_t PingsTo(const TunnelSim& sim) {
  size_t count = 0;
  for (const WebSocketReader::ReadFrame& frame : sim.to_client().frames())
    count += frame.opcode == Opcode::kPing;
  return count;
}

TEST(WebSocketLimits, NoneByDefault) {
  TunnelSim sim;
  sim.Wait(24h);
  EXPECT_FALSE(sim.over());
  EXPECT_EQ(sim.client_got(), "");
}

TEST(WebSocketLimits, ASilentClientIsAsked) {
  TunnelSimOptions options;
  options.config.ping_interval = 10s;
  options.config.ping_timeout = 3s;
  TunnelSim sim(options);
  sim.Wait(9s);
  EXPECT_EQ(PingsTo(sim), 0u);
  sim.Wait(1s);
  EXPECT_EQ(PingsTo(sim), 1u);
  sim.Wait(2s);
  sim.FromClient(Pong());
  EXPECT_EQ(sim.upstream_got(), Pong()) << "which may ignore it (RFC 6455 5.5.3)";
  sim.Wait(10s);
  EXPECT_EQ(PingsTo(sim), 2u);
  sim.Wait(3s);
  EXPECT_EQ(sim.stream().aborted(), StreamEnd::kClientTimeout);
  EXPECT_EQ(sim.stream().record().detail, "websocket_ping_timeout");
  EXPECT_EQ(sim.upstream_close(), 1001);
}

TEST(WebSocketLimits, AClientThatSpeaksIsNotAsked) {
  TunnelSimOptions options;
  options.config.ping_interval = 10s;
  TunnelSim sim(options);
  for (int i = 0; i < 10; ++i) {
    sim.Wait(9s);
    sim.FromClient(Frame(WebSocketSender::kClient, Opcode::kText, "here"));
  }
  EXPECT_EQ(PingsTo(sim), 0u);
  EXPECT_FALSE(sim.over());
}

TEST(WebSocketLimits, APingStandsBetweenFrames) {
  TunnelSimOptions options;
  options.config.ping_interval = 10s;
  TunnelSim sim(options);
  const std::string frame = Frame(WebSocketSender::kServer, Opcode::kText, "in two parts");
  sim.Wait(9s);
  sim.FromUpstream(frame.substr(0, 5));
  sim.Wait(5s);
  EXPECT_EQ(sim.client_got(), frame.substr(0, 5));
  sim.FromUpstream(frame.substr(5));
  sim.Wait(10s);
  EXPECT_EQ(PingsTo(sim), 1u);
  EXPECT_EQ(sim.to_client().error(), "");
}

TEST(WebSocketLimits, AClientThatHasNotHadThePingYetIsNotLost) {
  TunnelSimOptions options;
  options.config.ping_interval = 10s;
  TunnelSim sim(options);
  sim.Wait(10s);
  EXPECT_EQ(PingsTo(sim), 1u);
  sim.ClientStopsReading();
  sim.Wait(5min);
  EXPECT_FALSE(sim.over());
}

TEST(WebSocketLimits, AnIdleSessionIsEndedPolitely) {
  TunnelSimOptions options;
  options.config.idle_timeout = 30s;
  TunnelSim sim(options);
  sim.Wait(29s);
  sim.FromUpstream(Frame(WebSocketSender::kServer, Opcode::kPing, ""));
  sim.Wait(29s);
  sim.FromClient(Pong());
  sim.Wait(29s);
  EXPECT_EQ(sim.client_close(), 0);
  sim.Wait(1s);
  EXPECT_EQ(sim.client_close(), 1001);
  EXPECT_EQ(sim.to_client().close()->reason, "idle");
  sim.FromClient(ClientClose());
  sim.FromUpstream(ServerClose());
  sim.ClientEnds();
  EXPECT_TRUE(sim.complete());
}

TEST(WebSocketLimits, AnIdleSessionInTheMiddleOfAFrameIsBroken) {
  TunnelSimOptions options;
  options.config.idle_timeout = 30s;
  TunnelSim sim(options);
  sim.FromUpstream(Frame(WebSocketSender::kServer, Opcode::kText, "never whole").substr(0, 5));
  sim.Wait(1min);
  EXPECT_EQ(sim.stream().aborted(), StreamEnd::kUpstreamFailed);
  EXPECT_EQ(sim.upstream_close(), 1001);
}

TEST(WebSocketLimits, ALongSessionIsEndedPolitely) {
  TunnelSimOptions options;
  options.config.max_duration = 1min;
  options.config.idle_timeout = 30s;
  TunnelSim sim(options);
  for (int i = 0; i < 59; ++i) {
    sim.Wait(1s);
    sim.FromUpstream(Frame(WebSocketSender::kServer, Opcode::kText, "tick"));
  }
  EXPECT_EQ(sim.client_close(), 0);
  sim.Wait(1s);
  EXPECT_EQ(sim.client_close(), 1001);
  EXPECT_EQ(sim.to_client().close()->reason, "maximum duration");
  sim.FromClient(ClientClose());
  sim.FromUpstream(ServerClose());
  sim.ClientEnds();
  EXPECT_TRUE(sim.complete());
}

// A half-dead session, whose client said Close and whose upstream is silent, is not kept for ever.
TEST(WebSocketLimits, BoundSessionsThatAreClosing) {
  TunnelSimOptions options;
  options.config.idle_timeout = 30s;
  TunnelSim sim(options);
  sim.FromClient(ClientClose());
  sim.Wait(36s);
  EXPECT_TRUE(sim.complete());
}

}  // namespace
}  // namespace sluice
