// A load client that knows exactly what became of every request, for `script/bench drain`.
//
// Each connection sends GET requests one after the other over keep-alive, pausing between them if
// its group says so. A response with "Connection: close" makes it connect anew; a refused
// connection means that the port is gone, and the connection stops for good. The program ends when
// every connection has stopped, or when the time is over and nothing is outstanding.
//
// What is counted: a request is `sent` when all its bytes were written, and `answered` when its
// response arrived complete. A request sent on a connection that then ends without a complete
// response is `failed`. A connection that ends while nothing was asked on it is no failure.

#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "drain_common.h"
#include "response_reader.h"

namespace {

using namespace bench;

constexpr const char* kGroup = "PORT:CONNECTIONS:PAUSE_MS:PATH";

struct Group {
  uint16_t port = 0;
  int connections = 0;
  milliseconds pause{0};
  std::string request;
};

struct Counts {
  uint64_t sent = 0;
  uint64_t answered = 0;
  uint64_t not_ok = 0;            // answered, with a status other than 200
  uint64_t failed_fresh = 0;      // the first request of its connection, no byte of a response
  uint64_t failed_reused = 0;     // a later request, no byte of a response
  uint64_t failed_midway = 0;     // the response began and did not end
  uint64_t timed_out = 0;         // still nothing when we gave up
  uint64_t advised_to_close = 0;  // responses with "Connection: close"
  uint64_t closed_idle = 0;       // connections that ended with nothing asked on them
  uint64_t connected = 0;
  uint64_t refused = 0;
};

//             +--------- advised to close, closed idle, failed ---------+
//             v                                                         |
//        kConnecting -> kPausing <-> kWaiting --------------------------+
//             |
//             +-> kStopped (refused, or the time is over)
enum class State : uint8_t { kConnecting, kPausing, kWaiting, kStopped };

struct Connection {
  const Group* group = nullptr;
  State state = State::kStopped;
  int fd = -1;
  uint64_t requests = 0;       // sent on this socket
  Clock::time_point due = {};  // kPausing: when to send
  ResponseReader reader;
};

class Client {
 public:
  Client(const std::vector<Group>& groups, uint64_t mark) : mark_(mark), epoll_(epoll_create1(0)) {
    for (const Group& group : groups) {
      for (int i = 0; i < group.connections; ++i) {
        connections_.push_back(std::make_unique<Connection>());
        connections_.back()->group = &group;
      }
    }
  }

  void Run(std::chrono::seconds duration) {
    const auto end = Clock::now() + duration;
    for (auto& connection : connections_) Connect(*connection);
    while (running_ > 0) {
      const auto now = Clock::now();
      if (now >= end) ending_ = true;
      if (now >= end + kLastResponses) break;
      SendWhatIsDue(now);
      Poll();
    }
    for (auto& connection : connections_) {
      if (connection->state == State::kWaiting) ++counts_.timed_out;
    }
  }

  const Counts& counts() const { return counts_; }

 private:
  void Connect(Connection& connection) {
    if (connection.state == State::kStopped) ++running_;
    if (ending_) return Stop(connection);
    int error = 0;
    connection.fd = StartConnecting(connection.group->port, &error);
    connection.state = State::kConnecting;
    connection.requests = 0;
    connection.reader.Reset();
    if (error != 0) return OnConnectFailed(connection, error);
    // Edge-triggered, so that the end of connecting needs no second epoll_ctl.
    epoll_event event = {};
    event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
    event.data.ptr = &connection;
    if (epoll_ctl(epoll_, EPOLL_CTL_ADD, connection.fd, &event) != 0) Die("epoll_ctl");
  }

  void Stop(Connection& connection) {
    Close(connection);
    connection.state = State::kStopped;
    --running_;
  }

  void Close(Connection& connection) {
    if (connection.fd >= 0) close(connection.fd);
    connection.fd = -1;
  }

  void Reconnect(Connection& connection) {
    Close(connection);
    Connect(connection);
  }

  void OnConnectFailed(Connection& connection, int error) {
    if (error == ECONNREFUSED) {
      ++counts_.refused;
      Stop(connection);
    } else if (error == ECONNRESET || error == EPIPE) {
      // It was set up, and closed before anything was asked.
      OnClosed(connection);
    } else {
      Die(std::string("connect: ") + std::strerror(error));
    }
  }

  void Poll() {
    epoll_event events[256];
    const int count = epoll_wait(epoll_, events, 256, 1);
    for (int i = 0; i < count; ++i) {
      OnEvent(*static_cast<Connection*>(events[i].data.ptr), events[i].events);
    }
  }

  void OnEvent(Connection& connection, uint32_t events) {
    if (connection.state == State::kConnecting) {
      const int error = ConnectError(connection.fd);
      if (error != 0) return OnConnectFailed(connection, error);
      if ((events & EPOLLOUT) == 0) return;
      ++counts_.connected;
      return Pause(connection);
    }
    if ((events & ~static_cast<uint32_t>(EPOLLOUT)) != 0) Read(connection, events);
  }

  void Pause(Connection& connection) {
    if (ending_) return Stop(connection);
    connection.state = State::kPausing;
    if (connection.group->pause.count() == 0) return Send(connection);
    connection.due = AfterPause(connection.group->pause);
  }

  void SendWhatIsDue(Clock::time_point now) {
    for (auto& connection : connections_) {
      if (connection->state != State::kPausing) continue;
      if (ending_) {
        Stop(*connection);
      } else if (now >= connection->due) {
        SendAfterPause(*connection);
      }
    }
  }

  // A client that waited looks whether the other side has closed meanwhile.
  void SendAfterPause(Connection& connection) {
    char byte;
    const ssize_t peeked = recv(connection.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    if (peeked < 0 && errno == EAGAIN) return Send(connection);
    OnClosed(connection);
  }

  void Send(Connection& connection) {
    const std::string& request = connection.group->request;
    const ssize_t written = send(connection.fd, request.data(), request.size(), MSG_NOSIGNAL);
    if (written < 0) return OnClosed(connection);
    // An empty send buffer takes a hundred bytes whole.
    if (static_cast<size_t>(written) != request.size()) Die("a request was written in part");
    ++counts_.sent;
    ++connection.requests;
    connection.state = State::kWaiting;
  }

  void Read(Connection& connection, uint32_t events) {
    const bool ended = (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
    while (true) {
      const ssize_t received = recv(connection.fd, buffer_.data(), buffer_.size(), 0);
      if (received < 0 && (errno == EAGAIN || errno == EINTR)) return;
      // What comes unasked (a 408 for an idle connection, say) ends the connection as well.
      if (received <= 0 || connection.state != State::kWaiting) return OnClosed(connection);
      const auto size = static_cast<size_t>(received);
      connection.reader.Feed({buffer_.data(), size});
      if (connection.reader.broken()) Die("not an HTTP response");
      if (connection.reader.complete() && !OnAnswered(connection)) return;
      // A short read emptied the socket; only an end that was announced is still to be read.
      if (size < buffer_.size() && !ended) return;
    }
  }

  // Returns whether the same socket goes on.
  bool OnAnswered(Connection& connection) {
    ++counts_.answered;
    if (counts_.answered == mark_) {
      std::puts("mark");
      std::fflush(stdout);
    }
    if (connection.reader.status() != 200) ++counts_.not_ok;
    const bool close = connection.reader.close();
    connection.reader.Reset();
    if (close) {
      ++counts_.advised_to_close;
      Reconnect(connection);
      return false;
    }
    Pause(connection);
    return connection.state == State::kWaiting;
  }

  void OnClosed(Connection& connection) {
    if (connection.state != State::kWaiting) {
      ++counts_.closed_idle;
    } else if (connection.reader.FinishAtEndOfStream()) {
      OnAnswered(connection);
      return;
    } else if (connection.reader.started()) {
      ++counts_.failed_midway;
    } else if (connection.requests == 1) {
      ++counts_.failed_fresh;
    } else {
      ++counts_.failed_reused;
    }
    Reconnect(connection);
  }

  const uint64_t mark_;
  const int epoll_;
  int running_ = 0;
  bool ending_ = false;  // the time is over: nothing new is sent
  std::vector<std::unique_ptr<Connection>> connections_;
  std::vector<char> buffer_ = std::vector<char>(256 * 1024);
  Counts counts_;
};

Group ParseGroup(std::string_view text) {
  const auto fields = Split(text, 4, kGroup);
  Group group;
  group.port = ParseNumber<uint16_t>(fields[0]);
  group.connections = ParseNumber<int>(fields[1]);
  group.pause = milliseconds(ParseNumber<int>(fields[2]));
  group.request = "GET " + std::string(fields[3]) + " HTTP/1.1\r\nHost: localhost\r\n\r\n";
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
  std::vector<Group> groups;
  for (int i = 3; i < argc; ++i) groups.push_back(ParseGroup(argv[i]));
  Client client(groups, ParseNumber<uint64_t>(argv[2]));
  client.Run(std::chrono::seconds(ParseNumber<int>(argv[1])));
  const Counts& counts = client.counts();
  PrintCounts({{"sent", counts.sent},
               {"answered", counts.answered},
               {"not_ok", counts.not_ok},
               {"failed_fresh", counts.failed_fresh},
               {"failed_reused", counts.failed_reused},
               {"failed_midway", counts.failed_midway},
               {"timed_out", counts.timed_out},
               {"advised_to_close", counts.advised_to_close},
               {"closed_idle", counts.closed_idle},
               {"connected", counts.connected},
               {"connect_refused", counts.refused}});
  std::puts("");
  return 0;
}
