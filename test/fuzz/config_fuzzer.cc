// Any text is a configuration or an error that says so; a configuration survives being written and
// read again, and the proxy can be built from it. The text before a line of "=" signs is the
// document, each line after it an override.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "config/checker.h"
#include "config/loader.h"
#include "proxy/access_log_format.h"
#include "proxy/router.h"

namespace {

void Require(bool condition, const char* what, const std::string& detail) {
  if (condition) return;
  std::fprintf(stderr, "%s:\n%s\n", what, detail.c_str());
  std::abort();
}

std::vector<std::string> SplitLines(const std::string& text) {
  constexpr size_t kMaxOverrides = 8;
  std::vector<std::string> lines;
  size_t begin = 0;
  while (begin < text.size() && lines.size() < kMaxOverrides) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    lines.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return lines;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string input(reinterpret_cast<const char*>(data), size);
  const std::string separator = "\n====\n";
  const size_t split = input.find(separator);
  std::vector<std::string> overrides;
  if (split != std::string::npos) overrides = SplitLines(input.substr(split + separator.size()));

  const auto config = sluice::ParseConfig(input.substr(0, split), "fuzz.yaml", overrides);
  if (!config) {
    Require(!config.error().message.empty(), "an error without words", input);
    return 0;
  }
  sluice::CheckConfig(*config);
  for (const sluice::ListenerConfig& listener : config->listeners) {
    const auto router = sluice::Router::Build(listener.virtual_hosts);
    Require(router.has_value(), "no router", router ? input : router.error().message);
  }
  sluice::AccessLogConfig text = config->access_log;
  text.format = sluice::AccessLogFormat::kText;
  const auto line = sluice::AccessLogLine::FromConfig(text);
  Require(line.has_value(), "no access log", line ? input : line.error().message);
  const std::string dump = sluice::DumpConfig(*config);
  const auto again = sluice::ParseConfig(dump, "dump.yaml");
  Require(again.has_value(), "a dump that is refused",
          again ? dump : again.error().message + "\n" + dump);
  Require(sluice::DumpConfig(*again) == dump, "a dump that changes when read again", dump);
  return 0;
}
