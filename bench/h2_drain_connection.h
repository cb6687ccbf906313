// One connection of the HTTP/2 load client, and what its requests can become.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "drain_common.h"
#include "h2_pipe.h"

namespace bench {

struct H2Group {
  uint16_t port = 0;
  int connections = 0;
  int streams = 0;  // on each connection
  milliseconds pause{0};
  uint64_t bytes = 0;  // of a response's body
  std::string path;
};

struct H2Counts {
  uint64_t sent = 0;
  uint64_t answered = 0;
  uint64_t not_ok = 0;           // answered, with a status other than 200
  uint64_t refused = 0;          // provably not processed
  uint64_t failed_fresh = 0;     // the connection ended and had not answered anything
  uint64_t failed_reused = 0;    // the connection ended, after it had answered others
  uint64_t failed_midway = 0;    // the response began and did not end, or ended short
  uint64_t reset = 0;            // RST_STREAM that does not say REFUSED_STREAM
  uint64_t timed_out = 0;        // still nothing when we gave up
  uint64_t unsent = 0;           // never left, because the connection had ended
  uint64_t notices = 0;          // GOAWAY with 2^31-1
  uint64_t goaways = 0;          // GOAWAY with another id
  uint64_t closed_untold = 0;    // connections that ended without a GOAWAY
  uint64_t closed_by_reset = 0;  // connections that ended by a reset
  uint64_t connected = 0;
  uint64_t connect_refused = 0;
};

// What the connections have in common.
class H2Load {
 public:
  virtual void Watch(int fd, class H2Connection& connection) = 0;  // edge-triggered
  virtual void OnAnswered(Clock::time_point begun) = 0;
  virtual bool ending() const = 0;  // the time is over: nothing new is sent
  // A refused connection does not mean that the port is gone: it is tried again a little later.
  virtual bool port_returns() const { return false; }

  H2Counts counts;

 protected:
  ~H2Load() = default;
};

class H2Connection {
 public:
  // Both must outlive it.
  H2Connection(const H2Group& group, H2Load& load) : group_(group), load_(load) {}

  void Connect();
  void OnEvent(uint32_t events);

  // Sends on slots whose pause is over, or stops if the time is over.
  void Tick(Clock::time_point now);

  bool stopped() const { return state_ == State::kStopped; }
  size_t outstanding() const { return requests_.size(); }

 private:
  //    kConnecting -> kOpen -> kLeaving (GOAWAY: nothing new)
  //      ^   |          |          |
  //      +---|----------+--ended---+
  //      |   +-> kStopped (refused, or the time is over)
  //      +---+-> kRefused, if the port returns
  enum class State : uint8_t { kConnecting, kOpen, kLeaving, kRefused, kStopped };

  struct Request {
    Clock::time_point begun;
    uint64_t bytes = 0;  // of the body so far
    int status = 0;
    bool framed = false;  // not if it waits for the peer to allow another stream
    bool ended = false;   // END_STREAM was seen
  };

  static nghttp2_session* NewSession(H2Connection* self);
  static void SetReceiving(nghttp2_session_callbacks* callbacks);
  void OnConnected();
  void OnConnectFailed(int error);
  void OnFrame(const nghttp2_frame& frame);
  void OnStreamClosed(int32_t id, uint32_t error);
  void SendDue(Clock::time_point now);
  void Submit();
  void Write();
  void OnEnded();
  void CountLost(int32_t id, const Request& request);
  void Reconnect();
  void Stop();

  const H2Group& group_;
  H2Load& load_;
  State state_ = State::kStopped;
  int connecting_ = -1;  // the socket, until it is the pipe's
  std::unique_ptr<H2Pipe> pipe_;
  std::unordered_map<int32_t, Request> requests_;
  std::vector<Clock::time_point> due_;  // of each slot that has nothing outstanding
  std::vector<int32_t> framed_;         // and not known to have left in full
  int32_t last_id_ = 0;                 // that the peer takes
  uint64_t answered_ = 0;               // on this socket
  Clock::time_point retry_at_;          // kRefused
};

}  // namespace bench
