// A load generator for WebSocket echoes: on each connection one message is under way at a time, and
// the next one is sent when its echo has come back.
//
// Prints one line of JSON: the echoes that came back within the time, the time, percentiles of how
// long one took, and how many connections broke or echoed something else.

#include <sys/epoll.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "drain_common.h"
#include "websocket.h"

namespace {

using namespace bench;

struct Connection {
  int fd = -1;
  bool open = false;
  std::string head;  // of the response, until it is whole
  WebSocketReader reader;
  Clock::time_point sent;
};

class Load {
 public:
  Load(uint16_t port, int connections, size_t bytes, const std::string& path)
      : payload_(bytes, 'm') {
    AppendFrame(message_, Role::kClient, Opcode::kText, payload_);
    const std::string request = "GET " + path +
                                " HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n"
                                "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    for (int i = 0; i < connections; ++i) Connect(port, request);
  }

  void Run(std::chrono::seconds duration) {
    const auto start = Clock::now();
    const auto end = start + duration;
    while (Clock::now() < end && broken_ < connections_.size()) Poll(end);
    seconds_ = std::chrono::duration<double>(Clock::now() - start).count();
  }

  void Print() {
    std::sort(microseconds_.begin(), microseconds_.end());
    std::printf(
        "{\"messages\": %zu, \"seconds\": %.6f, \"p50_us\": %u, \"p99_us\": %u, "
        "\"errors\": %zu}\n",
        microseconds_.size(), seconds_, Percentile(50), Percentile(99), broken_);
  }

 private:
  void Connect(uint16_t port, const std::string& request) {
    auto connection = std::make_unique<Connection>();
    connection->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    SetNoDelay(connection->fd);
    const sockaddr_in address = Loopback(port);
    if (connect(connection->fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) !=
        0) {
      Die(std::string("connect: ") + std::strerror(errno));
    }
    Send(*connection, request);
    epoll_event event = {};
    event.events = EPOLLIN;
    event.data.ptr = connection.get();
    if (epoll_ctl(epoll_, EPOLL_CTL_ADD, connection->fd, &event) != 0) Die("epoll_ctl");
    connections_.push_back(std::move(connection));
  }

  // One message fits a send buffer from which the last one has gone.
  void Send(Connection& connection, const std::string& bytes) {
    const ssize_t sent = send(connection.fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent != static_cast<ssize_t>(bytes.size())) Break(connection);
  }

  void Poll(Clock::time_point end) {
    epoll_event events[256];
    const auto left = std::chrono::ceil<milliseconds>(end - Clock::now());
    const int count =
        epoll_wait(epoll_, events, 256, static_cast<int>(std::max<int64_t>(left.count(), 0)));
    for (int i = 0; i < count; ++i) {
      auto& connection = *static_cast<Connection*>(events[i].data.ptr);
      char buffer[16 * 1024];
      const ssize_t received = recv(connection.fd, buffer, sizeof(buffer), 0);
      if (received <= 0) {
        Break(connection);
      } else {
        OnBytes(connection, {buffer, static_cast<size_t>(received)});
      }
    }
  }

  void OnBytes(Connection& connection, std::string_view bytes) {
    if (!connection.open) return OnHead(connection, bytes);
    connection.reader.Feed(bytes);
    WebSocketFrame frame;
    while (connection.reader.Next(frame)) {
      if (frame.opcode != Opcode::kText || frame.payload != payload_) return Break(connection);
      const auto took = Clock::now() - connection.sent;
      microseconds_.push_back(static_cast<uint32_t>(
          std::chrono::duration_cast<std::chrono::microseconds>(took).count()));
      SendMessage(connection);
    }
  }

  void OnHead(Connection& connection, std::string_view bytes) {
    connection.head += bytes;
    if (connection.head.find("\r\n\r\n") == std::string::npos) return;
    if (!connection.head.starts_with("HTTP/1.1 101 ")) Die(connection.head);
    connection.open = true;
    SendMessage(connection);
  }

  void SendMessage(Connection& connection) {
    connection.sent = Clock::now();
    Send(connection, message_);
  }

  void Break(Connection& connection) {
    ++broken_;
    epoll_ctl(epoll_, EPOLL_CTL_DEL, connection.fd, nullptr);
  }

  uint32_t Percentile(size_t percent) const {
    if (microseconds_.empty()) return 0;
    return microseconds_[std::min(microseconds_.size() * percent / 100, microseconds_.size() - 1)];
  }

  const int epoll_ = epoll_create1(EPOLL_CLOEXEC);
  const std::string payload_;
  std::string message_;  // framed
  std::vector<std::unique_ptr<Connection>> connections_;
  std::vector<uint32_t> microseconds_;  // of each echo
  size_t broken_ = 0;
  double seconds_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 6) {
    std::fprintf(stderr, "usage: %s PORT CONNECTIONS SECONDS BYTES PATH\n", argv[0]);
    return 2;
  }
  Load load(ParseNumber<uint16_t>(argv[1]), ParseNumber<int>(argv[2]), ParseNumber<size_t>(argv[4]),
            argv[5]);
  load.Run(std::chrono::seconds(ParseNumber<int>(argv[3])));
  load.Print();
}
