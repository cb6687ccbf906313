#include "proxy/request_hash.h"

#include "base/hash.h"
#include "http/cookie.h"

namespace sluice {

std::optional<uint64_t> RequestHash(const HashOn& on, const RequestHead& head,
                                    const DownstreamInfo& downstream) {
  std::string_view key;
  switch (on.kind) {
    case HashOn::Kind::kHeader:
      key = EqualsIgnoreCase(on.name, "host") ? head.authority : head.headers.Value(on.name);
      break;
    case HashOn::Kind::kCookie:
      key = CookieValue(head.headers, on.name);
      break;
    case HashOn::Kind::kSource:
      key = downstream.peer_host;
      break;
  }
  if (key.empty()) return std::nullopt;
  return HashBytes(key);
}

}  // namespace sluice
