// What the programs of the benches share.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace bench {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

// How long after a refused connection another is tried, if the port may return.
constexpr auto kRetryAfter = milliseconds(10);

// After the time is over, how long a response may still take.
constexpr auto kLastResponses = std::chrono::seconds(30);

[[noreturn]] inline void Die(const std::string& why) {
  std::fprintf(stderr, "%s: %s\n", program_invocation_short_name, why.c_str());
  std::exit(2);
}

template <typename Number>
Number ParseNumber(std::string_view text) {
  Number number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) {
    Die("not a number: " + std::string(text));
  }
  return number;
}

// "a:b:c:d" with `count` 3: "a", "b", "c:d".
inline std::vector<std::string_view> Split(std::string_view text, size_t count, const char* usage) {
  std::vector<std::string_view> fields;
  while (fields.size() + 1 < count) {
    const size_t colon = text.find(':');
    if (colon == std::string_view::npos) Die(std::string("a group is ") + usage);
    fields.push_back(text.substr(0, colon));
    text.remove_prefix(colon + 1);
  }
  fields.push_back(text);
  return fields;
}

inline sockaddr_in Loopback(uint16_t port) {
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

// Small writes leave at once.
inline void SetNoDelay(int fd) {
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

// Listens on a port of this machine.
inline int Listen(uint16_t port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  const int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  const sockaddr_in address = Loopback(port);
  if (bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0 ||
      listen(fd, 4096) != 0) {
    Die("port " + std::to_string(port) + ": " + std::strerror(errno));
  }
  return fd;
}

// Watches a socket, edge-triggered, so that the end of connecting needs no second epoll_ctl.
inline void Watch(int epoll, int fd, epoll_data data) {
  epoll_event event = {};
  event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
  event.data = data;
  if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0) Die("epoll_ctl");
}

// Begins to connect to a port of this machine. `error` is 0 when it is under way.
inline int StartConnecting(uint16_t port, int* error) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) Die(std::string("socket: ") + std::strerror(errno));
  SetNoDelay(fd);
  const sockaddr_in address = Loopback(port);
  const int result = connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address));
  *error = result != 0 && errno != EINPROGRESS ? errno : 0;
  return fd;
}

// What became of connecting, when the socket says something.
inline int ConnectError(int fd) {
  int error = 0;
  socklen_t size = sizeof(error);
  getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
  return error;
}

// When to send again: after half to one and a half times the pause, because clients must not march
// in step.
inline Clock::time_point AfterPause(milliseconds pause) {
  return Clock::now() + pause / 2 + pause * (std::rand() % 1000) / 1000;
}

// A JSON object.
inline void PrintCounts(std::initializer_list<std::pair<const char*, uint64_t>> counts) {
  const char* separator = "{";
  for (const auto& [name, count] : counts) {
    std::printf("%s\"%s\": %llu", separator, name, static_cast<unsigned long long>(count));
    separator = ", ";
  }
  std::printf("}");
}

}  // namespace bench
