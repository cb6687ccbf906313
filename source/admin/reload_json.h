// How a reload went, as JSON.
#pragma once

#include <string>

#include "admin/admin_sources.h"

namespace sluice {

std::string ReloadJson(const ReloadReport& report);

}  // namespace sluice
