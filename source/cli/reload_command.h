// `sluice reload`.
#pragma once

#include "cli/admin_client.h"
#include "cli/terminal.h"

namespace sluice {

// Has the running process read its configuration again and prints what that changed. Returns the
// exit code: kExitUsage when the configuration was refused.
int RunReload(const AdminCaller& admin, const Terminal& terminal);

}  // namespace sluice
