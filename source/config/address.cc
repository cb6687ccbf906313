#include "config/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <array>
#include <charconv>
#include <cstddef>

namespace sluice {
namespace {

constexpr std::string_view kExpected = "; expected IP:PORT, [IPv6]:PORT or unix:/PATH";
constexpr size_t kMaxUnixPath = sizeof(sockaddr_un::sun_path) - 1;

// The numeric address in the one spelling the system gives it, or "" when it is not one.
std::string Canonical(int family, const std::string& host) {
  in6_addr bytes{};  // large enough for both families
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (inet_pton(family, host.c_str(), &bytes) != 1) return {};
  return inet_ntop(family, &bytes, text.data(), text.size()) == nullptr ? "" : text.data();
}

Result<ConfigAddress> ParseUnix(std::string_view path) {
  if (path.empty() || path[0] != '/') {
    return Fail("'unix:" + std::string(path) + "' has no absolute path; expected unix:/PATH");
  }
  if (path.size() > kMaxUnixPath) {
    return Fail("the path of 'unix:" + std::string(path) + "' is too long; expected at most " +
                std::to_string(kMaxUnixPath) + " bytes");
  }
  ConfigAddress address;
  address.kind = ConfigAddress::Kind::kUnix;
  address.path = std::string(path);
  return address;
}

Result<uint16_t> ParsePort(std::string_view text, const std::string& quoted) {
  uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc() || end != text.data() + text.size()) {
    return Fail(quoted + " has no port from 0 to 65535" + std::string(kExpected));
  }
  return port;
}

Result<ConfigAddress> ParseV6(std::string_view host, const std::string& quoted) {
  ConfigAddress address;
  address.kind = ConfigAddress::Kind::kIpv6;
  address.host = Canonical(AF_INET6, std::string(host));
  if (address.host.empty()) {
    const bool scoped = host.find('%') != std::string_view::npos;
    return Fail(quoted +
                (scoped ? " has a zone, which is not supported" : " is not an IPv6 address") +
                std::string(kExpected));
  }
  return address;
}

Result<ConfigAddress> ParseV4(std::string_view host, std::string_view port,
                              const std::string& quoted) {
  const std::string expected(kExpected);
  ConfigAddress address;
  address.host = Canonical(AF_INET, std::string(host == "localhost" ? "127.0.0.1" : host));
  if (!address.host.empty()) return address;
  if (host.empty() || host == "*") {
    return Fail(quoted + " has no host" + expected + "; did you mean 0.0.0.0:" + std::string(port));
  }
  if (host.find(':') != std::string_view::npos) {
    return Fail(quoted + " has an IPv6 address without brackets" + expected);
  }
  if (host.find_first_not_of("0123456789.") == std::string_view::npos) {
    return Fail(quoted + " is not an IPv4 address" + expected);
  }
  return Fail(quoted + " has a host name, and names are not resolved: write its IP address" +
              expected);
}

}  // namespace

bool ConfigAddress::IsLoopback() const {
  if (kind == Kind::kUnix || host == "::1" || host.starts_with("::ffff:127.")) return true;
  return kind == Kind::kIpv4 && host.starts_with("127.");
}

bool ConfigAddress::IsWildcard() const { return host == "0.0.0.0" || host == "::"; }

std::string ConfigAddress::ToString() const {
  switch (kind) {
    case Kind::kIpv4:
      return host + ":" + std::to_string(port);
    case Kind::kIpv6:
      return "[" + host + "]:" + std::to_string(port);
    case Kind::kUnix:
      return "unix:" + path;
  }
  return {};
}

Result<ConfigAddress> ParseConfigAddress(std::string_view text) {
  if (text.find('\0') != std::string_view::npos) return Fail("an address cannot hold a NUL byte");
  if (text.starts_with("unix:")) return ParseUnix(text.substr(5));
  const std::string quoted = "'" + std::string(text.substr(0, 128)) + "'";
  if (text.find("://") != std::string_view::npos) {
    return Fail(quoted + " is a URL, not an address" + std::string(kExpected));
  }
  const size_t bracket = text.starts_with("[") ? text.find(']') : std::string_view::npos;
  const size_t colon = text.find(':', bracket == std::string_view::npos ? 0 : bracket);
  // Without brackets, the last colon is the one before the port.
  const size_t split = bracket == std::string_view::npos ? text.rfind(':') : colon;
  if (split == std::string_view::npos ||
      (bracket != std::string_view::npos && split != bracket + 1)) {
    return Fail(quoted + " has no port" + std::string(kExpected));
  }
  const std::string_view port_text = text.substr(split + 1);
  auto port = ParsePort(port_text, quoted);
  if (!port) return tl::unexpected<Error>(port.error());
  auto address = bracket != std::string_view::npos
                     ? ParseV6(text.substr(1, bracket - 1), quoted)
                     : ParseV4(text.substr(0, split), port_text, quoted);
  if (address) address->port = *port;
  return address;
}

}  // namespace sluice
