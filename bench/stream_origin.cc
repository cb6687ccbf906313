// An origin of long-lived streams for the benches: cleartext, one thread, HTTP/1.1 on one port and
// HTTP/2 by prior knowledge on the other.
//
//   /websocket?ms=N   a WebSocket, which echoes messages, answers a Close, and sends a message
//   every
//                     N milliseconds (none without ?ms=N); over HTTP/2 by extended CONNECT (RFC
//                     8441)
//   /events?ms=N      an event stream without end, an event every N milliseconds (HTTP/1.1)
//   /counts           JSON: how many WebSockets there were, and on how many the client said Close
//                     (HTTP/1.1, and the answer to anything else)
//
// Over HTTP/2 every other request is a gRPC call, whose answer is a message every N milliseconds.

#include "stream_origin.h"

#include <sys/epoll.h>

#include <algorithm>
#include <map>
#include <unordered_map>

namespace {

using namespace bench;

constexpr uint64_t kH1Listener = 0;
constexpr uint64_t kH2Listener = 1;

class Server final : public StreamServer {
 public:
  Server(uint16_t h1_port, uint16_t h2_port) {
    for (const uint16_t port : {h1_port, h2_port}) {
      epoll_data data = {};
      data.u64 = listeners_.size();
      listeners_.push_back(Listen(port));
      Watch(epoll_, listeners_.back(), data);
    }
  }

  void Run() {
    while (true) {
      epoll_event events[256];
      const int count = epoll_wait(epoll_, events, 256, MillisecondsUntilDue());
      for (int i = 0; i < count; ++i) {
        const uint64_t number = events[i].data.u64;
        if (number <= kH2Listener) {
          Accept(number);
        } else if (!connections_.at(number)->OnEvent()) {
          connections_.erase(number);
        }
      }
      RunDue();
    }
  }

  void At(milliseconds delay, uint64_t connection, int32_t stream) override {
    due_.emplace(Clock::now() + delay, Due{connection, stream});
  }

 private:
  // What is to happen later. Connections are named by number: they may be gone by then.
  struct Due {
    uint64_t connection;
    int32_t stream;
  };

  int MillisecondsUntilDue() const {
    if (due_.empty()) return -1;
    const auto wait = std::max(due_.begin()->first - Clock::now(), Clock::duration::zero());
    return static_cast<int>(std::chrono::ceil<milliseconds>(wait).count());
  }

  void Accept(uint64_t listener) {
    while (true) {
      const int fd = accept4(listeners_[listener], nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd < 0 && (errno == EAGAIN || errno == ECONNABORTED)) return;
      if (fd < 0) Die(std::string("accept: ") + std::strerror(errno));
      SetNoDelay(fd);
      const uint64_t number = next_++;
      connections_.emplace(number, listener == kH1Listener
                                       ? NewH1OriginConnection(fd, number, *this)
                                       : NewH2OriginConnection(fd, number, *this));
      epoll_data data = {};
      data.u64 = number;
      Watch(epoll_, fd, data);
    }
  }

  void RunDue() {
    const auto now = Clock::now();
    while (!due_.empty() && due_.begin()->first <= now) {
      const Due due = due_.begin()->second;
      due_.erase(due_.begin());
      const auto found = connections_.find(due.connection);
      if (found != connections_.end() && !found->second->OnDue(due.stream)) {
        connections_.erase(found);
      }
    }
  }

  const int epoll_ = epoll_create1(EPOLL_CLOEXEC);
  std::vector<int> listeners_;
  uint64_t next_ = kH2Listener + 1;
  std::unordered_map<uint64_t, std::unique_ptr<OriginConnection>> connections_;
  std::multimap<Clock::time_point, Due> due_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: %s HTTP1_PORT HTTP2_PORT\n", argv[0]);
    return 2;
  }
  Server(ParseNumber<uint16_t>(argv[1]), ParseNumber<uint16_t>(argv[2])).Run();
}
