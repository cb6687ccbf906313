#include "http/websocket_frames.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "base/escape.h"

namespace sluice {
namespace {

// RFC 6455 5.2.
constexpr uint8_t kFin = 0x80;
constexpr uint8_t kReserved = 0x70;
constexpr uint8_t kOpcode = 0x0f;
constexpr uint8_t kMasked = 0x80;
constexpr uint8_t kLengthBits = 0x7f;

constexpr uint8_t kContinuation = 0x0;
constexpr uint8_t kBinary = 0x2;  // the last of the data frames
constexpr uint8_t kClose = 0x8;
constexpr uint8_t kPing = 0x9;
constexpr uint8_t kPong = 0xa;

constexpr uint8_t kMaxShort = 125;  // the longest length that fits the header's second byte
constexpr uint8_t kTwoBytes = 126;  // in its place: two bytes of length follow; 127: eight
constexpr uint64_t kMaxTwoBytes = UINT16_MAX;
constexpr uint64_t kMaxLength = INT64_MAX;

constexpr uint64_t kMaskBytes = 4;
constexpr uint8_t kCodeBytes = 2;

bool IsControl(uint8_t opcode) { return opcode >= kClose; }

std::string_view WriteControl(uint8_t opcode, std::string_view head, std::string_view text,
                              std::optional<uint32_t> mask, char* out) {
  const size_t length = head.size() + text.size();
  char* at = out;
  *at++ = static_cast<char>(kFin | opcode);
  *at++ = static_cast<char>((mask ? kMasked : 0) | length);
  if (mask) {
    std::memcpy(at, &*mask, kMaskBytes);
    at += kMaskBytes;
  }
  char* const payload = at;
  at = std::copy(head.begin(), head.end(), at);
  at = std::copy(text.begin(), text.end(), at);
  if (mask) {
    const char* const key = payload - kMaskBytes;
    for (size_t i = 0; i < length; ++i) payload[i] ^= key[i % kMaskBytes];
  }
  return {out, static_cast<size_t>(at - out)};
}

}  // namespace

std::string_view WebSocketErrorName(WebSocketError error) {
  switch (error) {
    case WebSocketError::kNone:
      return "none";
    case WebSocketError::kReservedBits:
      return "reserved_bits";
    case WebSocketError::kReservedOpcode:
      return "reserved_opcode";
    case WebSocketError::kFragmentedControl:
      return "fragmented_control";
    case WebSocketError::kLongControl:
      return "long_control";
    case WebSocketError::kNoMessage:
      return "no_message";
    case WebSocketError::kOpenMessage:
      return "open_message";
    case WebSocketError::kMasking:
      return "masking";
    case WebSocketError::kLength:
      return "length";
    case WebSocketError::kClosePayload:
      return "close_payload";
    case WebSocketError::kAfterClose:
      return "after_close";
  }
  return "";
}

WebSocketFollower::WebSocketFollower(WebSocketSender sender, bool extensions) {
  state_.masked = sender == WebSocketSender::kClient;
  state_.extensions = extensions;
}

void WebSocketFollower::Feed(std::string_view bytes) {
  while (Read(bytes)) {
  }
}

size_t WebSocketFollower::FeedToBoundary(std::string_view bytes, WebSocketBoundary kind) {
  const size_t given = bytes.size();
  while (Read(bytes)) {
    if (kind == WebSocketBoundary::kFrame ? at_frame_boundary() : at_message_boundary()) break;
  }
  return given - bytes.size();
}

// Takes bytes off the front of `bytes`: one of a header, or all there are of a payload. False when
// there were none.
bool WebSocketFollower::Read(std::string_view& bytes) {
  if (bytes.empty()) return false;
  if (state_.step == Step::kPayload) {
    const size_t taken = std::min<uint64_t>(bytes.size(), state_.left);
    state_.left -= taken;
    bytes.remove_prefix(taken);
    if (state_.left == 0) EndFrame();
    return true;
  }
  const auto byte = static_cast<uint8_t>(bytes.front());
  bytes.remove_prefix(1);
  switch (state_.step) {
    case Step::kFirst:
      OnFirst(byte);
      break;
    case Step::kSecond:
      OnSecond(byte);
      break;
    case Step::kLength:
      OnLength(byte);
      break;
    case Step::kCode:
      OnCode(byte);
      break;
    case Step::kClosed:
      Fail(WebSocketError::kAfterClose);
      break;
    case Step::kPayload:
    case Step::kInvalid:
      break;
  }
  if (state_.step == Step::kInvalid) bytes = {};
  return true;
}

void WebSocketFollower::OnFirst(uint8_t byte) {
  const uint8_t opcode = byte & kOpcode;
  const bool last = (byte & kFin) != 0;
  if ((byte & kReserved) != 0 && !state_.extensions) return Fail(WebSocketError::kReservedBits);
  if (IsControl(opcode)) {
    if (opcode > kPong) return Fail(WebSocketError::kReservedOpcode);
    if (!last) return Fail(WebSocketError::kFragmentedControl);
    if (opcode == kPing) ++state_.pings;
    if (opcode == kPong) ++state_.pongs;
  } else {
    if (opcode > kBinary) return Fail(WebSocketError::kReservedOpcode);
    if (opcode == kContinuation && !state_.open_message) return Fail(WebSocketError::kNoMessage);
    if (opcode != kContinuation && state_.open_message) return Fail(WebSocketError::kOpenMessage);
    state_.open_message = !last;
  }
  ++state_.frames;
  state_.first_byte = byte;
  state_.step = Step::kSecond;
}

void WebSocketFollower::OnSecond(uint8_t byte) {
  const uint8_t length = byte & kLengthBits;
  const uint8_t opcode = state_.first_byte & kOpcode;
  if (((byte & kMasked) != 0) != state_.masked) return Fail(WebSocketError::kMasking);
  if (IsControl(opcode) && length > kMaxShort) return Fail(WebSocketError::kLongControl);
  if (opcode == kClose && length == 1) return Fail(WebSocketError::kClosePayload);
  state_.second_byte = byte;
  state_.position = 0;
  if (length <= kMaxShort) {
    state_.left = length;
    return BeginPayload();
  }
  state_.left = 0;
  state_.step = Step::kLength;
}

void WebSocketFollower::OnLength(uint8_t byte) {
  const bool two_bytes = (state_.second_byte & kLengthBits) == kTwoBytes;
  state_.left = state_.left << 8 | byte;
  if (++state_.position < (two_bytes ? sizeof(uint16_t) : sizeof(uint64_t))) return;
  // RFC 6455 5.2: the most significant bit is 0, and the length takes as few bytes as it can.
  if (state_.left <= (two_bytes ? kMaxShort : kMaxTwoBytes) || state_.left > kMaxLength) {
    return Fail(WebSocketError::kLength);
  }
  BeginPayload();
}

void WebSocketFollower::BeginPayload() {
  const bool has_code = (state_.first_byte & kOpcode) == kClose && state_.left > 0;
  if (state_.masked) state_.left += kMaskBytes;
  state_.step = has_code ? Step::kCode : Step::kPayload;
  if (state_.left == 0) EndFrame();
}

void WebSocketFollower::OnCode(uint8_t byte) {
  --state_.left;
  const uint8_t at = state_.position++;
  if (at < kCodeBytes) {  // of the mask, if there is one
    state_.close_code = static_cast<uint16_t>(state_.close_code << 8 | byte);
  } else if (at >= kMaskBytes) {  // the code, under those two bytes of the mask
    state_.close_code ^= static_cast<uint16_t>(at == kMaskBytes ? byte << 8 : byte);
  }
  if (state_.position < kCodeBytes + (state_.masked ? kMaskBytes : 0)) return;
  state_.step = Step::kPayload;
  if (state_.left == 0) EndFrame();
}

void WebSocketFollower::EndFrame() {
  state_.step = (state_.first_byte & kOpcode) == kClose ? Step::kClosed : Step::kFirst;
}

void WebSocketFollower::Fail(WebSocketError error) {
  state_.step = Step::kInvalid;
  state_.error = error;
}

std::string_view WriteWebSocketClose(uint16_t code, std::string_view reason,
                                     std::optional<uint32_t> mask, char* out) {
  const std::array<char, kCodeBytes> status = {static_cast<char>(code >> 8),
                                               static_cast<char>(code)};
  size_t length = 0;
  while (length < reason.size()) {
    const size_t character = Utf8SequenceLength(reason.substr(length));
    if (character == 0 || length + character > kMaxShort - kCodeBytes) break;
    length += character;
  }
  return WriteControl(kClose, {status.data(), status.size()}, reason.substr(0, length), mask, out);
}

std::string_view WriteWebSocketPing(std::string_view payload, std::optional<uint32_t> mask,
                                    char* out) {
  return WriteControl(kPing, {}, payload.substr(0, kMaxShort), mask, out);
}

}  // namespace sluice
