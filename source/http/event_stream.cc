#include "http/event_stream.h"

#include <algorithm>
#include <charconv>
#include <cstring>

#include "sluice/message.h"

namespace sluice {
namespace {

constexpr std::string_view kType = "text/event-stream";
constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
constexpr std::string_view kRetry = "retry: ";

// How far to look for an LF before looking for a CR: far enough for memchr to be worth it, and a
// stream whose lines end in CR alone is not searched to its end for each of them.
constexpr size_t kWindow = 256;

// Where the next CR or LF is, from `at` on; the size when there is none.
size_t NextLineEnd(std::string_view bytes, size_t at) {
  while (at < bytes.size()) {
    const std::string_view window = bytes.substr(at, kWindow);
    const std::string_view line = window.substr(0, window.find('\n'));
    const size_t cr = line.find('\r');
    if (cr != std::string_view::npos) return at + cr;
    at += line.size();
    if (line.size() < window.size()) break;
  }
  return at;
}

}  // namespace

bool IsEventStreamContentType(std::string_view content_type) {
  if (!EqualsIgnoreCase(content_type.substr(0, kType.size()), kType)) return false;
  if (content_type.size() == kType.size()) return true;
  const char next = content_type[kType.size()];
  return next == ';' || next == ' ' || next == '\t';
}

void EventStreamFollower::Feed(std::string_view bytes) {
  while (!bytes.empty()) bytes.remove_prefix(FeedToBoundary(bytes));
}

size_t EventStreamFollower::FeedToBoundary(std::string_view bytes) {
  size_t at = 0;
  while (at < bytes.size()) {
    const char next = bytes[at];
    if (next == '\r' || next == '\n') {
      OnLineEnd(next);
      ++at;
      if (step_ == Step::kBoundaryCr && at < bytes.size() && bytes[at] == '\n') {
        OnLineEnd(bytes[at++]);
      }
    } else {
      OnText(next);
      ++at;
      if (step_ == Step::kLine || step_ == Step::kComment) at = NextLineEnd(bytes, at);
    }
    if (at_event_boundary()) break;
  }
  return at;
}

void EventStreamFollower::OnLineEnd(char end) {
  const bool cr = end == '\r';
  switch (step_) {
    case Step::kLineStartCr:
      // The LF of CRLF; another CR is an empty line.
      step_ = cr ? Step::kBoundaryCr : Step::kLineStart;
      break;
    case Step::kMark1:
    case Step::kMark2:
    case Step::kLine:
      step_ = cr ? Step::kLineStartCr : Step::kLineStart;
      break;
    case Step::kBeginning:
    case Step::kBoundary:
    case Step::kBoundaryCr:
    case Step::kComment:
    case Step::kLineStart:
      step_ = cr ? Step::kBoundaryCr : Step::kBoundary;
      break;
  }
}

// `next` is no line end.
void EventStreamFollower::OnText(char next) {
  switch (step_) {
    case Step::kBeginning:
      if (next == kByteOrderMark[0]) {
        step_ = Step::kMark1;
        break;
      }
      [[fallthrough]];
    case Step::kBoundary:
    case Step::kBoundaryCr:
      step_ = next == ':' ? Step::kComment : Step::kLine;
      break;
    case Step::kMark1:
      step_ = next == kByteOrderMark[1] ? Step::kMark2 : Step::kLine;
      break;
    case Step::kMark2:
      step_ = next == kByteOrderMark[2] ? Step::kBoundary : Step::kLine;
      break;
    case Step::kComment:
      break;
    case Step::kLine:
    case Step::kLineStart:
    case Step::kLineStartCr:
      step_ = Step::kLine;
      break;
  }
}

std::string_view WriteEventStreamRetry(std::chrono::milliseconds wait, char* out) {
  std::memcpy(out, kRetry.data(), kRetry.size());
  char* at = out + kRetry.size();
  at = std::to_chars(at, out + kEventStreamRetryBytes, std::max<int64_t>(wait.count(), 0)).ptr;
  *at++ = '\n';
  *at++ = '\n';
  return {out, static_cast<size_t>(at - out)};
}

}  // namespace sluice
