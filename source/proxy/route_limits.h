// What a route allows at a time, over all workers.
//
// Thread safe.
#pragma once

#include <memory>
#include <optional>

#include "base/budget.h"
#include "base/rate_limiter.h"
#include "config/route_config.h"

namespace sluice {

struct RouteLimits {
  explicit RouteLimits(const RouteConfig& config);

  // Null for a route without limits.
  static std::shared_ptr<RouteLimits> For(const RouteConfig& config);

  Budget in_flight;
  std::optional<RateLimiter> rate;
};

}  // namespace sluice
