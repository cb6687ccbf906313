// What one side of a WebSocket has said, read as it comes by a strict reader (RFC 6455 5) that
// shares nothing with WebSocketFollower, so that the two judge each other.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "support/websocket_frames.h"

namespace sluice::test {

// A whole Close; without a payload when `code` is 0.
std::string CloseFrame(WebSocketSender sender, uint16_t code, std::string_view reason = {});

class WebSocketReader {
 public:
  struct ReadFrame {
    Opcode opcode = Opcode::kContinuation;
    uint8_t flags = 0;    // FIN and RSV1 to RSV3
    std::string payload;  // unmasked
  };
  struct Close {
    uint16_t code;  // without a default, which clang does not see from within this class
    std::string reason;
  };

  // Reads what `sender` sends. `extensions`: reserved bits are allowed.
  explicit WebSocketReader(WebSocketSender sender, bool extensions = false)
      : sender_(sender), extensions_(extensions) {}

  void Feed(std::string_view bytes);

  const std::vector<ReadFrame>& frames() const { return frames_; }
  // The messages that are whole, and nothing of control frames.
  const std::vector<std::string>& messages() const { return messages_; }
  const std::optional<Close>& close() const { return close_; }
  bool in_frame() const { return !buffer_.empty(); }
  // "" while all that came was valid.
  const std::string& error() const { return error_; }

 private:
  bool Step();
  void OnFrame(const ReadFrame& frame);
  bool Fail(const std::string& why);

  const WebSocketSender sender_;
  const bool extensions_;
  std::string buffer_;
  std::vector<ReadFrame> frames_;
  std::vector<std::string> messages_;
  std::string message_;
  bool in_message_ = false;
  std::optional<Close> close_;
  std::string error_;
};

}  // namespace sluice::test
