#include "http/moved_state.h"

#include <algorithm>
#include <chrono>

#include "base/wire.h"

namespace sluice {
namespace {

// Longer than any wait or life that means something, and far from where sums overflow.
constexpr Duration kLongest = std::chrono::hours(24 * 365 * 10);

uint64_t Nanoseconds(Duration duration) {
  return static_cast<uint64_t>(std::clamp(duration, Duration::zero(), kLongest).count());
}

Duration ReadDuration(WireReader& reader) {
  return Duration(static_cast<Duration::rep>(
      std::min(reader.Number<uint64_t>(), static_cast<uint64_t>(kLongest.count()))));
}

}  // namespace

std::string EncodeMovedState(const MovedState& state) {
  WireWriter writer;
  writer.Number(kMovedStateVersion);
  writer.Text(state.peer);
  writer.Number(Nanoseconds(state.age));
  writer.Number(Nanoseconds(state.limit_left));
  writer.Number(static_cast<uint8_t>(state.sniffing));
  writer.Number(state.sniffed);
  writer.Number(state.codec.requests);
  writer.Text(state.codec.input);
  writer.Text(state.unsent);
  return writer.Take();
}

Result<MovedState> DecodeMovedState(std::string_view bytes) {
  WireReader reader(bytes);
  const uint32_t version = reader.Number<uint32_t>();
  if (reader.ok() && version != kMovedStateVersion) {
    return Fail("the state of a connection has version " + std::to_string(version) +
                ", which is not known here");
  }
  MovedState state;
  state.peer = reader.Text();
  state.age = ReadDuration(reader);
  state.limit_left = ReadDuration(reader);
  const uint8_t sniffing = reader.Number<uint8_t>();
  state.sniffing = sniffing == 1;
  state.sniffed = reader.Number<uint8_t>();
  state.codec.requests = reader.Number<uint64_t>();
  state.codec.input = reader.Text();
  state.unsent = reader.Text();
  const bool bounded = state.peer.size() <= kMaxMovedText &&
                       state.codec.input.size() <= kMaxMovedText &&
                       state.unsent.size() <= kMaxMovedText;
  const bool sniffs = sniffing <= 1 && state.sniffed < 4 && (state.sniffed == 0 || sniffing == 1);
  if (!reader.finished() || !bounded || !sniffs || state.peer.empty()) {
    return Fail("the state of a connection is not to be understood");
  }
  return state;
}

}  // namespace sluice
