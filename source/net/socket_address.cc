#include "net/socket_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <charconv>
#include <cstddef>
#include <cstring>

namespace sluice {
namespace {

Result<SocketAddress> ParseUnix(std::string_view path) {
  sockaddr_storage storage{};
  auto* address = reinterpret_cast<sockaddr_un*>(&storage);
  address->sun_family = AF_UNIX;
  if (path.empty()) return Fail("a unix address needs a path: unix:/run/name.sock");
  if (path.size() >= sizeof(address->sun_path)) {
    return Fail("the path of unix:" + std::string(path) + " is longer than " +
                std::to_string(sizeof(address->sun_path) - 1) + " bytes");
  }
  std::memcpy(address->sun_path, path.data(), path.size());
  const auto length = offsetof(sockaddr_un, sun_path) + path.size() + 1;
  return SocketAddress(storage, static_cast<socklen_t>(length));
}

}  // namespace

Result<SocketAddress> SocketAddress::Parse(std::string_view text) {
  if (text.starts_with("unix:")) return ParseUnix(text.substr(5));
  const auto bad = [&] {
    return Fail(
        "'" + std::string(text) +
        "' is not an address; expected host:port, [v6]:port or unix:/path with a numeric host");
  };
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return bad();
  std::string host(text.substr(0, colon));
  const std::string_view port_text = text.substr(colon + 1);
  uint16_t port = 0;
  const auto [end, error] =
      std::from_chars(port_text.data(), port_text.data() + port_text.size(), port);
  if (error != std::errc() || end != port_text.data() + port_text.size()) return bad();

  sockaddr_storage storage{};
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
    auto* v6 = reinterpret_cast<sockaddr_in6*>(&storage);
    if (inet_pton(AF_INET6, host.c_str(), &v6->sin6_addr) != 1) return bad();
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    return SocketAddress(storage, sizeof(sockaddr_in6));
  }
  if (host == "localhost") host = "127.0.0.1";
  auto* v4 = reinterpret_cast<sockaddr_in*>(&storage);
  if (inet_pton(AF_INET, host.c_str(), &v4->sin_addr) != 1) return bad();
  v4->sin_family = AF_INET;
  v4->sin_port = htons(port);
  return SocketAddress(storage, sizeof(sockaddr_in));
}

std::string SocketAddress::UnixPath() const {
  const auto* address = reinterpret_cast<const sockaddr_un*>(&storage_);
  if (length_ <= offsetof(sockaddr_un, sun_path)) return {};
  return address->sun_path;
}

std::string SocketAddress::ToString() const {
  char text[INET6_ADDRSTRLEN + 16];
  switch (family()) {
    case AF_INET: {
      const auto* v4 = reinterpret_cast<const sockaddr_in*>(&storage_);
      inet_ntop(AF_INET, &v4->sin_addr, text, sizeof(text));
      return std::string(text) + ":" + std::to_string(ntohs(v4->sin_port));
    }
    case AF_INET6: {
      const auto* v6 = reinterpret_cast<const sockaddr_in6*>(&storage_);
      inet_ntop(AF_INET6, &v6->sin6_addr, text, sizeof(text));
      return "[" + std::string(text) + "]:" + std::to_string(ntohs(v6->sin6_port));
    }
    case AF_UNIX:
      return "unix:" + UnixPath();
    default:
      return "unknown";
  }
}

}  // namespace sluice
