// `sluice drain`.
#pragma once

#include <functional>

#include "cli/admin_client.h"
#include "cli/command_line.h"
#include "cli/terminal.h"

namespace sluice {

// Begins a drain of the process or of a part, or takes it back. With `--wait`: follows it until the
// process is gone, or nothing is left of the part, calling `pause` between two looks. Returns the
// exit code.
int RunDrain(const DrainCommand& command, const AdminCaller& admin,
             const std::function<void()>& pause, const Terminal& terminal);

}  // namespace sluice
