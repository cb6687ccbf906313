// NormalizePath on any bytes: what it accepts is in normal form, and says the same to every reader.

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "proxy/path.h"

namespace sluice {
namespace {

void Check(bool holds, const char* what, std::string_view input, std::string_view output) {
  if (holds) return;
  std::fprintf(stderr, "%s\n  input:  %.*s\n  output: %.*s\n", what, static_cast<int>(input.size()),
               input.data(), static_cast<int>(output.size()), output.data());
  std::abort();
}

// A lenient reader: decodes everything once, takes a backslash for a slash, drops parameters (which
// only a literal semicolon begins) before it looks for dots.
bool HasDotSegment(std::string_view path) {
  std::string text;
  for (size_t i = 0; i < path.size(); ++i) {
    if (path[i] != '%') {
      text += path[i];
      continue;
    }
    const auto byte = static_cast<char>(std::stoi(std::string(path.substr(i + 1, 2)), nullptr, 16));
    text += byte == '\\' ? '/' : byte == ';' ? 'x' : byte;
    i += 2;
  }
  size_t begin = 0;
  while (begin <= text.size()) {
    const size_t end = std::min(text.find('/', begin), text.size());
    const std::string segment = text.substr(begin, end - begin);
    const std::string name = segment.substr(0, segment.find(';'));
    if (name == "." || name == "..") return true;
    begin = end + 1;
  }
  return false;
}

void CheckOne(std::string_view input) {
  RequestHead head;
  head.path = input;
  if (!NormalizePath(head)) {
    Check(head.path == input, "a refused head was changed", input, head.path);
    return;
  }
  const std::string output(head.path);
  const size_t query = std::min(output.find('?'), output.size());
  const size_t input_query = std::min(input.find('?'), input.size());
  const std::string_view path = std::string_view(output).substr(0, query);
  Check(output.size() <= input.size(), "it grew", input, output);
  Check(output.substr(query) == input.substr(input_query), "the query changed", input, output);
  Check(path.starts_with('/'), "it is not absolute", input, output);
  Check(output.find('#') == std::string::npos, "a fragment is left", input, output);
  Check(path.find('\\') == std::string_view::npos, "a backslash is left", input, output);
  Check(path.find("%00") == std::string_view::npos, "a NUL is left", input, output);
  Check(!HasDotSegment(path), "a dot segment is left", input, output);

  RequestHead again;
  again.path = output;
  Check(NormalizePath(again), "the normal form is refused", input, output);
  Check(again.path == output, "not idempotent", input, output);
}

}  // namespace
}  // namespace sluice

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  sluice::CheckOne(input);
  // Most mutations lose the slash at the start, and with it everything interesting.
  sluice::CheckOne("/" + std::string(input));
  return 0;
}
