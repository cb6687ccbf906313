// HTTP/2 on the wire for the actors of a simulation (RFC 9113 4 to 7): frames as plain structs, and
// header blocks. It shares nothing with the product but nghttp2's HPACK, so that the two judge each
// other.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sluice {

namespace h2 {

// Frame types.
inline constexpr uint8_t kData = 0;
inline constexpr uint8_t kHeaders = 1;
inline constexpr uint8_t kPriority = 2;
inline constexpr uint8_t kRstStream = 3;
inline constexpr uint8_t kSettings = 4;
inline constexpr uint8_t kPushPromise = 5;
inline constexpr uint8_t kPing = 6;
inline constexpr uint8_t kGoaway = 7;
inline constexpr uint8_t kWindowUpdate = 8;
inline constexpr uint8_t kContinuation = 9;

// Flags.
inline constexpr uint8_t kAck = 0x1;  // of SETTINGS and PING
inline constexpr uint8_t kEndStream = 0x1;
inline constexpr uint8_t kEndHeaders = 0x4;
inline constexpr uint8_t kPadded = 0x8;
inline constexpr uint8_t kHasPriority = 0x20;

// Settings.
inline constexpr uint16_t kHeaderTableSize = 1;
inline constexpr uint16_t kEnablePush = 2;
inline constexpr uint16_t kMaxConcurrentStreams = 3;
inline constexpr uint16_t kInitialWindowSize = 4;
inline constexpr uint16_t kMaxFrameSize = 5;
inline constexpr uint16_t kEnableConnectProtocol = 8;  // RFC 8441

// Errors.
inline constexpr uint32_t kNoError = 0;
inline constexpr uint32_t kProtocolError = 1;
inline constexpr uint32_t kInternalError = 2;
inline constexpr uint32_t kFlowControlError = 3;
inline constexpr uint32_t kStreamClosed = 5;
inline constexpr uint32_t kRefusedStream = 7;
inline constexpr uint32_t kCancel = 8;
inline constexpr uint32_t kEnhanceYourCalm = 11;

inline constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
inline constexpr uint32_t kMaxStreamId = 0x7fffffff;
inline constexpr uint32_t kDefaultWindow = 65535;
inline constexpr uint32_t kDefaultFrameSize = 16384;

}  // namespace h2

struct SimFrame {
  uint8_t type = 0;
  uint8_t flags = 0;
  uint32_t stream = 0;
  std::string payload;

  bool Has(uint8_t flag) const { return (flags & flag) != 0; }
  // Four bytes of the payload; 0 where there are none.
  uint32_t Word(size_t at) const;
  // The payload without padding and priority; nothing when the padding is longer than the payload.
  std::optional<std::string_view> Content() const;
};

// "HEADERS stream 1 flags 5, 42 bytes", for complaints.
std::string Describe(const SimFrame& frame);

// The 9 bytes before the payload, and both together.
std::string EncodeFrame(const SimFrame& frame);
std::string EncodeWord(uint32_t word);
SimFrame SettingsFrame(const std::vector<std::pair<uint16_t, uint32_t>>& settings);
SimFrame WindowUpdateFrame(uint32_t stream, uint32_t increment);
SimFrame RstStreamFrame(uint32_t stream, uint32_t error);
SimFrame GoawayFrame(uint32_t last_stream, uint32_t error);
SimFrame PingFrame(std::string_view eight_bytes, bool ack = false);

class SimFrameReader {
 public:
  void Feed(std::string_view bytes) { buffer_.append(bytes); }
  // The next whole frame, however long it says it is.
  std::optional<SimFrame> Next();
  // Bytes of a frame that is not whole.
  size_t left() const { return buffer_.size() - taken_; }

 private:
  std::string buffer_;
  size_t taken_ = 0;
};

using SimFields = std::vector<std::pair<std::string, std::string>>;  // pseudo-header fields first

class SimHpackEncoder {
 public:
  SimHpackEncoder();
  ~SimHpackEncoder();
  std::string Encode(const SimFields& fields);
  // What the peer's SETTINGS_HEADER_TABLE_SIZE allows.
  void SetTableSize(size_t bytes);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

class SimHpackDecoder {
 public:
  SimHpackDecoder();
  ~SimHpackDecoder();
  // False when `block` is not a valid header block.
  bool Decode(std::string_view block, SimFields* fields);
  // What our SETTINGS_HEADER_TABLE_SIZE, now acknowledged, allows.
  void SetTableSize(size_t bytes);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// The body of every gRPC request and response: messages of that many bytes, their prefix included,
// otherwise as SimBody.
inline constexpr size_t kSimGrpcMessage = 25;
std::string SimGrpcBody(uint64_t offset, size_t count);

// What RFC 9113 8.2 and 8.3 forbid in a head or trailers, in words; "" when nothing is wrong.
std::string FaultOfRequest(const SimFields& fields);
std::string FaultOfResponse(const SimFields& fields);
std::string FaultOfTrailers(const SimFields& fields);

}  // namespace sluice
