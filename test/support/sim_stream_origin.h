// An origin of streams that do not end by themselves, in a simulation; it takes the place of the
// SimOrigin at its address. What it does is chosen by the path; times are in milliseconds:
//
//   /websocket?count=&ms=   a WebSocket: says `count` messages of its own, one every `ms` or
//                           sooner, and each message of the client back; answers a Close, and then
//                           ends
//   /events?count=&ms=      an event stream: `count` events, then silence; lines end in CR, LF or
//                           CRLF
//   /endless?ms=            a body without a length that goes on for ever, a piece every `ms`;
//                           &compressed=1: an event stream that is compressed
//   /silent                 no answer
//
// What it says leaves in pieces that have nothing to do with frames, lines or events; both are
// drawn from a seed. One thread; loop and network must outlive it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/random.h"
#include "support/sim_loop.h"
#include "support/sim_network.h"
#include "support/websocket_reader.h"

namespace sluice {

class SimStreamOrigin {
 public:
  // One request as the origin saw it.
  struct Session {
    std::string target;
    std::vector<std::string> said;  // the messages that it began
    std::string text;               // of an event stream: what left
    std::vector<std::string> heard;
    std::optional<test::WebSocketReader::Close> close;  // from the client
    std::string complaint;  // what is wrong with what came; "" if nothing
    bool over = false;      // the other side ended or reset the connection
  };

  SimStreamOrigin(SimLoop& loop, SimNetwork& network, const std::string& address, uint64_t seed);
  ~SimStreamOrigin();
  SimStreamOrigin(const SimStreamOrigin&) = delete;

  std::vector<const Session*> sessions() const;
  // The one with exactly this target, or nullptr.
  const Session* Find(const std::string& target) const;

 private:
  class Connection;
  friend class Connection;

  SimLoop& loop_;
  SimNetwork& network_;
  const std::string address_;
  Random random_;
  std::vector<std::unique_ptr<Connection>> connections_;
};

// A message as the frames of it, cut into fragments and mixed with Ping and Pong at random.
std::string RandomFrames(WebSocketSender sender, const std::string& message, Random& random);

}  // namespace sluice
