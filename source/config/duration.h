// Durations as people write them: a number and its unit, one or several: "500ms", "1.5s", "1m30s".
#pragma once

#include <string>
#include <string_view>

#include "base/time.h"
#include "sluice/result.h"

namespace sluice {

// Units: h, m, s, ms, us, each at most once, the largest first. At most 8760h, and a whole number
// of microseconds. A number without a unit is refused, 0 too: guessing a unit is how a timeout of
// 30 becomes 30 ms. The error says what is wrong and what was expected.
Result<Duration> ParseDuration(std::string_view text);

// The shortest text that ParseDuration reads back as the same whole number of microseconds.
std::string FormatDuration(Duration duration);

}  // namespace sluice
