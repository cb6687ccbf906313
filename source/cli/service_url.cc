#include "cli/service_url.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <sys/socket.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <memory>

namespace sluice {
namespace {

constexpr std::string_view kExpected = "; expected http://HOST[:PORT] or unix:/PATH";

tl::unexpected<Error> FailUrl(std::string_view url, const std::string& why) {
  return Fail("--to " + std::string(url) + ": " + why);
}

Result<std::string> Resolve(std::string_view url, const std::string& host) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (const int error = getaddrinfo(host.c_str(), nullptr, &hints, &found); error != 0) {
    return FailUrl(url, "cannot resolve '" + host + "': " + gai_strerror(error));
  }
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> list(found, freeaddrinfo);
  const addrinfo* chosen = list.get();
  for (const addrinfo* next = chosen; next != nullptr; next = next->ai_next) {
    if (next->ai_family == AF_INET) {
      chosen = next;
      break;
    }
  }
  char text[NI_MAXHOST];
  if (getnameinfo(chosen->ai_addr, chosen->ai_addrlen, text, sizeof text, nullptr, 0,
                  NI_NUMERICHOST) != 0) {
    return FailUrl(url, "cannot resolve '" + host + "'");
  }
  return chosen->ai_family == AF_INET6 ? "[" + std::string(text) + "]" : std::string(text);
}

}  // namespace

Result<std::string> EndpointOfUrl(std::string_view url) {
  if (url.starts_with("unix:/")) return std::string(url);
  if (url.starts_with("https://")) {
    return FailUrl(url, "TLS upstreams are not supported by this version; use http://");
  }
  constexpr std::string_view kScheme = "http://";
  if (!url.starts_with(kScheme)) return FailUrl(url, "not a URL" + std::string(kExpected));

  std::string_view authority = url.substr(kScheme.size());
  if (authority.ends_with('/')) authority.remove_suffix(1);
  if (authority.find_first_of("/?#@") != std::string_view::npos) {
    return FailUrl(url, "only a host and a port can be given, as paths are passed on unchanged" +
                            std::string(kExpected));
  }
  // Of an IPv6 literal, the colons inside the brackets are its own.
  const size_t bracket = authority.rfind(']');
  const size_t colon = authority.find(':', bracket == std::string_view::npos ? 0 : bracket);
  const std::string host(authority.substr(0, colon));
  uint16_t port = 80;
  if (colon != std::string_view::npos) {
    const std::string_view digits = authority.substr(colon + 1);
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
    if (error != std::errc() || end != digits.data() + digits.size() || port == 0) {
      return FailUrl(url, "the port must be a number from 1 to 65535");
    }
  }
  if (host.empty()) return FailUrl(url, "there is no host" + std::string(kExpected));
  if (host.front() == '[') return host + ":" + std::to_string(port);
  const auto resolved = Resolve(url, host);
  if (!resolved) return resolved;
  return *resolved + ":" + std::to_string(port);
}

}  // namespace sluice
