// Server-sent events (WHATWG HTML, 9.2 "Server-sent events"), as much as a proxy has to know of
// them: where an event ends, so that a stream of them can be ended there.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace sluice {

// True for "text/event-stream", in any case and with any parameters.
bool IsEventStreamContentType(std::string_view content_type);

// Follows an event stream from its first byte, however its bytes are cut. Lines end in CR, LF or
// CRLF (9.2.5), so a CR ends a line at once, and an LF that comes next belongs to it.
//
// The text must not be compressed. It may be copied and assigned at any time.
class EventStreamFollower {
 public:
  // Reads all of `bytes`.
  void Feed(std::string_view bytes);

  // Reads up to and including the first event boundary that comes after at least one byte, with the
  // LF after its CR when that is there, and returns how many bytes that were: all of them when
  // there is no boundary in `bytes`. Where it ends is told by at_event_boundary().
  size_t FeedToBoundary(std::string_view bytes);

  // A client that reads no further has lost nothing: no line of an event has come whose blank line
  // has not. So it is true at the beginning, with or without a byte order mark; after a blank line;
  // and after comments that follow one (": keep-alive"), which belong to no event. Whole fields may
  // be put here.
  bool at_event_boundary() const { return step_ <= Step::kBoundaryCr; }

  // The line that ended here did so with CR: an LF that follows says nothing. When something was
  // put here, it must not be passed on.
  bool lf_may_follow() const { return step_ == Step::kBoundaryCr || step_ == Step::kLineStartCr; }

 private:
  enum class Step : uint8_t {
    kBeginning,   // a byte order mark may come
    kBoundary,    // at the start of a line, and no event has begun
    kBoundaryCr,  // the same, after CR
    kMark1,       // in the byte order mark: one byte of it, two
    kMark2,
    kComment,    // in a comment between two events
    kLine,       // in a line of an event
    kLineStart,  // at the start of a line in an event
    kLineStartCr,
  };

  void OnLineEnd(char end);
  void OnText(char next);

  Step step_ = Step::kBeginning;
};

// The longest that WriteEventStreamRetry writes.
inline constexpr size_t kEventStreamRetryBytes = 32;

// Writes "retry: N" and a blank line into `out`, which has room for kEventStreamRetryBytes, and
// returns it: how long a client waits before it connects again (9.2.6). Less than nothing is 0.
std::string_view WriteEventStreamRetry(std::chrono::milliseconds wait, char* out);

}  // namespace sluice
