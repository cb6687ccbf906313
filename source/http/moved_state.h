// MovedConnection::state: what a connection is, in bytes, for the process that goes on with it.
// Pure functions; what is decoded may be anything.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/time.h"
#include "sluice/codec.h"
#include "sluice/result.h"

namespace sluice {

// Another version is refused: a connection that is not understood drains where it is.
inline constexpr uint32_t kMovedStateVersion = 1;

// Of each text of a state; and a frame that carries one has room for two of them.
inline constexpr size_t kMaxMovedText = 448 * 1024;

struct MovedState {
  std::string peer;          // as the process saw it that accepted the connection
  Duration age{};            // since then
  Duration limit_left{};     // of the present wait for the client; 0: there is no limit
  bool sniffing = false;     // the first bytes have yet to tell the protocol
  uint8_t sniffed = 0;       // bytes of HTTP/2's preface that came
  FrozenCodec codec;
  std::string unsent;  // to the client
};

std::string EncodeMovedState(const MovedState& state);
Result<MovedState> DecodeMovedState(std::string_view bytes);

}  // namespace sluice
