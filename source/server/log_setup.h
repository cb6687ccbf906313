// From the configuration of the log to its options.
#pragma once

#include "base/log.h"
#include "config/config.h"

namespace sluice {

LogOptions LogOptionsOf(const LogConfig& config);

}  // namespace sluice
