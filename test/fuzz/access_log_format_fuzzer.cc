// The input up to the first NUL is a text format for the access log, the rest a hostile request.
// Whatever they are: a refused format is refused with a column inside it, and a line is one line
// that no byte of the request can break.

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "proxy/access_log_format.h"

namespace {

void Require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "violated: %s\n", what);
  std::abort();
}

void CheckError(const std::string& message, size_t format_size) {
  const size_t at = message.find("column ");
  if (at == std::string::npos) {
    Require(message.find("empty") != std::string::npos, "an error names its column");
    return;
  }
  const unsigned long column = std::strtoul(message.c_str() + at + 7, nullptr, 10);
  Require(column >= 1 && column <= format_size, "the column is inside the format");
  for (const char byte : message) {
    Require(static_cast<uint8_t>(byte) >= 0x20, "a message has no control bytes");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sluice;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const size_t split = std::min(input.find('\0'), size);
  const std::string_view format = input.substr(0, split);
  const std::string_view hostile = input.substr(std::min(split + 1, size));

  RequestHead request;
  request.method_name = request.path = request.authority = hostile;
  request.headers.Add("User-Agent", hostile);
  request.headers.Add("X-Custom", hostile);
  const RequestRecord record;
  DownstreamInfo downstream;
  downstream.peer = hostile;
  const LoggedRequest logged{request, record, downstream, WallTime{}, Duration{}};
  TimestampWriter timestamps;

  if (const Result<AccessLogLine> line = AccessLogLine::Compile(format); line.has_value()) {
    LineBuffer out;
    line->Append(logged, timestamps, out);
    const std::string_view text(out.data(), out.size());
    Require(text.find('\n') == text.size() - 1, "a line is one line");
    for (const char byte : text.substr(0, text.size() - 1)) {
      Require(static_cast<uint8_t>(byte) >= 0x20 || byte == '\t', "a line has no control bytes");
    }
  } else {
    CheckError(line.error().message, format.size());
  }

  LineBuffer out;
  AccessLogLine::Json().Append(logged, timestamps, out);
  const std::string_view text(out.data(), out.size());
  Require(text.find('\n') == text.size() - 1, "a line is one line");
  Require(nlohmann::json::accept(text), "a line is JSON");
  return 0;
}
