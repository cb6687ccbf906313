// The origin of long-lived streams: what its two kinds of connections need of each other.
#pragma once

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string_view>

#include "drain_common.h"
#include "stream_source.h"

namespace bench {

struct OriginCounts {
  uint64_t websockets = 0;  // that were opened
  uint64_t closed = 0;      // of those, whose client said Close before it left
};

// What connections ask of the server.
class StreamServer {
 public:
  // Calls OnDue of a connection, if it is still there.
  virtual void At(milliseconds delay, uint64_t connection, int32_t stream) = 0;

  OriginCounts counts;

 protected:
  ~StreamServer() = default;
};

class OriginConnection {
 public:
  virtual ~OriginConnection() = default;

  // Both return false when the connection is over.
  virtual bool OnEvent() = 0;
  virtual bool OnDue(int32_t stream) = 0;
};

// Take over the socket; `number` is the connection's name for StreamServer::At. The server must
// outlive them.
std::unique_ptr<OriginConnection> NewH1OriginConnection(int fd, uint64_t number,
                                                        StreamServer& server);
std::unique_ptr<OriginConnection> NewH2OriginConnection(int fd, uint64_t number,
                                                        StreamServer& server);

// The N of a path that ends in "?ms=N", 0 if it does not.
inline milliseconds IntervalOf(std::string_view path) {
  const size_t at = path.find("?ms=");
  return milliseconds(at == path.npos ? 0 : ParseNumber<int>(path.substr(at + 4)));
}

// When a stream's first message is due: streams must not march in step.
inline milliseconds FirstDelay(milliseconds interval) {
  return milliseconds(std::rand() % std::max<int64_t>(interval.count(), 1));
}

}  // namespace bench
