#include "support/sim_http.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <utility>

namespace sluice {
namespace {

constexpr size_t kPeriod = 26 * 251;

// One period of the body, twice over, so that any run of it can be copied from one place.
const std::string& Pattern() {
  static const std::string pattern = [] {
    std::string bytes(2 * kPeriod, '\0');
    for (size_t i = 0; i < bytes.size(); ++i) {
      const size_t at = i % kPeriod;
      bytes[i] = static_cast<char>('a' + (at * 7 + at / 251) % 26);
    }
    return bytes;
  }();
  return pattern;
}

bool IsToken(std::string_view text) {
  static constexpr std::string_view kMarks = "!#$%&'*+-.^_`|~";
  return !text.empty() && std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || kMarks.find(static_cast<char>(c)) != std::string_view::npos;
  });
}

std::string Lower(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return lower;
}

bool ParseNumber(std::string_view text, int base, uint64_t* number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *number, base);
  return !text.empty() && error == std::errc() && end == text.data() + text.size();
}

}  // namespace

std::string SimBody(uint64_t offset, size_t count) {
  std::string bytes;
  bytes.reserve(count);
  while (bytes.size() < count) {
    const size_t at = (offset + bytes.size()) % kPeriod;
    bytes.append(Pattern(), at, std::min(count - bytes.size(), kPeriod));
  }
  return bytes;
}

bool IsSimBody(std::string_view bytes, uint64_t offset) {
  while (!bytes.empty()) {
    const size_t at = offset % kPeriod;
    const size_t count = std::min(bytes.size(), kPeriod);
    if (bytes.substr(0, count) != std::string_view(Pattern()).substr(at, count)) return false;
    bytes.remove_prefix(count);
    offset += count;
  }
  return true;
}

std::map<std::string, std::string> SimQuery(std::string_view target) {
  std::map<std::string, std::string> query;
  const size_t mark = target.find('?');
  if (mark == std::string_view::npos) return query;
  target.remove_prefix(mark + 1);
  while (!target.empty()) {
    const std::string_view pair = target.substr(0, target.find('&'));
    target.remove_prefix(std::min(target.size(), pair.size() + 1));
    const size_t equals = std::min(pair.find('='), pair.size());
    const size_t value = std::min(equals + 1, pair.size());
    query[std::string(pair.substr(0, equals))] = std::string(pair.substr(value));
  }
  return query;
}

std::string_view SimMessage::Header(std::string_view name) const {
  for (const auto& [field, value] : headers) {
    if (field == name) return value;
  }
  return {};
}

uint64_t SimMessage::HeaderCount(std::string_view name) const {
  return std::count_if(headers.begin(), headers.end(),
                       [&](const auto& field) { return field.first == name; });
}

void SimReader::Fail(const std::string& why) {
  error_ = why;
  state_ = State::kBroken;
}

void SimReader::Feed(std::string_view bytes) {
  if (state_ == State::kBroken) return;
  buffer_.append(bytes);
  while (Step()) {
  }
}

void SimReader::FeedEof() {
  if (state_ == State::kUntilClose) Complete();
}

bool SimReader::TakeLine(std::string* line) {
  const size_t end = buffer_.find("\r\n");
  if (end == std::string::npos) {
    if (buffer_.find('\n') != std::string::npos) Fail("a line ends in LF alone");
    return false;
  }
  *line = buffer_.substr(0, end);
  buffer_.erase(0, end + 2);
  if (line->find_first_of(std::string_view("\r\n\0", 3)) != std::string::npos) {
    Fail("CR, LF or NUL inside the line '" + *line + "'");
    return false;
  }
  return true;
}

// One step; false when it needs more bytes or there is nothing more to read.
bool SimReader::Step() {
  std::string line;
  switch (state_) {
    case State::kHead:
      return ParseHead();
    case State::kLength:
    case State::kChunkData:
      if (buffer_.empty()) return false;
      TakeBody(remaining_);
      if (remaining_ > 0) return false;
      if (state_ == State::kLength) {
        Complete();
      } else {
        state_ = State::kChunkEnd;
      }
      return true;
    case State::kUntilClose:
      TakeBody(buffer_.size());
      return false;
    case State::kChunkSize:
      return ParseChunkSize();
    case State::kChunkEnd:
      if (!TakeLine(&line)) return false;
      if (!line.empty()) Fail("a chunk is longer than its size");
      if (state_ != State::kBroken) state_ = State::kChunkSize;
      return true;
    case State::kTrailers:
      if (!TakeLine(&line)) return false;
      if (line.empty()) {
        Complete();
        return true;
      }
      return ParseField(line, &messages_.back().trailers);
    case State::kTunnel:
      if (!buffer_.empty() && on_tunnel) on_tunnel(std::exchange(buffer_, {}));
      return false;
    case State::kBroken:
      return false;
  }
  return false;
}

bool SimReader::ParseHead() {
  const size_t end = buffer_.find("\r\n\r\n");
  if (end == std::string::npos) {
    const size_t feed = buffer_.find('\n');
    if (feed != std::string::npos && (feed == 0 || buffer_[feed - 1] != '\r')) {
      Fail("a line of a head ends in LF alone");
    }
    return false;
  }
  SimMessage message;
  std::string line;
  if (!TakeLine(&line) || !ParseStartLine(line, &message)) return false;
  while (TakeLine(&line) && !line.empty()) {
    if (!ParseField(line, &message.headers)) return false;
  }
  if (state_ == State::kBroken) return false;
  return ChooseFraming(&message);
}

bool SimReader::ParseStartLine(const std::string& line, SimMessage* message) {
  const size_t first = line.find(' ');
  const size_t second = first == std::string::npos ? first : line.find(' ', first + 1);
  if (second == std::string::npos) {
    Fail("not a start line: '" + line + "'");
    return false;
  }
  const std::string a = line.substr(0, first);
  const std::string b = line.substr(first + 1, second - first - 1);
  const std::string c = line.substr(second + 1);
  uint64_t status = 0;
  bool good = false;
  if (kind_ == Kind::kRequests) {
    good = IsToken(a) && !b.empty() && (c == "HTTP/1.1" || c == "HTTP/1.0");
    message->method = a;
    message->target = b;
    message->version = c;
  } else {
    good = (a == "HTTP/1.1" || a == "HTTP/1.0") && b.size() == 3 && ParseNumber(b, 10, &status);
    message->version = a;
    message->status = static_cast<int>(status);
  }
  if (!good) Fail("not a start line: '" + line + "'");
  return good;
}

bool SimReader::ParseField(const std::string& line,
                           std::vector<std::pair<std::string, std::string>>* fields) {
  const size_t colon = line.find(':');
  if (colon == std::string::npos || !IsToken(line.substr(0, colon))) {
    Fail("not a field: '" + line + "'");
    return false;
  }
  std::string value = line.substr(colon + 1);
  value.erase(0, std::min(value.find_first_not_of(" \t"), value.size()));
  value.erase(value.find_last_not_of(" \t") + 1);
  fields->emplace_back(Lower(line.substr(0, colon)), value);
  return true;
}

bool SimReader::ChooseFraming(SimMessage* message) {
  const std::string connection = Lower(message->Header("connection"));
  message->close =
      connection.find("close") != std::string::npos ||
      (message->version == "HTTP/1.0" && connection.find("keep-alive") == connection.npos);
  if (kind_ == Kind::kResponses && message->status < 200 && message->status != 101) {
    informational_.push_back(message->status);
    if (on_head) on_head(*message);
    if (on_message) on_message(*message);
    return true;
  }
  messages_.push_back(std::move(*message));
  const SimMessage& added = messages_.back();
  bool has_length = false;
  chunked_ = Lower(added.Header("transfer-encoding")) == "chunked";
  if (!ReadLength(added, &has_length)) return false;
  state_ = chunked_ ? State::kChunkSize : has_length ? State::kLength : State::kHead;
  if (kind_ == Kind::kResponses && !ChooseResponseFraming(added)) return false;
  const State chosen = state_;
  if (on_head) on_head(added);
  if (state_ != chosen) return true;  // on_head made it a tunnel
  if (state_ == State::kTunnel) {
    messages_.back().complete = true;
    if (on_message) on_message(added);
  } else if (state_ == State::kHead || (state_ == State::kLength && remaining_ == 0)) {
    Complete();
  }
  return true;
}

bool SimReader::ReadLength(const SimMessage& message, bool* has_length) {
  const uint64_t lengths = message.HeaderCount("content-length");
  const uint64_t codings = message.HeaderCount("transfer-encoding");
  *has_length = lengths == 1;
  remaining_ = 0;
  if (lengths > 1) Fail("several Content-Length");
  if (lengths == 1 && !ParseNumber(message.Header("content-length"), 10, &remaining_)) {
    Fail("bad Content-Length");
  }
  if (codings > 1 || (codings == 1 && !chunked_)) Fail("a Transfer-Encoding that is not chunked");
  if (codings > 0 && lengths > 0) Fail("both Content-Length and Transfer-Encoding");
  return state_ != State::kBroken;
}

bool SimReader::ChooseResponseFraming(const SimMessage& message) {
  if (expected_.empty()) {
    Fail("a response that nobody asked for: " + std::to_string(message.status));
    return false;
  }
  const std::string method = expected_.front();
  expected_.pop_front();
  const int status = message.status;
  if (status == 101 || (method == "CONNECT" && status >= 200 && status < 300)) {
    state_ = State::kTunnel;
  } else if (method == "HEAD" || status == 204 || status == 304) {
    state_ = State::kHead;  // RFC 9112 6.3: no body, whatever the fields say
  } else if (state_ == State::kHead) {
    state_ = State::kUntilClose;
  }
  return true;
}

bool SimReader::ParseChunkSize() {
  std::string line;
  if (!TakeLine(&line)) return false;
  if (!ParseNumber(line, 16, &remaining_)) {
    Fail("not a chunk size: '" + line + "'");
    return false;
  }
  state_ = remaining_ == 0 ? State::kTrailers : State::kChunkData;
  return true;
}

void SimReader::TakeBody(size_t limit) {
  SimMessage& message = messages_.back();
  const size_t count = std::min(limit, buffer_.size());
  const std::string_view bytes = std::string_view(buffer_).substr(0, count);
  if (!IsSimBody(bytes, message.body_bytes)) message.body_as_expected = false;
  if (message.body.size() < SimMessage::kKept) {
    message.body.append(bytes.substr(0, SimMessage::kKept - message.body.size()));
  }
  message.body_bytes += count;
  if (state_ != State::kUntilClose) remaining_ -= count;
  buffer_.erase(0, count);
}

void SimReader::Complete() {
  state_ = State::kHead;
  messages_.back().complete = true;
  if (on_message) on_message(messages_.back());
}

}  // namespace sluice
