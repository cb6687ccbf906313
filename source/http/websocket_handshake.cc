#include "http/websocket_handshake.h"

#include <algorithm>
#include <cstddef>
#include <span>

#include "base/sha1.h"
#include "http/h1_fields.h"

namespace sluice {
namespace {

constexpr std::string_view kExtensions = "sec-websocket-extensions";

// RFC 6455 1.3: what is put after the key before it is hashed.
constexpr std::string_view kGuid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

// RFC 4648 4.
constexpr char kAlphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

std::string_view Base64(std::span<const uint8_t> bytes, Arena& arena) {
  char* const out = arena.Allocate((bytes.size() + 2) / 3 * 4);
  char* at = out;
  for (; !bytes.empty(); bytes = bytes.subspan(std::min<size_t>(bytes.size(), 3))) {
    uint32_t three = uint32_t{bytes[0]} << 16;
    if (bytes.size() > 1) three |= uint32_t{bytes[1]} << 8;
    if (bytes.size() > 2) three |= bytes[2];
    *at++ = kAlphabet[three >> 18];
    *at++ = kAlphabet[three >> 12 & 0x3f];
    *at++ = bytes.size() > 1 ? kAlphabet[three >> 6 & 0x3f] : '=';
    *at++ = bytes.size() > 2 ? kAlphabet[three & 0x3f] : '=';
  }
  return {out, static_cast<size_t>(at - out)};
}

// 16 bytes in base64: 22 characters, and two to fill up.
bool IsKey(std::string_view text) {
  constexpr size_t kCharacters = 22;
  return text.size() == kCharacters + 2 && text.substr(kCharacters) == "==" &&
         text.find_first_not_of(kAlphabet) == kCharacters;
}

}  // namespace

bool OffersWebSocket(const RequestHead& request) {
  return request.method == Method::kGet && HasToken(request.upgrade, kWebSocketProtocol);
}

bool IsWebSocketHandshake(const RequestHead& request) {
  if (!OffersWebSocket(request)) return false;
  if (request.headers.Value(kSecWebSocketVersion) != kWebSocketVersion) return false;
  // RFC 6455 11.3.1: at most one key.
  const auto keys = std::count_if(
      request.headers.begin(), request.headers.end(),
      [](const HeaderField& field) { return EqualsIgnoreCase(field.name, kSecWebSocketKey); });
  return keys == 1 && IsKey(request.headers.Value(kSecWebSocketKey));
}

bool AcceptsWebSocket(const ResponseHead& response, std::string_view key) {
  Arena arena;
  return response.status == 101 && EqualsIgnoreCase(response.upgrade, kWebSocketProtocol) &&
         response.headers.Value(kSecWebSocketAccept) == WebSocketAccept(key, arena);
}

bool HasWebSocketExtensions(const ResponseHead& response) {
  return !response.headers.Value(kExtensions).empty();
}

std::string_view WebSocketAccept(std::string_view key, Arena& arena) {
  return Base64(Sha1(arena.Concat(key, kGuid)), arena);
}

std::string_view WebSocketKey(const std::array<uint8_t, 16>& random, Arena& arena) {
  return Base64(random, arena);
}

}  // namespace sluice
