#include "proxy/route_limits.h"

namespace sluice {

RouteLimits::RouteLimits(const RouteConfig& config) : in_flight(config.max_in_flight) {
  if (!config.rate_limit) return;
  const RateLimitConfig& limit = *config.rate_limit;
  rate.emplace(limit.requests, limit.per, limit.burst == 0 ? limit.requests : limit.burst);
}

std::shared_ptr<RouteLimits> RouteLimits::For(const RouteConfig& config) {
  if (config.max_in_flight == 0 && !config.rate_limit) return nullptr;
  return std::make_shared<RouteLimits>(config);
}

}  // namespace sluice
