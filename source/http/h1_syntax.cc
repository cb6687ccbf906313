#include "http/h1_syntax.h"

#include <algorithm>
#include <array>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

namespace sluice {

namespace {

enum Class : uint8_t {
  kTokenChar = 1,
  kTargetChar = 2,
  kHostChar = 4,  // reg-name, without the "%" of an escape
  kHexDigit = 8,
  kDigit = 16,
  kControl = 32,  // as far as it may not stand in a line: HTAB may
};

constexpr bool Contains(std::string_view set, char c) {
  return set.find(c) != std::string_view::npos;
}

constexpr std::array<uint8_t, 256> MakeClasses() {
  std::array<uint8_t, 256> classes{};
  for (int i = 0; i < 256; ++i) {
    const char c = static_cast<char>(i);
    const bool digit = c >= '0' && c <= '9';
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    uint8_t bits = 0;
    if (digit || letter || (i != 0 && Contains("!#$%&'*+-.^_`|~", c))) bits |= kTokenChar;
    if (i > 0x20 && i < 0x7f && c != '#') bits |= kTargetChar;
    if (digit || letter || (i != 0 && Contains("-._~!$&'()*+,;=", c))) bits |= kHostChar;
    if (digit || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F')) bits |= kHexDigit;
    if (digit) bits |= kDigit;
    if ((i < 0x20 && c != '\t') || i == 0x7f) bits |= kControl;
    classes[static_cast<size_t>(i)] = bits;
  }
  return classes;
}

constexpr std::array<uint8_t, 256> kClasses = MakeClasses();

bool Is(char c, uint8_t wanted) { return (kClasses[static_cast<unsigned char>(c)] & wanted) != 0; }

bool AllAre(std::string_view text, uint8_t wanted) {
  return std::all_of(text.begin(), text.end(), [wanted](char c) { return Is(c, wanted); });
}

// The first control character in [p, end), or `end`.
const char* FindControl(const char* p, const char* end) {
#ifdef __SSE2__
  const __m128i last_control = _mm_set1_epi8(0x1f);
  const __m128i tab = _mm_set1_epi8('\t');
  const __m128i del = _mm_set1_epi8(0x7f);
  for (; end - p >= 16; p += 16) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    const __m128i low = _mm_cmpeq_epi8(_mm_min_epu8(bytes, last_control), bytes);
    const __m128i bad =
        _mm_or_si128(_mm_andnot_si128(_mm_cmpeq_epi8(bytes, tab), low), _mm_cmpeq_epi8(bytes, del));
    const int mask = _mm_movemask_epi8(bad);
    if (mask != 0) return p + __builtin_ctz(static_cast<unsigned>(mask));
  }
#endif
  while (p != end && !Is(*p, kControl)) ++p;
  return p;
}

bool IsPort(std::string_view text) {
  if (text.size() > 5 || !AllAre(text, kDigit)) return false;
  uint32_t port = 0;
  for (char c : text) port = port * 10 + static_cast<uint32_t>(c - '0');
  return port <= 65535;
}

bool IsRegName(std::string_view host) {
  for (size_t i = 0; i < host.size(); ++i) {
    if (host[i] == '%') {
      if (host.size() - i < 3 || !AllAre(host.substr(i + 1, 2), kHexDigit)) return false;
      i += 2;
    } else if (!Is(host[i], kHostChar)) {
      return false;
    }
  }
  return !host.empty();
}

// The text between "[" and "]". Zones (RFC 6874) mean something on one host only.
bool IsIpv6(std::string_view text) {
  return text.find(':') != std::string_view::npos &&
         std::all_of(text.begin(), text.end(),
                     [](char c) { return c == ':' || c == '.' || Is(c, kHexDigit); });
}

}  // namespace

bool IsToken(std::string_view text) { return !text.empty() && AllAre(text, kTokenChar); }

bool IsTargetText(std::string_view text) { return !text.empty() && AllAre(text, kTargetChar); }

bool IsAuthority(std::string_view text, bool port_required) {
  std::string_view host, rest;
  if (!text.empty() && text.front() == '[') {
    const size_t close = text.find(']');
    if (close == std::string_view::npos || !IsIpv6(text.substr(1, close - 1))) return false;
    rest = text.substr(close + 1);
  } else {
    host = text.substr(0, text.find(':'));
    if (!IsRegName(host)) return false;
    rest = text.substr(host.size());
  }
  if (rest.empty()) return !port_required;
  if (rest.front() != ':') return false;
  const std::string_view port = rest.substr(1);
  if (port_required && port.find_first_not_of('0') == std::string_view::npos) return false;
  return IsPort(port);
}

std::string_view TrimWhitespace(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

bool NextListItem(std::string_view& list, std::string_view& item) {
  while (!list.empty()) {
    const size_t comma = std::min(list.find(','), list.size());
    item = TrimWhitespace(list.substr(0, comma));
    list.remove_prefix(std::min(comma + 1, list.size()));
    if (!item.empty()) return true;
  }
  return false;
}

void H1LineScanner::Begin(const Bounds& bounds) {
  bytes_left_ = bounds.bytes;
  lines_left_ = bounds.lines;
  line_left_ = bounds.first_line;
  state_ = State::kLineStart;
}

H1LineScanner::Result H1LineScanner::Scan(std::string_view bytes, size_t* used, H1Error* error) {
  const char* p = bytes.data();
  const char* const end = p + bytes.size();
  Result result = Result::kMore;
  while (p != end && result == Result::kMore) {
    // A byte beyond a limit is refused before anyone looks at it, so the verdict is the same
    // however the bytes are split.
    if (bytes_left_ == 0 || line_left_ == 0) {
      *error = line_left_ == 0 ? H1Error{414, "uri_bytes"} : H1Error{431, "header_bytes"};
      result = Result::kError;
      break;
    }
    const size_t within =
        std::min({static_cast<size_t>(end - p), size_t{bytes_left_}, size_t{line_left_}});
    const char* const stop = Walk(p, p + within, &result, error);
    const auto walked = static_cast<uint32_t>(stop - p);
    bytes_left_ -= walked;
    if (line_left_ != kUnlimited) line_left_ -= walked;
    if (state_ == State::kLineStart) line_left_ = kUnlimited;
    p = stop;
  }
  *used = static_cast<size_t>(p - bytes.data());
  return result;
}

const char* H1LineScanner::Walk(const char* p, const char* end, Result* result, H1Error* error) {
  auto refuse = [&](int status, std::string_view detail) {
    *error = {status, detail};
    *result = Result::kError;
    return p;
  };
  while (p != end) {
    switch (state_) {
      case State::kLineStart:
        if (*p == ' ' || *p == '\t') return refuse(400, "obs_fold");
        if (*p == '\r') {
          ++p;
          state_ = State::kLastCr;
          break;
        }
        state_ = State::kInLine;
        [[fallthrough]];
      case State::kInLine:
        p = FindControl(p, end);
        if (p == end) return p;
        if (*p == '\n') return refuse(400, "bare_lf");
        if (*p != '\r') return refuse(400, "control_character");
        ++p;
        state_ = State::kCr;
        break;
      case State::kCr:
        if (*p != '\n') return refuse(400, "bare_cr");
        if (lines_left_ == 0) return refuse(431, "header_count");
        --lines_left_;
        ++p;
        state_ = State::kLineStart;
        if (line_left_ != kUnlimited) return p;  // the other lines have another limit
        break;
      case State::kLastCr:
        if (*p != '\n') return refuse(400, "bare_cr");
        *result = Result::kEnd;
        return p + 1;
    }
  }
  return p;
}

H1ChunkLineScanner::Result H1ChunkLineScanner::Scan(std::string_view bytes, size_t* used,
                                                    std::string_view* digits) {
  const size_t digits_before = digits_;
  const Result result = Walk(bytes, used);
  *digits = bytes.substr(0, digits_ - digits_before);
  return result;
}

H1ChunkLineScanner::Result H1ChunkLineScanner::Walk(std::string_view bytes, size_t* used) {
  for (size_t i = 0; i < bytes.size(); ++i) {
    if (state_ == State::kCr) {
      *used = bytes[i] == '\n' ? i + 1 : i;
      return bytes[i] == '\n' ? Result::kEnd : Result::kError;
    }
    if (++length_ > kMaxLine || !Accept(bytes[i])) {
      *used = i;
      return Result::kError;
    }
  }
  *used = bytes.size();
  return Result::kMore;
}

bool H1ChunkLineScanner::Accept(char c) {
  const bool space = c == ' ' || c == '\t';
  switch (state_) {
    case State::kSize:
      if (Is(c, kHexDigit)) return ++digits_ <= kMaxDigits;
      if (digits_ == 0) return false;
      extended_ = c == ';';
      return EndElement(c);
    case State::kBeforeName:
      if (space) return true;
      return Is(c, kTokenChar) && Enter(State::kName);
    case State::kName:
      if (Is(c, kTokenChar)) return true;
      if (c == '=') return Enter(State::kBeforeValue);
      return space ? Enter(State::kNameSpace) : EndElement(c);
    case State::kNameSpace:
      if (c == '=') return Enter(State::kBeforeValue);
      return space || (c == ';' && EndElement(c));
    case State::kBeforeValue:
      if (space) return true;
      if (c == '"') return Enter(State::kQuoted);
      return Is(c, kTokenChar) && Enter(State::kValue);
    case State::kValue:
      if (Is(c, kTokenChar)) return true;
      return space ? Enter(State::kValueSpace) : EndElement(c);
    case State::kQuoted:
      if (c == '"') return Enter(State::kQuotedEnd);
      if (c == '\\') return Enter(State::kEscaped);
      return !Is(c, kControl);
    case State::kEscaped:
      return !Is(c, kControl) && Enter(State::kQuoted);
    case State::kQuotedEnd:
      return space ? Enter(State::kValueSpace) : EndElement(c);
    case State::kValueSpace:
      return space || (c == ';' && EndElement(c));
    case State::kCr:
      return false;
  }
  return false;
}

bool H1ChunkLineScanner::EndElement(char c) {
  if (c == ';') return Enter(State::kBeforeName);
  return c == '\r' && Enter(State::kCr);
}

}  // namespace sluice
