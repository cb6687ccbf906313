// MovedConnection::state: what a connection is, in bytes, for the process that goes on with it.
// Pure functions; what is decoded may be anything.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/time.h"
#include "http/http_options.h"
#include "sluice/codec.h"
#include "sluice/message.h"
#include "sluice/result.h"

namespace sluice {

// Another version is refused: a connection that is not understood drains where it is.
inline constexpr uint32_t kMovedStateVersion = 1;

// Of a whole state; what carries them has room for some more. Longer ones are not made.
inline constexpr size_t kMaxMovedState = 960 * 1024;

struct MovedState {
  std::string peer;       // as the process saw it that accepted the connection
  Duration age{};         // since then
  Duration limit_left{};  // of the present wait for the client; 0: there is no limit
  bool sniffing = false;  // the first bytes have yet to tell the protocol
  uint8_t sniffed = 0;    // bytes of HTTP/2's preface that came
  FrozenCodec codec;
  std::string unsent;  // to the client
};

// A request as far as whoever has it in hand may still look at it: without its body's framing.
std::string EncodeRequestHead(const RequestHead& head);
// Into an empty `head`; its views live in its arena.
Result<void> DecodeRequestHead(std::string_view bytes, const HttpLimits& limits, RequestHead& head);

// But for the tunnel's descriptor.
std::string EncodeMovedState(const MovedState& state);
Result<MovedState> DecodeMovedState(std::string_view bytes);

}  // namespace sluice
