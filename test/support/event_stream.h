// Where an event stream may be ended, by a reader that sees all of it at once, goes by WHATWG HTML
// 9.2, and has nothing in common with EventStreamFollower.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::test {

// Whether a stream of which `text` has come stands between two events.
inline bool IsBetweenEvents(std::string_view text) {
  if (text.substr(0, 3) == "\xef\xbb\xbf") text.remove_prefix(3);
  std::string lines;  // each ends in LF
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\n' && i > 0 && text[i - 1] == '\r') continue;
    lines += text[i] == '\r' ? '\n' : text[i];
  }
  bool in_event = false;
  for (size_t begin = 0; begin < lines.size();) {
    const size_t end = lines.find('\n', begin);
    if (end == std::string::npos) return false;
    if (end == begin) {
      in_event = false;
    } else if (lines[begin] != ':') {
      in_event = true;
    }
    begin = end + 1;
  }
  return !in_event;
}

// The same of each prefix of a text, and what follows from it.
class EventBoundaries {
 public:
  explicit EventBoundaries(std::string_view text) : text_(text) {
    for (size_t at = 0; at <= text.size(); ++at) {
      between_.push_back(IsBetweenEvents(text.substr(0, at)));
    }
  }

  bool At(size_t at) const { return between_[at]; }

  // Where EventStreamFollower::FeedToBoundary has to end when it begins at `at`.
  size_t After(size_t at) const {
    while (++at <= text_.size()) {
      if (!between_[at]) continue;
      const bool lf_follows = text_[at - 1] == '\r' && at < text_.size() && text_[at] == '\n';
      return lf_follows ? at + 1 : at;
    }
    return text_.size();
  }

 private:
  std::string_view text_;
  std::vector<bool> between_;
};

}  // namespace sluice::test
