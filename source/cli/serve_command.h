// `sluice serve`.
#pragma once

#include "cli/command_line.h"
#include "cli/terminal.h"
#include "server/server.h"
#include "sluice/result.h"

namespace sluice {

// What the command asks for, as a configuration: of the file, or made of --to, or in front of the
// demonstration origin; then the options, then --set.
Result<ServeOptions> MakeServeOptions(const ServeCommand& command, const Terminal& terminal);

// Serves until a drain has ended. Returns the exit code.
int RunServe(const ServeCommand& command, const Terminal& terminal);

}  // namespace sluice
