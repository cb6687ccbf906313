// Frames of WebSocket on any bytes: what the follower tells does not depend on how they are cut, is
// what a parser says that sees them at once, and a Close that we write is one, whatever its reason.
// The first byte of an input chooses who sends and whether there are extensions.

#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>

#include "base/escape.h"
#include "http/websocket_frames.h"
#include "support/websocket_frames.h"

namespace sluice {
namespace {

using test::ReadWebSocket;
using test::WebSocketReading;

void Check(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "%s\n", what);
  std::abort();
}

bool Same(const WebSocketFollower& a, const WebSocketFollower& b) { return a.state() == b.state(); }

void CheckFrames(WebSocketSender sender, bool extensions, std::string_view bytes) {
  const WebSocketReading reading = ReadWebSocket(sender, extensions, bytes);
  const WebSocketFollower fresh(sender, extensions);
  WebSocketFollower whole = fresh;
  whole.Feed(bytes);
  Check(whole.invalid() == reading.invalid_after.has_value(), "valid is what the RFC says");
  Check(whole.frames() == reading.frames, "as many frames");
  Check(whole.pings() == reading.pings, "as many pings");
  Check(whole.pongs() == reading.pongs, "as many pongs");
  Check(whole.close_begun() == reading.close_begins.has_value(), "a Close has begun");
  Check(whole.close_seen() == reading.close_ends.has_value(), "a Close is there");
  Check(whole.close_code() == reading.close_code, "with this code");

  WebSocketFollower pieces = fresh;
  for (size_t at = 0, size = 1; at < bytes.size(); at += size, size = size % 7 + 1) {
    pieces.Feed(bytes.substr(at, size));
  }
  Check(Same(pieces, whole), "it depends on the pieces");

  for (const auto kind : {WebSocketBoundary::kFrame, WebSocketBoundary::kMessage}) {
    const auto& ends =
        kind == WebSocketBoundary::kFrame ? reading.frame_ends : reading.message_ends;
    WebSocketFollower follower = fresh;
    size_t at = 0;
    for (const size_t end : ends) {
      at += follower.FeedToBoundary(bytes.substr(at), kind);
      Check(at == end, "a boundary is somewhere else");
      Check(follower.at_frame_boundary(), "it does not know that it is between frames");
      Check(kind == WebSocketBoundary::kFrame || follower.at_message_boundary(),
            "it does not know that it is between messages");
    }
    at += follower.FeedToBoundary(bytes.substr(at), kind);
    Check(at == bytes.size(), "one boundary too many");
    Check(Same(follower, whole), "it depends on the way");
  }
}

void CheckControl(WebSocketSender sender, std::string_view text) {
  std::optional<uint32_t> mask;
  if (sender == WebSocketSender::kClient) mask = 0x12f35a78;
  std::array<char, kWebSocketControlBytes> out;
  WebSocketFollower follower(sender, false);
  follower.Feed(WriteWebSocketPing(text, mask, out.data()));
  Check(follower.at_message_boundary() && follower.pings() == 1, "this is no ping");

  const std::string_view close = WriteWebSocketClose(1001, text, mask, out.data());
  follower.Feed(close);
  Check(follower.close_seen() && follower.close_code() == 1001, "this is no close");
  const std::string payload = test::PayloadOf(close);
  std::string_view reason = std::string_view(payload).substr(2);
  Check(text.substr(0, reason.size()) == reason, "another reason");
  while (!reason.empty()) {
    const size_t character = Utf8SequenceLength(reason);
    Check(character > 0, "a reason that is not UTF-8");
    reason.remove_prefix(character);
  }
}

}  // namespace
}  // namespace sluice

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const auto sender =
      (data[0] & 1) != 0 ? sluice::WebSocketSender::kClient : sluice::WebSocketSender::kServer;
  const std::string_view bytes(reinterpret_cast<const char*>(data + 1), size - 1);
  sluice::CheckFrames(sender, (data[0] & 2) != 0, bytes);
  sluice::CheckControl(sender, bytes);
  return 0;
}
