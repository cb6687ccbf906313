// Dates as HTTP writes them.
#pragma once

#include <string_view>

#include "base/arena.h"
#include "base/time.h"

namespace sluice {

// `time` as an IMF-fixdate (RFC 9110 5.6.7), "Sun, 06 Nov 1994 08:49:37 GMT", in `arena`. The year
// must have four digits.
std::string_view HttpDate(WallTime time, Arena& arena);

}  // namespace sluice
