// What contradicts itself in the keys of TLS: a part of validate.cc.
#pragma once

#include "config/config.h"
#include "config/loader_reader.h"
#include "config/problems.h"

namespace sluice {

// As ValidateConfig.
void ValidateListenerTls(const ListenerConfig& listener, const ConfigPositions& positions,
                         ConfigProblems* problems);
void ValidateClusterTls(const ClusterConfig& cluster, const ConfigPositions& positions,
                        ConfigProblems* problems);

}  // namespace sluice
