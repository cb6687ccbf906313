// WebSocket frames (RFC 6455, section 5.2), just well enough for clients and origins of the
// benches.
//
// Deliberately not built on Sluice's own parser: a mistake there must not hide itself here.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace bench {

enum class Opcode : uint8_t {
  kContinuation = 0,
  kText = 1,
  kBinary = 2,
  kClose = 8,
  kPing = 9,
  kPong = 10,
};

// Close codes (section 7.4.1).
constexpr uint16_t kNormalClosure = 1000;
constexpr uint16_t kGoingAway = 1001;

inline bool IsControl(Opcode opcode) { return opcode >= Opcode::kClose; }

// Which end writes: a client masks what it sends (section 5.3).
enum class Role : uint8_t { kClient, kServer };

namespace websocket {

// Any key will do: masking is there against caches that see what is no HTTP, and there are none.
constexpr char kMask[4] = {0x37, 0x7a, 0x21, 0x3d};

inline void Mask(char* bytes, size_t size, const char* key) {
  for (size_t i = 0; i < size; ++i) bytes[i] ^= key[i % 4];
}

}  // namespace websocket

// Appends a frame with up to 65,535 bytes. `last`: it ends its message.
inline void AppendFrame(std::string& out, Role role, Opcode opcode, std::string_view payload,
                        bool last = true) {
  const char masked = role == Role::kClient ? '\x80' : '\0';
  out += static_cast<char>((last ? 0x80 : 0) | static_cast<int>(opcode));
  if (payload.size() < 126) {
    out += static_cast<char>(masked | static_cast<char>(payload.size()));
  } else {
    out += static_cast<char>(masked | 126);
    out += static_cast<char>(payload.size() >> 8);
    out += static_cast<char>(payload.size());
  }
  if (role == Role::kClient) out.append(websocket::kMask, 4);
  const size_t start = out.size();
  out += payload;
  if (role == Role::kClient) websocket::Mask(out.data() + start, payload.size(), websocket::kMask);
}

inline void AppendClose(std::string& out, Role role, uint16_t code) {
  const char bytes[] = {static_cast<char>(code >> 8), static_cast<char>(code)};
  AppendFrame(out, role, Opcode::kClose, {bytes, 2});
}

struct WebSocketFrame {
  Opcode opcode = Opcode::kContinuation;
  bool last = false;  // of its message
  std::string payload;

  // Of a Close; 0 if it has none.
  uint16_t close_code() const {
    if (payload.size() < 2) return 0;
    return static_cast<uint16_t>(static_cast<uint8_t>(payload[0]) << 8 |
                                 static_cast<uint8_t>(payload[1]));
  }
};

// Cuts a stream of bytes into frames.
class WebSocketReader {
 public:
  void Feed(std::string_view bytes) { buffer_ += bytes; }

  // Takes the next frame, if all of it has arrived.
  bool Next(WebSocketFrame& frame) {
    if (buffer_.size() < 2 || broken_) return false;
    const auto byte = [this](size_t i) { return static_cast<uint8_t>(buffer_[i]); };
    const bool masked = (byte(1) & 0x80) != 0;
    uint64_t size = byte(1) & 0x7f;
    size_t head = 2;
    if (size >= 126) {
      const size_t more = size == 126 ? 2 : 8;
      if (buffer_.size() < head + more) return false;
      for (size = 0; head < 2 + more; ++head) size = size << 8 | byte(head);
    }
    const size_t key = head;
    if (masked) head += 4;
    frame.opcode = static_cast<Opcode>(byte(0) & 0x0f);
    frame.last = (byte(0) & 0x80) != 0;
    broken_ = !Allowed(frame, (byte(0) & 0x70) != 0, size);
    if (broken_ || buffer_.size() < head + size) return false;
    frame.payload.assign(buffer_, head, size);
    if (masked) websocket::Mask(frame.payload.data(), size, buffer_.data() + key);
    buffer_.erase(0, head + size);
    return true;
  }

  bool in_frame() const { return !buffer_.empty(); }
  bool broken() const { return broken_; }

 private:
  // No extension is ever agreed on, and the messages of the benches are short.
  static bool Allowed(const WebSocketFrame& frame, bool reserved, uint64_t size) {
    const bool known = frame.opcode <= Opcode::kBinary ||
                       (IsControl(frame.opcode) && frame.opcode <= Opcode::kPong);
    const bool whole = !IsControl(frame.opcode) || (frame.last && size < 126);
    return known && whole && !reserved && size <= 0xffff;
  }

  std::string buffer_;
  bool broken_ = false;
};

}  // namespace bench
