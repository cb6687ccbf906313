#include "upstream/endpoint.h"

#include <algorithm>
#include <utility>

#include "base/hash.h"

namespace sluice {

std::string_view EndpointStateName(EndpointState state) {
  switch (state) {
    case EndpointState::kDrained:
      return "drained";
    case EndpointState::kUnhealthy:
      return "unhealthy";
    case EndpointState::kUnchecked:
      return "unchecked";
    case EndpointState::kEjected:
      return "ejected";
    case EndpointState::kDraining:
      return "draining";
    case EndpointState::kWarmingUp:
      return "warming_up";
    case EndpointState::kUsable:
      return "usable";
  }
  return "";
}

Endpoint::Endpoint(std::unique_ptr<EndpointPool> connections, EndpointConfig endpoint_config)
    : pool(std::move(connections)),
      kept(pool.get()),
      config(std::move(endpoint_config)),
      identity(HashBytes(config.address)) {}

EndpointState Endpoint::state(TimePoint now) const {
  if (drained) return EndpointState::kDrained;
  if (health.known && !health.healthy) return EndpointState::kUnhealthy;
  if (!health.known) return EndpointState::kUnchecked;
  if (now < outlier.ejected_until) return EndpointState::kEjected;
  if (health.draining || now < draining_until) return EndpointState::kDraining;
  if (now < warms_up_until) return EndpointState::kWarmingUp;
  return EndpointState::kUsable;
}

bool Endpoint::Takes(EndpointTier tier, TimePoint now) const {
  switch (state(now)) {
    case EndpointState::kDrained:
      return false;
    case EndpointState::kUnhealthy:
    case EndpointState::kUnchecked:
    case EndpointState::kEjected:
      return tier == EndpointTier::kAny;
    case EndpointState::kDraining:
      return tier >= EndpointTier::kDraining;
    case EndpointState::kWarmingUp:
    case EndpointState::kUsable:
      return true;
  }
  return false;
}

TimePoint Endpoint::NextChange(TimePoint now) const {
  TimePoint next = kNever;
  for (const TimePoint end : {outlier.ejected_until, draining_until}) {
    if (end > now) next = std::min(next, end);
  }
  return next;
}

}  // namespace sluice
