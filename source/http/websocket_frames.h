// Frames of WebSocket (RFC 6455 5), as much as a tunnel has to know of them: where one ends, so
// that another can be put between two, and what a Close says. Payload is passed over by arithmetic:
// it is neither read, nor unmasked, nor kept.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <type_traits>

namespace sluice {

// Who sends the bytes that are followed: a client masks its frames, a server does not (5.1).
enum class WebSocketSender : uint8_t { kClient, kServer };

// What FeedToBoundary looks for. Fragments of a message are frames, too, and control frames may
// come between them (5.4).
enum class WebSocketBoundary : uint8_t { kFrame, kMessage };

// Why bytes are not WebSocket.
enum class WebSocketError : uint8_t {
  kNone,
  kReservedBits,       // RSV1 to RSV3, and no extension was negotiated (5.2)
  kReservedOpcode,     // 3 to 7, 11 to 15
  kFragmentedControl,  // 5.5
  kLongControl,        // more than 125 bytes of payload (5.5)
  kNoMessage,          // a continuation, and nothing to continue (5.4)
  kOpenMessage,        // a message begins in the middle of another (5.4)
  kMasking,            // masked by a server, or not masked by a client (5.1)
  kLength,             // not in the fewest bytes, or above 2^63 - 1 (5.2)
  kClosePayload,       // one byte is no status code (5.5.1)
  kAfterClose,         // something follows the Close (5.5.1)
};

std::string_view WebSocketErrorName(WebSocketError error);  // "reserved_bits", "masking", ...

// Follows one direction of a WebSocket, from the first byte after the handshake, however its bytes
// are cut. It may be copied and assigned at any time.
//
//   first --> second --+--> length --+--> payload --> first ...
//                      |             |       |
//                      +-------------+       +-----> closed
//                      +--> code ------------+
//   Any of them may turn into invalid, which is the end.
class WebSocketFollower {
 public:
  enum class Step : uint8_t {
    kFirst,    // between two frames
    kSecond,   // one byte of a header was read
    kLength,   // in the extended length
    kCode,     // in the mask or the status of a Close
    kPayload,  // in the payload, of which the mask is taken to be a part
    kClosed,   // a Close is complete
    kInvalid,
  };

  // All that it knows, in numbers, so that another process can go on with it.
  struct State {
    // The extended length as far as it was read; then the bytes of mask and payload to come.
    uint64_t left = 0;
    uint32_t frames = 0;  // counts wrap around
    uint32_t pings = 0;
    uint32_t pongs = 0;
    uint16_t close_code = 0;
    Step step = Step::kFirst;
    WebSocketError error = WebSocketError::kNone;
    uint8_t first_byte = 0;  // of the header that was read last
    uint8_t second_byte = 0;
    uint8_t position = 0;       // in the extended length, or in mask and payload of a Close
    bool masked = false;        // as a client's frames are
    bool extensions = false;    // were negotiated
    bool open_message = false;  // more of its fragments come after this frame

    bool operator==(const State&) const = default;
  };

  // `extensions`: the response to the handshake named some (9.1). They give a meaning to the
  // reserved bits of any frame, which are an error otherwise.
  WebSocketFollower(WebSocketSender sender, bool extensions);
  // Goes on from what state() gave, perhaps in another process.
  explicit WebSocketFollower(const State& state) : state_(state) {}

  // Reads all of `bytes`. Nothing is looked at any more once invalid().
  void Feed(std::string_view bytes);

  // Reads up to and including the first boundary of that kind that comes after at least one byte,
  // and returns how many bytes that were: all of them when there is no boundary in `bytes`, or when
  // they are invalid. Where it ends is told by at_frame_boundary() and at_message_boundary().
  size_t FeedToBoundary(std::string_view bytes, WebSocketBoundary kind);

  // Between two frames: one that is put here is understood, as long as it is a control frame. True
  // at the very beginning, and after a Close, where nothing may be put; false once invalid().
  bool at_frame_boundary() const {
    return state_.step == Step::kFirst || state_.step == Step::kClosed;
  }
  // The same, and all fragments of the last message have come. Also after a Close, which gives up
  // what was open.
  bool at_message_boundary() const {
    return state_.step == Step::kClosed || (state_.step == Step::kFirst && !state_.open_message);
  }

  // The first byte of a Close has come. Stays true.
  bool close_begun() const { return (state_.first_byte & 0x0f) == 0x08; }
  // A Close has come, complete: its sender sends no more. Stays true, even if it does.
  bool close_seen() const {
    return state_.step == Step::kClosed || state_.error == WebSocketError::kAfterClose;
  }
  // The status of a Close that was seen, as it was sent; 0 when it had none.
  uint16_t close_code() const { return close_seen() ? state_.close_code : 0; }

  // These are not the bytes of a WebSocket, so nothing may be put between them.
  bool invalid() const { return state_.step == Step::kInvalid; }
  WebSocketError error() const { return state_.error; }

  // How many have begun, fragments and control frames alike; how many of them are Ping and Pong.
  uint32_t frames() const { return state_.frames; }
  uint32_t pings() const { return state_.pings; }
  uint32_t pongs() const { return state_.pongs; }

  const State& state() const { return state_; }

 private:
  bool Read(std::string_view& bytes);
  void OnFirst(uint8_t byte);
  void OnSecond(uint8_t byte);
  void OnLength(uint8_t byte);
  void OnCode(uint8_t byte);
  void BeginPayload();
  void EndFrame();
  void Fail(WebSocketError error);

  State state_;
};

static_assert(std::is_trivially_copyable_v<WebSocketFollower> && sizeof(WebSocketFollower) == 32);

// The status codes that a proxy has reason to send (7.4.1).
inline constexpr uint16_t kWebSocketNormal = 1000;
inline constexpr uint16_t kWebSocketGoingAway = 1001;

// A control frame at its longest: header, mask, and 125 bytes.
inline constexpr size_t kWebSocketControlBytes = 2 + 4 + 125;

// Writes a Close into `out`, which has room for kWebSocketControlBytes, and returns it. Of
// `reason`, what fits is sent: up to 123 bytes, cut between two characters, and before the first
// one that is not UTF-8 (5.5.1). `mask` is for a frame to a server, where it must be given, and
// must not be predictable (5.3); to a client there must be none.
std::string_view WriteWebSocketClose(uint16_t code, std::string_view reason,
                                     std::optional<uint32_t> mask, char* out);

// The same with a Ping, of whose payload up to 125 bytes are sent.
std::string_view WriteWebSocketPing(std::string_view payload, std::optional<uint32_t> mask,
                                    char* out);

}  // namespace sluice
