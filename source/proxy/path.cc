#include "proxy/path.h"

#include <array>
#include <string_view>

#include "proxy/grammar.h"

namespace sluice {
namespace {

// Bytes that make the simple scan give up. A dot counts only at the start of a segment.
constexpr std::array<bool, 256> MakeSpecial() {
  std::array<bool, 256> special{};
  for (unsigned char c : {'%', '#', '\\', '?', '.'}) special[c] = true;
  return special;
}
constexpr std::array<bool, 256> kSpecial = MakeSpecial();

// RFC 3986 2.3.
bool IsUnreserved(unsigned char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '.' || c == '_' || c == '~';
}

// True when nothing of `path` needs a closer look.
bool IsPlain(std::string_view path) {
  char previous = '\0';
  for (size_t i = 0; i < path.size(); ++i) {
    const char c = path[i];
    if (kSpecial[static_cast<unsigned char>(c)]) {
      if (c == '?') return path.find('#', i) == std::string_view::npos;
      if (c != '.' || previous == '/') return false;
    }
    previous = c;
  }
  return true;
}

bool IsDots(std::string_view text) { return text == "." || text == ".."; }

// Whether `segment`, decoded already, can be read as a dot segment by someone who takes an encoded
// slash for a slash, or drops the parameters after a semicolon. A plain dot segment is not meant.
bool HidesDots(std::string_view segment) {
  const size_t length = segment.size();
  for (size_t begin = 0; begin <= length;) {
    size_t end = begin;
    while (end < length && segment.substr(end, 3) != "%2F" && segment.substr(end, 3) != "%5C") {
      ++end;
    }
    const std::string_view part = segment.substr(begin, end - begin);
    const std::string_view name = part.substr(0, part.find(';'));
    if (IsDots(name) && name.size() != length) return true;
    begin = end + 3;
  }
  return false;
}

// Writes the normal form of a path, segment by segment, to memory that holds as many bytes as the
// path has.
class Normalizer {
 public:
  explicit Normalizer(char* out) : begin_(out), end_(out) {}

  // `path` is without its query and starts with a slash.
  bool Run(std::string_view path) {
    size_t at = 0;
    while (at < path.size()) {
      ++at;  // the slash that begins the segment
      const size_t slash = path.find('/', at);
      const bool last = slash == std::string_view::npos;
      if (!AddSegment(path.substr(at, last ? slash : slash - at), last)) return false;
      at = last ? path.size() : slash;
    }
    return true;
  }

  std::string_view written() const { return {begin_, static_cast<size_t>(end_ - begin_)}; }

 private:
  bool AddSegment(std::string_view raw, bool last) {
    char* const start = end_;
    *end_++ = '/';
    if (!Decode(raw)) return false;
    const std::string_view segment(start + 1, static_cast<size_t>(end_ - start - 1));
    if (HidesDots(segment)) return false;
    if (!IsDots(segment)) return true;
    const bool up = segment == "..";
    end_ = start;
    if (up) {
      if (end_ == begin_) return false;
      while (*--end_ != '/') {
      }
    }
    // "/a/." and "/a/b/.." name the directory: its slash stays.
    if (last) *end_++ = '/';
    return true;
  }

  bool Decode(std::string_view raw) {
    for (size_t i = 0; i < raw.size(); ++i) {
      const char c = raw[i];
      if (c == '\\' || c == '#') return false;
      if (c != '%') {
        *end_++ = c;
        continue;
      }
      const int byte = PercentByte(raw, i);
      if (byte <= 0) return false;
      if (IsUnreserved(static_cast<unsigned char>(byte))) {
        *end_++ = static_cast<char>(byte);
      } else {
        constexpr char kDigits[] = "0123456789ABCDEF";
        *end_++ = '%';
        *end_++ = kDigits[byte / 16];
        *end_++ = kDigits[byte % 16];
      }
      i += 2;
    }
    return true;
  }

  char* const begin_;
  char* end_;
};

}  // namespace

bool NormalizePath(RequestHead& head) {
  if (head.method == Method::kConnect) return true;
  if (head.path == "*") return head.method == Method::kOptions;
  if (head.path.empty() || head.path.front() != '/') return false;
  if (IsPlain(head.path)) return true;

  const std::string_view path = head.PathOnly();
  const std::string_view query = head.path.substr(path.size());
  if (query.find('#') != std::string_view::npos) return false;
  char* const out = head.arena.Allocate(head.path.size());
  Normalizer normalizer(out);
  if (!normalizer.Run(path)) return false;
  const size_t length = normalizer.written().size();
  query.copy(out + length, query.size());
  head.path = {out, length + query.size()};
  return true;
}

}  // namespace sluice
