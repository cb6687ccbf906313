#include "config/byte_size.h"

#include <array>
#include <charconv>
#include <cstddef>
#include <limits>

namespace sluice {
namespace {

constexpr std::array<std::string_view, 5> kUnits = {"B", "KiB", "MiB", "GiB", "TiB"};

char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

// What somebody who wrote "k", "KB" or "mib" meant.
std::string Hint(std::string_view number, std::string_view unit) {
  if (unit.empty()) return {};
  for (const std::string_view known : kUnits) {
    if (Lower(known[0]) == Lower(unit[0])) {
      return "; did you mean " + std::string(number) + std::string(known);
    }
  }
  return {};
}

}  // namespace

Result<uint64_t> ParseByteSize(std::string_view text) {
  const std::string expected = "; expected a size such as 16384, 64KiB or 1MiB";
  const std::string quoted = "'" + std::string(text.substr(0, 64)) + "'";
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error == std::errc::invalid_argument) return Fail(quoted + " is not a size" + expected);
  if (error != std::errc()) return Fail(quoted + " is too large" + expected);
  const auto digits = static_cast<size_t>(end - text.data());
  const std::string_view unit = text.substr(digits);
  if (unit.empty()) return number;
  for (size_t i = 0; i < kUnits.size(); ++i) {
    if (unit != kUnits[i]) continue;
    if (number > std::numeric_limits<uint64_t>::max() >> (10 * i)) {
      return Fail(quoted + " is too large" + expected);
    }
    return number << (10 * i);
  }
  return Fail(quoted + " has an unknown unit (known are B, KiB, MiB, GiB, TiB)" + expected +
              Hint(text.substr(0, digits), unit));
}

std::string FormatByteSize(uint64_t bytes) {
  size_t unit = 0;
  while (bytes != 0 && bytes % 1024 == 0 && unit + 1 < kUnits.size()) {
    bytes /= 1024;
    ++unit;
  }
  return std::to_string(bytes) + (unit == 0 ? std::string() : std::string(kUnits[unit]));
}

}  // namespace sluice
