// The cookie that keeps a client on one endpoint. It names the endpoint by its identity, a hash of
// its address, which every process reads. The hash hides an address from a glance, not from
// somebody who tries all that it could be.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/arena.h"
#include "config/cluster_config.h"
#include "sluice/message.h"

namespace sluice {

// The identity that the client brings along; nothing when it brings none, or something else.
std::optional<uint64_t> SessionEndpoint(const SessionCookie& cookie, const RequestHead& head);

// The value of Set-Cookie (RFC 6265 4.1); lives in `arena`.
std::string_view SetCookieValue(const SessionCookie& cookie, uint64_t identity, Arena& arena);

}  // namespace sluice
