// What must hold between the keys of a cluster.
#pragma once

#include <string>

#include "config/config.h"
#include "config/loader_reader.h"

namespace sluice {

// How endpoints are found, and how they are chosen.
void ValidateEndpoints(const ClusterConfig& cluster, const ConfigPositions& positions,
                       ConfigProblems* problems);

// Defaults that depend on other keys. `zone`: Config::zone.
void FillInCluster(const std::string& zone, ClusterConfig* cluster);

}  // namespace sluice
