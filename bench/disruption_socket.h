// The socket of a client that connects again and again.
#pragma once

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>

#include "disruption_client.h"

namespace bench {

// Base of those whose protocol is written here.
class SocketVisitor : public Visitor {
 public:
  SocketVisitor(Recorder& recorder, uint16_t port, int epoll)
      : recorder_(recorder), port_(port), epoll_(epoll) {}
  ~SocketVisitor() override { CloseSocket(); }

 protected:
  DisruptionCounts& counts() { return recorder_.counts; }

  // Returns 0 when connecting is under way, or an errno value.
  int StartSocket() {
    CloseSocket();
    int error = 0;
    fd_ = StartConnecting(port_, &error);
    if (error != 0) return error;
    epoll_data data = {};
    data.ptr = static_cast<Visitor*>(this);
    Watch(epoll_, fd_, data);
    return 0;
  }

  void CloseSocket() {
    if (fd_ >= 0) close(fd_);
    fd_ = -1;
  }

  // Counts a connection that could not be made.
  void CountConnectError(int error) {
    if (error != ECONNREFUSED && error != ECONNRESET && error != EPIPE) {
      Die(std::string("connect: ") + std::strerror(error));
    }
    ++counts().failed_connect;
    if (error != ECONNREFUSED) ++counts().connections_reset;
  }

  // An empty send buffer takes what is short whole. False: the connection is over.
  bool Send(std::string_view bytes) {
    const ssize_t sent = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent < 0) return CountEnd();
    if (static_cast<size_t>(sent) != bytes.size()) Die("something short was written in part");
    return true;
  }

  // Reads once. An empty result: nothing is there now, or the connection is over (`over`).
  std::string_view Receive(bool* over) {
    static std::vector<char> buffer(256 * 1024);
    *over = false;
    while (true) {
      const ssize_t received = recv(fd_, buffer.data(), buffer.size(), 0);
      if (received > 0) return {buffer.data(), static_cast<size_t>(received)};
      if (received < 0 && errno == EINTR) continue;
      if (received < 0 && errno == EAGAIN) return {};
      *over = true;
      if (received < 0) CountEnd();
      return {};
    }
  }

  Recorder& recorder_;
  const uint16_t port_;
  int fd_ = -1;

 private:
  bool CountEnd() {
    if (errno == ECONNRESET || errno == EPIPE) ++counts().connections_reset;
    return false;
  }

  const int epoll_;
};

}  // namespace bench
