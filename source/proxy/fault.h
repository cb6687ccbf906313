// Faults that a route has to test with.
#pragma once

#include "base/random.h"
#include "base/time.h"
#include "config/route_config.h"

namespace sluice {

// What happens to one request.
struct FaultPlan {
  Duration delay{};      // before it is sent on
  int abort_status = 0;  // it is answered with this, and not sent on; 0: it is
};

FaultPlan PlanFault(const FaultConfig& config, Random& random);

}  // namespace sluice
