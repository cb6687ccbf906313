// Carries an nghttp2 session over a non-blocking socket: what the programs of the benches share.
//
// Deliberately not built on Sluice's own session: a mistake there must not hide itself here.
#pragma once

#include <nghttp2/nghttp2.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <string>
#include <vector>

namespace bench {

class H2Pipe {
 public:
  // Takes over both. The caller watches `fd`, edge-triggered.
  H2Pipe(int fd, nghttp2_session* session) : fd_(fd), session_(session) {}
  ~H2Pipe() {
    nghttp2_session_del(session_);
    close(fd_);
  }
  H2Pipe(const H2Pipe&) = delete;

  nghttp2_session* session() const { return session_; }
  int fd() const { return fd_; }

  // Hands all that has arrived to the session. Returns false when nothing more will come: the peer
  // has ended the connection, or broke the protocol (`broken`).
  bool Read() {
    static std::vector<uint8_t> buffer(256 * 1024);
    while (true) {
      const ssize_t received = recv(fd_, buffer.data(), buffer.size(), 0);
      if (received < 0 && errno == EINTR) continue;
      if (received < 0 && errno == EAGAIN) return true;
      reset_ = received < 0;
      if (received <= 0) return false;
      if (nghttp2_session_mem_recv(session_, buffer.data(), static_cast<size_t>(received)) < 0) {
        broken_ = true;
        return false;
      }
    }
  }

  enum class Written : uint8_t { kAll, kSome, kFailed };

  // Writes what the session has to say. kSome: again when the socket is writable.
  Written Write() {
    while (true) {
      while (pending_.size() < kEnough) {
        const uint8_t* bytes = nullptr;
        const ssize_t size = nghttp2_session_mem_send(session_, &bytes);
        if (size < 0) return Written::kFailed;
        if (size == 0) break;
        pending_.append(reinterpret_cast<const char*>(bytes), static_cast<size_t>(size));
      }
      if (pending_.empty()) return Written::kAll;
      const ssize_t sent = send(fd_, pending_.data(), pending_.size(), MSG_NOSIGNAL);
      if (sent < 0 && errno == EINTR) continue;
      if (sent < 0 && errno == EAGAIN) return Written::kSome;
      if (sent < 0) return Written::kFailed;
      pending_.erase(0, static_cast<size_t>(sent));
    }
  }

  // The session has nothing to say and nothing to hear: after a goodbye, that is the end.
  bool finished() const {
    return pending_.empty() && nghttp2_session_want_read(session_) == 0 &&
           nghttp2_session_want_write(session_) == 0;
  }

  bool broken() const { return broken_; }
  bool reset() const { return reset_; }

 private:
  static constexpr size_t kEnough = 64 * 1024;

  const int fd_;
  nghttp2_session* const session_;
  std::string pending_;  // framed, and not taken by the kernel yet
  bool broken_ = false;
  bool reset_ = false;
};

inline nghttp2_nv Field(const char* name, const std::string& value) {
  nghttp2_nv field = {};
  field.name = reinterpret_cast<uint8_t*>(const_cast<char*>(name));
  field.namelen = std::char_traits<char>::length(name);
  field.value = reinterpret_cast<uint8_t*>(const_cast<char*>(value.data()));
  field.valuelen = value.size();
  return field;
}

}  // namespace bench
