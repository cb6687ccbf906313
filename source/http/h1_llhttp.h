// llhttp's callbacks, turned into a note of what it found.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "http/h1_syntax.h"
#include "llhttp.h"
#include "sluice/message.h"

// llhttp 8 holds two parsers, and the lenient one takes spaces in field names. Later ones hold one.
#if LLHTTP_VERSION_MAJOR < 9 && !LLHTTP_STRICT_MODE
#error "compile llhttp and its users with LLHTTP_STRICT_MODE=1"
#endif

namespace sluice {

// What llhttp found in the bytes it was given. It is given whole heads, which are in one piece, so
// names and values need not be put together; each callback only notes what it is told.
struct LlhttpSink {
  HeaderList* fields = nullptr;
  std::string_view name;
  std::string_view value;
  std::string_view body;
  std::optional<uint64_t> chunk_size;
  bool message_complete = false;

  void OnFieldName(std::string_view piece) {
    if (!value.empty() || name.data() + name.size() != piece.data()) {
      AddField();
      name = piece;
    } else {
      name = {name.data(), name.size() + piece.size()};
    }
  }

  void OnFieldValue(std::string_view piece) {
    value = value.empty()
                ? piece
                : std::string_view(value.data(),
                                   static_cast<size_t>(piece.data() + piece.size() - value.data()));
  }

  // The field before this one is complete.
  void AddField() {
    if (!name.empty()) fields->Add(name, TrimWhitespace(value));
    name = value = {};
  }
};

// Every callback writes to the LlhttpSink that `data` of the parser points to. At the end of a head
// llhttp pauses, so that the head can be judged before llhttp acts on it.
extern const llhttp_settings_t kLlhttpSettings;

// Why llhttp refused a head whose start line and line ends were found good.
H1Error LlhttpRefusal(llhttp_errno_t error);

}  // namespace sluice
