// The command line of `sluice`: arguments -> command -> exit code.
#pragma once

#include "cli/command_line.h"
#include "cli/terminal.h"

namespace sluice {

// Does what was asked. Returns the exit code of the process (lifecycle/exit_code.h).
int RunCommand(const Command& command, const Terminal& terminal);

}  // namespace sluice
