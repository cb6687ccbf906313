// Addresses as configuration text: checked, and in one spelling, so that two of them can be
// compared. What the kernel makes of them is net's business (net/socket_address.h).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "sluice/result.h"

namespace sluice {

struct ConfigAddress {
  enum class Kind : uint8_t { kIpv4, kIpv6, kUnix };
  Kind kind = Kind::kIpv4;
  std::string host;  // numeric, canonical; empty for a Unix socket
  uint16_t port = 0;
  std::string path;  // of a Unix socket, absolute

  // Reachable from this machine only: 127/8, ::1 and Unix sockets.
  bool IsLoopback() const;
  // Every address of the machine: 0.0.0.0 and ::.
  bool IsWildcard() const;
  // "127.0.0.1:80", "[::1]:80", "unix:/path": what ParseConfigAddress reads.
  std::string ToString() const;
};

// Reads "127.0.0.1:80", "[::1]:80", "unix:/path" or "localhost:80" (which is 127.0.0.1). Any other
// host name is refused: names are not resolved. Port 0 is accepted; the error says what was
// expected.
Result<ConfigAddress> ParseConfigAddress(std::string_view text);

}  // namespace sluice
