// The opening handshake of WebSocket over HTTP/1.1 (RFC 6455 4): recognised, and made where a
// WebSocket crosses from HTTP/2, whose extended CONNECT has no key to answer (RFC 8441 5).
//
// The codec has taken Upgrade and Connection off a head by then: `upgrade` says what they did.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "base/arena.h"
#include "sluice/message.h"

namespace sluice {

// As a value of Upgrade and of HTTP/2's :protocol. It is compared in any case.
inline constexpr std::string_view kWebSocketProtocol = "websocket";

inline constexpr std::string_view kSecWebSocketAccept = "Sec-WebSocket-Accept";
inline constexpr std::string_view kSecWebSocketKey = "Sec-WebSocket-Key";
inline constexpr std::string_view kSecWebSocketVersion = "Sec-WebSocket-Version";

// As a value of Sec-WebSocket-Version, the only one.
inline constexpr std::string_view kWebSocketVersion = "13";

// Whether `request` is meant as one: GET, with websocket among the protocols that Upgrade offers.
bool OffersWebSocket(const RequestHead& request);

// Whether it is a valid one, too (4.1, 4.2.1): version 13, and one key, which is 16 bytes in
// base64.
bool IsWebSocketHandshake(const RequestHead& request);

// Whether `response` makes a WebSocket of a request with this Sec-WebSocket-Key (4.1): 101, Upgrade
// says websocket, and Sec-WebSocket-Accept is the answer to the key.
bool AcceptsWebSocket(const ResponseHead& response, std::string_view key);

// Whether `response` names extensions (9.1), of which the bits of frames may speak.
bool HasWebSocketExtensions(const ResponseHead& response);

// The Sec-WebSocket-Accept that answers `key` (4.2.2). Lives in `arena`.
std::string_view WebSocketAccept(std::string_view key, Arena& arena);

// A Sec-WebSocket-Key of these bytes, which a client takes at random (4.1). Lives in `arena`.
std::string_view WebSocketKey(const std::array<uint8_t, 16>& random, Arena& arena);

}  // namespace sluice
