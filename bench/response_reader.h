// Reads one HTTP/1.1 response to a GET at a time, just well enough to know whether it is complete.
//
// Deliberately not built on Sluice's own parser: a mistake there must not hide itself here.
#pragma once

#include <strings.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace bench {

class ResponseReader {
 public:
  // If somebody wants them: the bytes of a chunked body, as they come.
  std::function<void(std::string_view)> on_body;

  // Makes it ready for another response; `on_body` is gone then.
  void Reset() { *this = ResponseReader(); }

  // Takes bytes of the response. The client never pipelines: bytes behind its end are a mistake.
  void Feed(std::string_view data) {
    if (part_ == Part::kHead) {
      head_.append(data);
      const size_t end = head_.find("\r\n\r\n");
      if (end == std::string::npos) return;
      const std::string rest = head_.substr(end + 4);
      head_.resize(end + 2);
      ReadHead();
      if (part_ != Part::kBroken) FeedBody(rest);
    } else {
      FeedBody(data);
    }
  }

  // The connection ended: completes a body that is delimited by that, and no other.
  bool FinishAtEndOfStream() {
    if (part_ == Part::kUntilClose) part_ = Part::kComplete;
    return complete();
  }

  bool started() const { return part_ != Part::kHead || !head_.empty(); }
  bool complete() const { return part_ == Part::kComplete; }
  bool broken() const { return part_ == Part::kBroken; }
  int status() const { return status_; }
  bool close() const { return close_; }

 private:
  enum class Part : uint8_t {
    kHead,
    kLength,      // remaining_ bytes of body to come
    kUntilClose,  // body until the connection ends
    kChunkSize,   // a chunk-size line, collected in line_
    kChunkData,   // remaining_ bytes of data and the CRLF behind them
    kTrailer,     // lines up to an empty one
    kComplete,
    kBroken,
  };

  void ReadHead() {
    const std::string_view head = head_;
    if (!head.starts_with("HTTP/1.1 ") || head.size() < 14) {
      part_ = Part::kBroken;
      return;
    }
    std::from_chars(head.data() + 9, head.data() + 12, status_);
    if (status_ == 204 || status_ == 304) {
      part_ = Part::kComplete;
    } else if (HasToken("Transfer-Encoding", "chunked")) {
      part_ = Part::kChunkSize;
    } else if (const std::string_view length = Value("Content-Length"); !length.empty()) {
      std::from_chars(length.data(), length.data() + length.size(), remaining_);
      part_ = Part::kLength;
    } else {
      part_ = Part::kUntilClose;
    }
    close_ = part_ == Part::kUntilClose || HasToken("Connection", "close");
  }

  void FeedBody(std::string_view data) {
    if (part_ == Part::kLength) Skip(data, Part::kComplete);
    while (!data.empty() && part_ != Part::kComplete && part_ != Part::kUntilClose) {
      if (part_ == Part::kChunkData) {
        if (on_body && remaining_ > 2) on_body(data.substr(0, remaining_ - 2));
        Skip(data, Part::kChunkSize);
      } else if (part_ == Part::kChunkSize || part_ == Part::kTrailer) {
        FeedLine(data);
      } else {
        return;
      }
    }
    if (part_ == Part::kComplete && !data.empty()) part_ = Part::kBroken;
  }

  void Skip(std::string_view& data, Part next) {
    const uint64_t taken = std::min<uint64_t>(remaining_, data.size());
    data.remove_prefix(taken);
    remaining_ -= taken;
    if (remaining_ == 0) part_ = next;
  }

  void FeedLine(std::string_view& data) {
    const size_t end = data.find('\n');
    line_.append(data.substr(0, end));
    if (end == std::string_view::npos) {
      data = {};
      return;
    }
    data.remove_prefix(end + 1);
    if (part_ == Part::kTrailer) {
      if (line_ == "\r") part_ = Part::kComplete;
    } else {
      uint64_t size = 0;
      std::from_chars(line_.data(), line_.data() + line_.size(), size, 16);
      remaining_ = size + 2;
      part_ = size == 0 ? Part::kTrailer : Part::kChunkData;
    }
    line_.clear();
  }

  // The value of the first field of that name; head_ ends with a CRLF.
  std::string_view Value(std::string_view name) const {
    std::string_view rest = head_;
    while (true) {
      rest.remove_prefix(rest.find("\r\n") + 2);
      if (rest.empty()) return {};
      const std::string_view line = rest.substr(0, rest.find("\r\n"));
      if (line.size() > name.size() && line[name.size()] == ':' &&
          strncasecmp(line.data(), name.data(), name.size()) == 0) {
        const size_t start = line.find_first_not_of(" \t", name.size() + 1);
        return start == std::string_view::npos ? std::string_view() : line.substr(start);
      }
    }
  }

  bool HasToken(std::string_view name, std::string_view token) const {
    const std::string_view value = Value(name);
    const auto same = [](char a, char b) { return (a | 0x20) == (b | 0x20); };
    return std::search(value.begin(), value.end(), token.begin(), token.end(), same) != value.end();
  }

  Part part_ = Part::kHead;
  int status_ = 0;
  bool close_ = false;
  uint64_t remaining_ = 0;
  std::string head_;
  std::string line_;
};

}  // namespace bench
