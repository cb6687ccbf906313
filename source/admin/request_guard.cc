#include "admin/request_guard.h"

#include <arpa/inet.h>

#include <string>

namespace sluice {
namespace {

constexpr std::string_view kOtherOrigin =
    "refused: this request was made by a web page of another origin";
constexpr std::string_view kUnknownHost =
    "refused: address the admin by an IP address, localhost or its Unix socket, not by a name "
    "that DNS could point here";

bool IsUnix(const DownstreamInfo& downstream) { return downstream.peer.starts_with("unix:"); }

bool IsIpLiteral(std::string_view host) {
  unsigned char address[sizeof(in6_addr)];
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    const std::string inner(host.substr(1, host.size() - 2));
    return inet_pton(AF_INET6, inner.c_str(), address) == 1;
  }
  return inet_pton(AF_INET, std::string(host).c_str(), address) == 1;
}

std::string_view HostOf(std::string_view authority) {
  const size_t colon = authority.rfind(':');
  if (colon == std::string_view::npos || authority.find(']', colon) != std::string_view::npos) {
    return authority;
  }
  return authority.substr(0, colon);
}

bool IsTrustedHost(std::string_view authority) {
  // An HTTP/1.0 client without Host is no browser.
  if (authority.empty()) return true;
  const std::string_view host = HostOf(authority);
  return EqualsIgnoreCase(host, "localhost") || IsIpLiteral(host);
}

// True when `url`, an Origin or a Referer, is on the origin the request was sent to.
bool IsOwnOrigin(std::string_view url, const RequestHead& request) {
  const std::string own = "http://" + std::string(request.authority);
  if (url.size() < own.size() || !EqualsIgnoreCase(url.substr(0, own.size()), own)) return false;
  return url.size() == own.size() || url[own.size()] == '/';
}

}  // namespace

std::string_view RefusesChange(const RequestHead& request, const DownstreamInfo& downstream) {
  // https://www.w3.org/TR/fetch-metadata/#sec-fetch-site-header: "none" is a person's own doing.
  for (const HeaderField& field : request.headers) {
    if (EqualsIgnoreCase(field.name, "sec-fetch-site")) {
      if (field.value != "same-origin" && field.value != "none") return kOtherOrigin;
    } else if (EqualsIgnoreCase(field.name, "origin") || EqualsIgnoreCase(field.name, "referer")) {
      if (!IsOwnOrigin(field.value, request)) return kOtherOrigin;
    }
  }
  return RefusesReading(request, downstream);
}

std::string_view RefusesReading(const RequestHead& request, const DownstreamInfo& downstream) {
  // No browser speaks to a Unix socket.
  if (IsUnix(downstream) || IsTrustedHost(request.authority)) return {};
  return kUnknownHost;
}

bool IsBrowser(const RequestHead& request) {
  return request.headers.Value(HeaderId::kUserAgent).starts_with("Mozilla/");
}

}  // namespace sluice
