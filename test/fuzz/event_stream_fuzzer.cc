// Event streams on any bytes: where one may be ended does not depend on how its bytes are cut, and
// is what a reader says that sees them at once.

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "http/event_stream.h"
#include "support/event_stream.h"

namespace sluice {
namespace {

// The reader starts again at the beginning for every byte.
constexpr size_t kReadAgain = 128;

void Check(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "%s\n", what);
  std::abort();
}

bool Same(const EventStreamFollower& a, const EventStreamFollower& b) {
  return a.at_event_boundary() == b.at_event_boundary() && a.lf_may_follow() == b.lf_may_follow();
}

void CheckPieces(std::string_view text) {
  EventStreamFollower whole;
  whole.Feed(text);
  Check(whole.at_event_boundary() == test::IsBetweenEvents(text), "the end is something else");
  EventStreamFollower pieces;
  for (size_t at = 0, size = 1; at < text.size(); at += size, size = size % 7 + 1) {
    pieces.Feed(text.substr(at, size));
  }
  Check(Same(pieces, whole), "it depends on the pieces");
  EventStreamFollower events;
  for (size_t at = 0; at < text.size();) {
    const size_t taken = events.FeedToBoundary(text.substr(at));
    Check(taken > 0, "no progress");
    at += taken;
    Check(at <= text.size(), "more than there was");
    Check(at == text.size() || events.at_event_boundary(), "it stops for nothing");
  }
  Check(Same(events, whole), "it depends on the way");
}

void CheckBoundaries(std::string_view text) {
  const test::EventBoundaries boundaries(text);
  EventStreamFollower follower;
  for (size_t at = 0; at < text.size(); ++at) {
    EventStreamFollower to_boundary = follower;
    const size_t taken = to_boundary.FeedToBoundary(text.substr(at));
    Check(at + taken == boundaries.After(at), "a boundary is somewhere else");
    follower.Feed(text.substr(at, 1));
    Check(follower.at_event_boundary() == boundaries.At(at + 1), "one byte is read otherwise");
  }
}

}  // namespace
}  // namespace sluice

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  sluice::IsEventStreamContentType(text);
  sluice::CheckPieces(text);
  sluice::CheckBoundaries(text.substr(0, std::min(text.size(), sluice::kReadAgain)));
  return 0;
}
