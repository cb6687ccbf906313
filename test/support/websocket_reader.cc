#include "support/websocket_reader.h"

namespace sluice::test {
namespace {

uint64_t BigEndian(std::string_view bytes) {
  uint64_t value = 0;
  for (const char byte : bytes) value = value << 8 | static_cast<uint8_t>(byte);
  return value;
}

}  // namespace

std::string CloseFrame(WebSocketSender sender, uint16_t code, std::string_view reason) {
  return Frame(sender, Opcode::kClose, code == 0 ? std::string() : CloseText(code, reason));
}

void WebSocketReader::Feed(std::string_view bytes) {
  if (bytes.empty() || !error_.empty()) return;
  if (close_) {
    Fail("bytes after a Close");
    return;
  }
  buffer_ += bytes;
  while (Step()) {
  }
}

// Takes one frame off the buffer, if it is whole.
bool WebSocketReader::Step() {
  if (buffer_.size() < 2 || !error_.empty()) return false;
  const auto first = static_cast<uint8_t>(buffer_[0]);
  const auto second = static_cast<uint8_t>(buffer_[1]);
  const bool masked = (second & 0x80) != 0;
  if (masked != (sender_ == WebSocketSender::kClient)) return Fail("masking");
  const size_t length_bytes = (second & 0x7f) == 126 ? 2 : (second & 0x7f) == 127 ? 8 : 0;
  const size_t head = 2 + length_bytes + (masked ? 4 : 0);
  if (buffer_.size() < head) return false;
  const std::string_view all = buffer_;
  const uint64_t length =
      length_bytes == 0 ? second & 0x7f : BigEndian(all.substr(2, length_bytes));
  if (length > (1u << 24)) return Fail("a length that no test sends");
  if (all.size() - head < length) return false;

  ReadFrame frame;
  frame.opcode = static_cast<Opcode>(first & 0x0f);
  frame.flags = first & 0xf0;
  frame.payload = all.substr(head, length);
  for (size_t i = 0; masked && i < length; ++i) frame.payload[i] ^= all[head - 4 + i % 4];
  buffer_.erase(0, head + length);
  OnFrame(frame);
  if (close_ && !buffer_.empty()) return Fail("bytes after a Close");
  return true;
}

void WebSocketReader::OnFrame(const ReadFrame& frame) {
  frames_.push_back(frame);
  const bool last = (frame.flags & kFinBit) != 0;
  if ((frame.flags & 0x70) != 0 && !extensions_) Fail("reserved bits");
  if (frame.opcode >= Opcode::kClose) {
    if (!last || frame.payload.size() > 125) Fail("control frame");
    if (frame.opcode != Opcode::kClose) return;
    close_.emplace();
    if (frame.payload.size() == 1) Fail("close code");
    if (frame.payload.size() < 2) return;
    close_->code = static_cast<uint16_t>(BigEndian(std::string_view(frame.payload).substr(0, 2)));
    close_->reason = frame.payload.substr(2);
    return;
  }
  if ((frame.opcode == Opcode::kContinuation) != in_message_) Fail("continuation");
  message_ += frame.payload;
  in_message_ = !last;
  if (in_message_) return;
  messages_.push_back(message_);
  message_.clear();
}

bool WebSocketReader::Fail(const std::string& why) {
  if (error_.empty()) error_ = why;
  return false;
}

}  // namespace sluice::test
