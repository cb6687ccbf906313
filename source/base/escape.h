// Makes bytes from anywhere fit for one line of a log: no byte of a hostile request can end the
// line, forge another one, or drive the terminal it is read on.
#pragma once

#include <fmt/format.h>

#include <cstddef>
#include <cstring>
#include <string_view>

namespace sluice {

using LineBuffer = fmt::memory_buffer;

inline void Append(LineBuffer& out, std::string_view text) {
  const size_t size = out.size();
  out.resize(size + text.size());
  if (!text.empty()) std::memcpy(out.data() + size, text.data(), text.size());
}

// Appends `text` as the inside of a JSON string (RFC 8259 7), without the quotation marks. Bytes
// that are not UTF-8 (RFC 3629: overlong forms and surrogates included) become U+FFFD, so that the
// result always is.
void AppendJsonEscaped(LineBuffer& out, std::string_view text);

// Appends `text` with the quotation marks.
void AppendJsonString(LineBuffer& out, std::string_view text);

// Appends `text` as nginx writes a variable: '"', '\', and every byte outside printable ASCII as
// \xHH.
void AppendTextEscaped(LineBuffer& out, std::string_view text);

// The length of the UTF-8 sequence at the start of `text`, which is not empty; 0 when it is not
// one.
size_t Utf8SequenceLength(std::string_view text);

}  // namespace sluice
