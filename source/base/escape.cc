#include "base/escape.h"

#include <array>
#include <cstdint>

namespace sluice {
namespace {

constexpr std::string_view kHexDigits = "0123456789abcdef";

// True for the bytes that both kinds of log line carry as they are.
constexpr std::array<bool, 256> kPlain = [] {
  std::array<bool, 256> plain{};
  for (size_t byte = 0x20; byte < 0x7f; ++byte) plain[byte] = byte != '"' && byte != '\\';
  return plain;
}();

bool IsPlain(char byte) { return kPlain[static_cast<uint8_t>(byte)]; }

bool IsContinuation(char byte) { return (static_cast<uint8_t>(byte) & 0xc0) == 0x80; }

// Appends the plain bytes at the start of `text` in one piece, and removes them from it.
void TakePlain(LineBuffer& out, std::string_view& text) {
  size_t count = 0;
  while (count < text.size() && IsPlain(text[count])) ++count;
  Append(out, text.substr(0, count));
  text.remove_prefix(count);
}

void AppendHex(LineBuffer& out, std::string_view prefix, uint8_t byte) {
  Append(out, prefix);
  out.push_back(kHexDigits[byte >> 4]);
  out.push_back(kHexDigits[byte & 0xf]);
}

void AppendJsonControl(LineBuffer& out, char byte) {
  switch (byte) {
    case '"':
      return Append(out, "\\\"");
    case '\\':
      return Append(out, "\\\\");
    case '\n':
      return Append(out, "\\n");
    case '\r':
      return Append(out, "\\r");
    case '\t':
      return Append(out, "\\t");
    default:
      return AppendHex(out, "\\u00", static_cast<uint8_t>(byte));
  }
}

}  // namespace

size_t Utf8SequenceLength(std::string_view text) {
  const auto lead = static_cast<uint8_t>(text[0]);
  if (lead < 0x80) return 1;
  if (lead < 0xc2 || lead > 0xf4) return 0;
  const size_t length = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  if (text.size() < length) return 0;
  // The second byte's range is narrower after four leads (RFC 3629 4): overlong forms, surrogates,
  // and what lies above U+10FFFF.
  const auto second = static_cast<uint8_t>(text[1]);
  const uint8_t low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
  const uint8_t high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
  if (second < low || second > high) return 0;
  for (size_t i = 2; i < length; ++i) {
    if (!IsContinuation(text[i])) return 0;
  }
  return length;
}

void AppendJsonEscaped(LineBuffer& out, std::string_view text) {
  for (TakePlain(out, text); !text.empty(); TakePlain(out, text)) {
    const size_t length = Utf8SequenceLength(text);
    // C1 controls are legal in JSON, but some terminals obey them.
    const bool c1 = length == 2 && text[0] == '\xc2' && static_cast<uint8_t>(text[1]) < 0xa0;
    if (length == 0) {
      Append(out, "\\ufffd");
    } else if (length == 1) {
      AppendJsonControl(out, text[0]);
    } else if (c1) {
      AppendHex(out, "\\u00", static_cast<uint8_t>(text[1]));
    } else {
      Append(out, text.substr(0, length));
    }
    text.remove_prefix(length == 0 ? 1 : length);
  }
}

void AppendJsonString(LineBuffer& out, std::string_view text) {
  out.push_back('"');
  AppendJsonEscaped(out, text);
  out.push_back('"');
}

void AppendTextEscaped(LineBuffer& out, std::string_view text) {
  for (TakePlain(out, text); !text.empty(); TakePlain(out, text)) {
    AppendHex(out, "\\x", static_cast<uint8_t>(text[0]));
    text.remove_prefix(1);
  }
}

}  // namespace sluice
