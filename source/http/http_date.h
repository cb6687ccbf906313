// Dates as HTTP writes them.
#pragma once

#include <cstddef>
#include <string_view>

#include "base/time.h"

namespace sluice {

inline constexpr size_t kHttpDateLength = 29;

// `time` as an IMF-fixdate (RFC 9110 5.6.7), "Sun, 06 Nov 1994 08:49:37 GMT", in the
// kHttpDateLength bytes at `out`. The year must have four digits.
std::string_view HttpDate(WallTime time, char* out);

}  // namespace sluice
