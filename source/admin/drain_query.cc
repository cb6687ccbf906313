#include "admin/drain_query.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <string>

namespace sluice {
namespace {

// RFC 3986 2.1. Nothing when a percent sign begins no encoded byte.
std::optional<std::string> Decode(std::string_view text) {
  std::string decoded;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      decoded += text[i];
      continue;
    }
    uint8_t byte = 0;
    const std::string_view digits = text.substr(i + 1, 2);
    const auto [end, error] =
        std::from_chars(digits.data(), digits.data() + digits.size(), byte, 16);
    if (error != std::errc() || end != digits.data() + 2) return std::nullopt;
    decoded += static_cast<char>(byte);
    i += 2;
  }
  return decoded;
}

std::optional<PartKind> KindOf(std::string_view key) {
  for (size_t i = 0; i < kPartKindCount; ++i) {
    const auto kind = static_cast<PartKind>(i);
    if (PartKindName(kind) == key) return kind;
  }
  return std::nullopt;
}

Result<void> Take(std::string_view key, std::string_view value, DrainQuery* query) {
  if (key == "trigger") {
    query->from_command_line = value == "cli";
    return {};
  }
  const auto kind = KindOf(key);
  if (!kind) {
    return Fail(fmt::format(
        "\"{}\" is no parameter of /drain; there are: listener, route, cluster, endpoint", key));
  }
  const auto name = Decode(value);
  if (!name || name->empty()) {
    return Fail(fmt::format("{}={} names nothing; expected a name, percent-encoded where needed",
                            key, value));
  }
  if (query->part) return Fail("name one listener, route, cluster or endpoint, not several");
  query->part = Part{*kind, *name};
  return {};
}

}  // namespace

Result<DrainQuery> ParseDrainQuery(std::string_view path) {
  DrainQuery query;
  const size_t question = path.find('?');
  std::string_view left = question == std::string_view::npos ? "" : path.substr(question + 1);
  while (!left.empty()) {
    const std::string_view parameter = left.substr(0, left.find('&'));
    left.remove_prefix(std::min(left.size(), parameter.size() + 1));
    if (parameter.empty()) continue;
    const size_t equals = parameter.find('=');
    const std::string_view value =
        equals == std::string_view::npos ? "" : parameter.substr(equals + 1);
    if (auto taken = Take(parameter.substr(0, equals), value, &query); !taken) {
      return tl::unexpected(taken.error());
    }
  }
  return query;
}

}  // namespace sluice
