// What /connections answers.
#pragma once

#include <string>
#include <vector>

#include "admin/admin_sources.h"

namespace sluice {

// {"total": n, "in_flight": n, "connections": [...]}, the oldest first, indented for people. Lists
// the first `limit`: the counts are of all.
std::string ConnectionsJson(std::vector<ConnectionRecord> connections, size_t limit);

}  // namespace sluice
