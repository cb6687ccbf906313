#include "support/websocket_frames.h"

namespace sluice::test {
namespace {

constexpr std::string_view kMask = "\x37\xfa\x21\x3d";

std::string BigEndian(uint64_t value, size_t bytes) {
  std::string text;
  while (bytes-- > 0) text += static_cast<char>(value >> (8 * bytes));
  return text;
}

std::string Xor(std::string_view text, std::string_view mask) {
  std::string result(text);
  for (size_t i = 0; i < text.size(); ++i) result[i] ^= mask[i % mask.size()];
  return result;
}

uint64_t Number(std::string_view bytes) {
  uint64_t value = 0;
  for (const char c : bytes) value = value * 256 + static_cast<uint8_t>(c);
  return value;
}

}  // namespace

std::string FrameHeader(WebSocketSender sender, uint8_t first, uint64_t length) {
  const bool masked = sender == WebSocketSender::kClient;
  const uint8_t bit = masked ? 0x80 : 0;
  std::string header(1, static_cast<char>(first));
  if (length < 126) {
    header += static_cast<char>(bit | length);
  } else if (length < 65536) {
    header += static_cast<char>(bit | 126) + BigEndian(length, 2);
  } else {
    header += static_cast<char>(bit | 127) + BigEndian(length, 8);
  }
  if (masked) header += kMask;
  return header;
}

std::string Frame(WebSocketSender sender, Opcode opcode, std::string_view payload, uint8_t flags) {
  const auto first = static_cast<uint8_t>(flags | static_cast<uint8_t>(opcode));
  return FrameHeader(sender, first, payload.size()) +
         (sender == WebSocketSender::kClient ? Xor(payload, kMask) : std::string(payload));
}

std::string CloseText(uint16_t code, std::string_view reason) {
  return BigEndian(code, 2) + std::string(reason);
}

std::string PayloadOf(std::string_view bytes) {
  const bool masked = (bytes[1] & 0x80) != 0;
  return masked ? Xor(bytes.substr(6), bytes.substr(2, 4)) : std::string(bytes.substr(2));
}

WebSocketReading ReadWebSocket(WebSocketSender sender, bool extensions, std::string_view bytes) {
  WebSocketReading reading;
  const auto at = [bytes](size_t index) { return static_cast<uint8_t>(bytes[index]); };
  bool in_message = false;
  size_t begin = 0;
  while (begin < bytes.size()) {
    // The first byte.
    const uint8_t opcode = at(begin) % 16;
    const bool fin = at(begin) >= 0x80;
    const bool control = opcode >= 8;
    const bool known = opcode <= 2 || (opcode >= 8 && opcode <= 10);
    const bool in_order = control ? fin : in_message == (opcode == 0);
    if (reading.close_ends || !known || !in_order || (!extensions && (at(begin) & 0x70) != 0)) {
      reading.invalid_after = begin + 1;
      return reading;
    }
    ++reading.frames;
    if (opcode == 8) reading.close_begins = begin;
    if (opcode == 9) ++reading.pings;
    if (opcode == 10) ++reading.pongs;
    if (!control) in_message = !fin;

    // The second.
    if (bytes.size() < begin + 2) return reading;
    const bool masked = at(begin + 1) >= 0x80;
    const uint8_t short_length = at(begin + 1) % 128;
    if (masked != (sender == WebSocketSender::kClient) || (control && short_length > 125) ||
        (opcode == 8 && short_length == 1)) {
      reading.invalid_after = begin + 2;
      return reading;
    }

    // The length.
    const size_t length_bytes = short_length == 126 ? 2 : short_length == 127 ? 8 : 0;
    if (bytes.size() < begin + 2 + length_bytes) return reading;
    const uint64_t length =
        length_bytes == 0 ? short_length : Number(bytes.substr(begin + 2, length_bytes));
    if ((length_bytes == 2 && length < 126) ||
        (length_bytes == 8 && (length < 65536 || length >> 63 != 0))) {
      reading.invalid_after = begin + 2 + length_bytes;
      return reading;
    }

    // The mask and the payload.
    const size_t mask = begin + 2 + length_bytes;
    const size_t payload = mask + (masked ? 4 : 0);
    if (payload > bytes.size() || length > bytes.size() - payload) return reading;
    begin = payload + static_cast<size_t>(length);
    reading.frame_ends.push_back(begin);
    if (!in_message || opcode == 8) reading.message_ends.push_back(begin);
    if (opcode == 8) {
      reading.close_ends = begin;
      std::string code(bytes.substr(payload, length == 0 ? 0 : 2));
      if (masked) code = Xor(code, bytes.substr(mask, 4));
      reading.close_code = static_cast<uint16_t>(Number(code));
    }
  }
  return reading;
}

}  // namespace sluice::test
