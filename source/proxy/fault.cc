#include "proxy/fault.h"

namespace sluice {

FaultPlan PlanFault(const FaultConfig& config, Random& random) {
  FaultPlan plan;
  if (random.Below(100) < config.delay_percent) plan.delay = config.delay;
  if (random.Below(100) < config.abort_percent) plan.abort_status = config.abort_status;
  return plan;
}

}  // namespace sluice
