#include "proxy/retry_after.h"

#include <time.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <string>

namespace sluice {
namespace {

constexpr Duration kMost = std::chrono::hours(24);

// IMF-fixdate, the one form that is still sent (RFC 9110 5.6.7).
Duration UntilDate(const std::string& text, WallTime now) {
  tm parts{};
  const char* const end = strptime(text.c_str(), "%a, %d %b %Y %H:%M:%S GMT", &parts);
  if (end == nullptr || *end != '\0') return {};
  // In whole seconds: the year 9999 is beyond what nanoseconds can count.
  const time_t left = timegm(&parts) - std::chrono::system_clock::to_time_t(now);
  return std::chrono::seconds(std::clamp<time_t>(left, 0, kMost / std::chrono::seconds(1)));
}

}  // namespace

Duration RetryAfterIn(const HeaderList& headers, WallTime now) {
  const std::string_view value = headers.Value(HeaderId::kRetryAfter);
  if (value.empty() || value.size() > 64) return {};
  if (value.find_first_not_of("0123456789") != std::string_view::npos) {
    return UntilDate(std::string(value), now);
  }
  uint32_t seconds = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), seconds);
  if (error != std::errc()) return kMost;
  return std::min<Duration>(std::chrono::seconds(seconds), kMost);
}

}  // namespace sluice
