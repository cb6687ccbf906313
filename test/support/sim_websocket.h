// A WebSocket client with manners, in a simulation. What it says, and when, is drawn from a seed.
// One thread; must be destroyed before the simulation.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/random.h"
#include "support/proxy_sim.h"
#include "support/sim_client.h"
#include "support/websocket_reader.h"

namespace sluice {

enum class WebSocketManner : uint8_t {
  kPolite,  // answers a Close when it has said what it was saying, and waits for the server's end
  kHasty,   // ends its side with its answer
  kCloses,  // says Close of its own at some moment
  kDeaf,    // never answers a Close, for all that it says no more
  kLeaves,  // resets at some moment
};

class SimWebSocket {
 public:
  SimWebSocket(ProxySim& sim, uint64_t seed, std::string target, WebSocketManner manner);

  const std::string& target() const { return target_; }
  WebSocketManner manner() const { return manner_; }
  SimClient& client() { return client_; }
  bool open() const { return client_.reader().in_tunnel(); }
  // What the proxy sent; messages that it said.
  const test::WebSocketReader& reader() const { return reader_; }
  const std::vector<std::string>& said() const { return said_; }
  bool left() const { return left_; }

 private:
  void OnTunnel();
  void OnEnd();
  void SayLater();
  void Close(uint16_t code);
  void PumpLater();
  void Pump();
  void Later(uint64_t most, void (SimWebSocket::*what)());
  void Leave();

  ProxySim& sim_;
  Random random_;
  const std::string target_;
  const WebSocketManner manner_;
  SimClient client_;
  test::WebSocketReader reader_{WebSocketSender::kServer};
  size_t read_ = 0;
  std::vector<std::string> said_;
  std::string out_;
  bool closing_ = false;
  bool pumping_ = false;
  bool left_ = false;
};

}  // namespace sluice
