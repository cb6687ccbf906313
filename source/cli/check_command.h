// `sluice check`.
#pragma once

#include "cli/command_line.h"
#include "cli/terminal.h"

namespace sluice {

// Reads the configuration and says what is wrong with it. Returns the exit code.
int RunCheck(const CheckCommand& command, const Terminal& terminal);

}  // namespace sluice
