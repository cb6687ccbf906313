// Looks at a valid configuration for promises that cannot be kept (drain.md section 8).
#pragma once

#include <string>
#include <vector>

#include "config/config.h"

namespace sluice {

// One warning a line, each naming the keys, the values and what to change. Empty: nothing to say.
std::vector<std::string> CheckConfig(const Config& config);

}  // namespace sluice
