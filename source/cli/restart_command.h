// `sluice restart`.
#pragma once

#include "cli/admin_client.h"
#include "cli/terminal.h"

namespace sluice {

// Asks the process behind `admin` to hand over to a new one, and waits until it has. Returns the
// exit code.
int RunRestart(const AdminCaller& admin, const Terminal& terminal);

}  // namespace sluice
