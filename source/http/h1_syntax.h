// The lexical rules of HTTP/1.x: which characters may stand where, and how lines end. llhttp is
// more lenient than RFC 9112 in places, so every byte that is not body data passes here before it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace sluice {

// What is the matter with a message. `status` is what a server answers: 400, 413, 414, 417, 431,
// 501, 505; a client turns any of them into 502. `detail` is a constant such as "obs_fold".
struct H1Error {
  int status = 400;
  std::string_view detail;
};

// A token (RFC 9110 5.6.2): a method, a field name, a connection option.
bool IsToken(std::string_view text);

// Visible ASCII without '#': what may stand in a request target. Wider than RFC 3986, whose
// rarer exclusions ('|', '"', '{' ...) browsers do send, and no two parsers read differently.
bool IsTargetText(std::string_view text);

// uri-host [ ":" port ] (RFC 9110 7.2, RFC 3986 3.2.2), without userinfo. `port_required`: as in
// the target of CONNECT, where the port must be given and not be 0 (RFC 9110 9.3.6).
bool IsAuthority(std::string_view text, bool port_required = false);

// `text` without the spaces and tabs around it.
std::string_view TrimWhitespace(std::string_view text);

// Takes the next element off a comma-separated list (RFC 9110 5.6.1); empty ones are passed over.
// False at the end.
bool NextListItem(std::string_view& list, std::string_view& item);

// Walks a head, or a trailer section, up to the empty line that ends it, wherever the bytes are
// split. A line ends in CRLF and in nothing else, does not begin with white space, and holds no
// control character but HTAB (RFC 9112 2.2, 5.2; RFC 9110 5.5).
class H1LineScanner {
 public:
  enum class Result : uint8_t { kMore, kEnd, kError };

  static constexpr uint32_t kUnlimited = UINT32_MAX;

  struct Bounds {
    uint32_t bytes = 0;                // in all, line ends included: 431
    uint32_t lines = 0;                // without the empty one at the end: 431
    uint32_t first_line = kUnlimited;  // bytes of the first line: 414
  };

  void Begin(const Bounds& bounds);

  // Sets `*used` to the count of bytes walked: all at kMore, those up to the end at kEnd, those
  // before the offending one at kError.
  Result Scan(std::string_view bytes, size_t* used, H1Error* error);

  // What remains of Bounds::lines.
  uint32_t lines_left() const { return lines_left_; }

 private:
  //                  .--------<-- LF --<--------.
  //                  v                          |
  //   begin -> kLineStart -- text --> kInLine -CR-> kCr
  //                  '-- CR --> kLastCr -- LF --> end
  enum class State : uint8_t { kLineStart, kInLine, kCr, kLastCr };

  // Walks [p, end), which is within the limits, up to its end, an error, or the end of a line that
  // has a limit of its own. Returns where it stopped.
  const char* Walk(const char* p, const char* end, Result* result, H1Error* error);

  uint32_t bytes_left_ = 0;
  uint32_t lines_left_ = 0;
  uint32_t line_left_ = kUnlimited;
  State state_ = State::kLineStart;
};

// Walks the line that announces a chunk (RFC 9112 7.1, 7.1.1), wherever it is split:
//
//   1*HEXDIG *( BWS ";" BWS name [ BWS "=" BWS ( token / quoted-string ) ] ) CRLF
//
// but takes no white space before the first ";", which other parsers read in different ways.
// Extensions are checked and thrown away; llhttp, which refuses some that are valid, is not shown
// them.
class H1ChunkLineScanner {
 public:
  static constexpr size_t kMaxDigits = 16;
  static constexpr size_t kMaxLine = 256;

  using Result = H1LineScanner::Result;

  // As H1LineScanner::Scan. `*digits`: the part of `bytes` that belongs to the size.
  Result Scan(std::string_view bytes, size_t* used, std::string_view* digits);

  // What to say after an error.
  std::string_view detail() const { return extended_ ? "chunk_extension" : "chunk_size"; }

 private:
  //   kSize -- ; --> kBeforeName -> kName [kNameSpace] -- = --> kBeforeValue
  //   kBeforeValue -> kValue [kValueSpace]
  //   kBeforeValue -- " --> kQuoted <-> kEscaped;  kQuoted -- " --> kQuotedEnd [kValueSpace]
  //   after a name or a value: -- ; --> kBeforeName
  //   after a size, a name or a value, without space: -- CR --> kCr -- LF --> end
  enum class State : uint8_t {
    kSize,
    kBeforeName,
    kName,
    kNameSpace,
    kBeforeValue,
    kValue,
    kQuoted,
    kEscaped,
    kQuotedEnd,
    kValueSpace,
    kCr,
  };

  Result Walk(std::string_view bytes, size_t* used);
  bool Accept(char c);
  bool EndElement(char c);
  bool Enter(State state) {
    state_ = state;
    return true;
  }

  uint16_t length_ = 0;
  uint8_t digits_ = 0;
  bool extended_ = false;
  State state_ = State::kSize;
};

}  // namespace sluice
