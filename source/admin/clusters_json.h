// What GET /clusters answers.
#pragma once

#include <string>
#include <vector>

#include "admin/admin_sources.h"

namespace sluice {

std::string ClustersJson(const std::vector<ClusterRecord>& clusters);

}  // namespace sluice
