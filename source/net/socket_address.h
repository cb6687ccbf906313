// Addresses as the kernel has them, from and to the text that people write:
// "127.0.0.1:8080", "[::1]:8080", "unix:/run/sluice.sock".
#pragma once

#include <sys/socket.h>

#include <string>
#include <string_view>

#include "sluice/result.h"

namespace sluice {

class SocketAddress {
 public:
  // The host must be numeric (or "localhost", which is 127.0.0.1).
  static Result<SocketAddress> Parse(std::string_view text);

  // Whatever the kernel filled in.
  SocketAddress(const sockaddr_storage& storage, socklen_t length)
      : storage_(storage), length_(length) {}
  // An empty one, for accept4 and getsockname to fill in by way of data() and length().
  SocketAddress() = default;

  sockaddr* data() { return reinterpret_cast<sockaddr*>(&storage_); }
  const sockaddr* data() const { return reinterpret_cast<const sockaddr*>(&storage_); }
  socklen_t* length_out() {
    length_ = sizeof(storage_);
    return &length_;
  }
  socklen_t length() const { return length_; }
  int family() const { return storage_.ss_family; }
  bool is_unix() const { return family() == AF_UNIX; }

  // Of a Unix address; empty for an unnamed one.
  std::string UnixPath() const;

  std::string ToString() const;

 private:
  sockaddr_storage storage_{};
  socklen_t length_ = 0;
};

}  // namespace sluice
