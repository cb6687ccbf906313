// The state of a connection or of a tunnel that comes from another process, any bytes: it is
// refused, or it is what would be written again, and followers that go on from it read anything.
// The first byte of an input chooses what it is.

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "http/moved_state.h"
#include "http/websocket_frames.h"
#include "proxy/moved_tunnel.h"

namespace sluice {
namespace {

void Check(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "%s\n", what);
  std::abort();
}

void CheckState(std::string_view bytes) {
  const Result<MovedState> state = DecodeMovedState(bytes);
  if (!state) return;
  Check(!state->peer.empty() && state->sniffed < 4, "no state that contradicts itself");
  const std::string written = EncodeMovedState(*state);
  const Result<MovedState> again = DecodeMovedState(written);
  Check(again.has_value() && EncodeMovedState(*again) == written, "it is what is written again");
}

void CheckHead(std::string_view bytes) {
  const HttpLimits limits;
  RequestHead head;
  if (!DecodeRequestHead(bytes, limits, head)) return;
  const std::string written = EncodeRequestHead(head);
  Check(written == bytes, "it is what is written again");
}

void CheckTunnel(std::string_view bytes) {
  const Result<MovedTunnel> tunnel = DecodeMovedTunnel(bytes);
  if (!tunnel) return;
  const std::string written = EncodeMovedTunnel(*tunnel);
  const Result<MovedTunnel> again = DecodeMovedTunnel(written);
  Check(again.has_value() && EncodeMovedTunnel(*again) == written, "it is what is written again");
  for (const auto& state : {tunnel->websocket.from_client, tunnel->websocket.from_upstream}) {
    WebSocketFollower follower(state);
    Check(!follower.invalid() && !follower.close_seen(), "only open sessions move");
    size_t at = 0;
    while (at < bytes.size()) {
      const size_t read = follower.FeedToBoundary(bytes.substr(at), WebSocketBoundary::kFrame);
      Check(read > 0, "a follower that does not move");
      at += read;
    }
  }
}

}  // namespace
}  // namespace sluice

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 3) {
    case 0:
      sluice::CheckState(bytes);
      break;
    case 1:
      sluice::CheckHead(bytes);
      break;
    default:
      sluice::CheckTunnel(bytes);
  }
  return 0;
}
