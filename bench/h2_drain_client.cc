// A load client over HTTP/2 that knows exactly what became of every request, for
// `script/bench drain`: cleartext, by prior knowledge.
//
// Each connection has a number of slots; each slot sends GET requests one after the other, pausing
// between them if its group says so. After a GOAWAY nothing new is sent on that connection: what is
// outstanding is awaited, and the slots go on over a new one. A refused connection means that the
// port is gone, and the connection stops for good. The program ends when every connection has
// stopped, or when the time is over and nothing is outstanding.
//
// What is counted: a request is `sent` when all its bytes were given to the kernel, and `answered`
// when its response arrived complete, END_STREAM and every byte. One that the peer says it did not
// process (a stream above the id of a GOAWAY, or REFUSED_STREAM) may be sent again, and the same
// slot sends its next: it is `refused`, and no failure. Every other end of a request is one.

#include <sys/epoll.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "drain_common.h"
#include "h2_drain_connection.h"

namespace {

using namespace bench;

constexpr const char* kGroup = "PORT:CONNECTIONS:STREAMS:PAUSE_MS:BYTES:PATH";

class Client final : public H2Load {
 public:
  Client(const std::vector<H2Group>& groups, uint64_t mark)
      : mark_(mark), epoll_(epoll_create1(0)) {
    for (const H2Group& group : groups) {
      for (int i = 0; i < group.connections; ++i) {
        connections_.push_back(std::make_unique<H2Connection>(group, *this));
      }
    }
  }

  void Run(std::chrono::seconds duration) {
    const auto end = Clock::now() + duration;
    for (auto& connection : connections_) connection->Connect();
    while (running()) {
      const auto now = Clock::now();
      if (now >= end) ending_ = true;
      if (now >= end + kLastResponses) break;
      for (auto& connection : connections_) connection->Tick(now);
      Poll();
    }
    for (auto& connection : connections_) counts.timed_out += connection->outstanding();
  }

  void Watch(int fd, H2Connection& connection) override {
    // Edge-triggered, so that the end of connecting needs no second epoll_ctl.
    epoll_event event = {};
    event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
    event.data.ptr = &connection;
    if (epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) != 0) Die("epoll_ctl");
  }

  void OnAnswered(Clock::time_point) override {
    if (++counts.answered != mark_) return;
    std::puts("mark");
    std::fflush(stdout);
  }

  bool ending() const override { return ending_; }

 private:
  bool running() const {
    return std::any_of(connections_.begin(), connections_.end(),
                       [](const auto& connection) { return !connection->stopped(); });
  }

  void Poll() {
    epoll_event events[256];
    const int count = epoll_wait(epoll_, events, 256, 1);
    for (int i = 0; i < count; ++i) {
      static_cast<H2Connection*>(events[i].data.ptr)->OnEvent(events[i].events);
    }
  }

  const uint64_t mark_;
  const int epoll_;
  bool ending_ = false;
  std::vector<std::unique_ptr<H2Connection>> connections_;
};

H2Group ParseGroup(std::string_view text) {
  const auto fields = Split(text, 6, kGroup);
  H2Group group;
  group.port = ParseNumber<uint16_t>(fields[0]);
  group.connections = ParseNumber<int>(fields[1]);
  group.streams = ParseNumber<int>(fields[2]);
  group.pause = milliseconds(ParseNumber<int>(fields[3]));
  group.bytes = ParseNumber<uint64_t>(fields[4]);
  group.path = fields[5];
  return group;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) {
    std::fprintf(stderr,
                 "usage: %s SECONDS MARK %s...\n\n"
                 "Prints \"mark\" when MARK requests were answered, and at the end one line of "
                 "JSON with the counts.\n",
                 argv[0], kGroup);
    return 2;
  }
  std::vector<H2Group> groups;
  for (int i = 3; i < argc; ++i) groups.push_back(ParseGroup(argv[i]));
  Client client(groups, ParseNumber<uint64_t>(argv[2]));
  client.Run(std::chrono::seconds(ParseNumber<int>(argv[1])));
  const H2Counts& counts = client.counts;
  PrintCounts({{"sent", counts.sent},
               {"answered", counts.answered},
               {"not_ok", counts.not_ok},
               {"refused", counts.refused},
               {"failed_fresh", counts.failed_fresh},
               {"failed_reused", counts.failed_reused},
               {"failed_midway", counts.failed_midway},
               {"reset", counts.reset},
               {"timed_out", counts.timed_out},
               {"unsent", counts.unsent},
               {"notices", counts.notices},
               {"goaways", counts.goaways},
               {"closed_untold", counts.closed_untold},
               {"connected", counts.connected},
               {"connect_refused", counts.connect_refused}});
  std::puts("");
  return 0;
}
