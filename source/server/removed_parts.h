// What a new configuration has no place for, to be drained by itself.
#pragma once

#include <cstdint>
#include <vector>

#include "config/config.h"
#include "lifecycle/part_drain.h"

namespace sluice {

// A listener is its name and its address, a route its name in its listener, an endpoint its address
// in its cluster. What was in something that is removed goes with it. `generation`: of `after`.
std::vector<PartDrainController::Removal> RemovedParts(const Config& before, const Config& after,
                                                       uint64_t generation);

}  // namespace sluice
