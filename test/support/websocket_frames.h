// WebSocket frames for tests: made one by one, and read by a parser that sees all bytes at once,
// goes by the letter of RFC 6455 5.2, and has nothing in common with WebSocketFollower.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "http/websocket_frames.h"

namespace sluice::test {

inline constexpr uint8_t kFinBit = 0x80;

enum class Opcode : uint8_t {
  kContinuation = 0,
  kText = 1,
  kBinary = 2,
  kClose = 8,
  kPing = 9,
  kPong = 10,
};

// The header of a frame whose first byte is `first`: a length in the fewest bytes, and a mask if a
// client sends it.
std::string FrameHeader(WebSocketSender sender, uint8_t first, uint64_t length);

// A whole frame; the payload is masked if a client sends it. `flags` is FIN and RSV1 to RSV3.
std::string Frame(WebSocketSender sender, Opcode opcode, std::string_view payload,
                  uint8_t flags = kFinBit);

// The payload of a Close.
std::string CloseText(uint16_t code, std::string_view reason);

// `bytes`, which are one whole frame with a short length, without header and mask.
std::string PayloadOf(std::string_view bytes);

struct WebSocketReading {
  std::vector<size_t> frame_ends;
  std::vector<size_t> message_ends;     // also the end of a control frame, between two messages
  std::optional<size_t> invalid_after;  // as soon as that many bytes were seen
  std::optional<size_t> close_begins;   // where a Close does
  std::optional<size_t> close_ends;
  uint16_t close_code = 0;
  uint32_t frames = 0;
  uint32_t pings = 0;
  uint32_t pongs = 0;
};

WebSocketReading ReadWebSocket(WebSocketSender sender, bool extensions, std::string_view bytes);

}  // namespace sluice::test
