// The client of long-lived streams: what its two kinds of connections need of each other.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>

#include "drain_common.h"
#include "stream_follower.h"

namespace bench {

// Streams of one kind, on the same path.
struct StreamGroup {
  std::string name;
  StreamKind kind = StreamKind::kWebSocket;
  bool http2 = false;
  uint16_t port = 0;
  int connections = 0;
  int streams = 1;  // on each connection
  std::string path;

  uint64_t open = 0;                  // streams whose first message has arrived
  std::array<uint64_t, 5> ends = {};  // streams by StreamEnd

  uint64_t& ended(StreamEnd end) { return ends[static_cast<size_t>(end)]; }
};

class ClientConnection;

// What connections ask of the client.
class StreamHub {
 public:
  virtual void Watch(int fd, ClientConnection& connection) = 0;  // edge-triggered
  // The first message of a stream has arrived, or its end was seen after that.
  virtual void OnOpen(StreamGroup& group) = 0;
  virtual void OnEnd(StreamGroup& group, StreamEnd end) = 0;

 protected:
  ~StreamHub() = default;
};

// A connection that opens its streams at once, and reads until their end.
class ClientConnection {
 public:
  virtual ~ClientConnection() = default;
  virtual void Connect() = 0;
  virtual void OnEvent(uint32_t events) = 0;
};

// `group` and `hub` must outlive them.
std::unique_ptr<ClientConnection> NewH1ClientConnection(StreamGroup& group, StreamHub& hub);
std::unique_ptr<ClientConnection> NewH2ClientConnection(StreamGroup& group, StreamHub& hub);

// A bench that does not open what it was asked for has nothing to measure.
[[noreturn]] inline void DieOpening(const StreamGroup& group, const std::string& why) {
  Die("a stream of kind " + group.name + " could not be opened: " + why);
}

}  // namespace bench
