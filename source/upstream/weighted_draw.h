// Drawing an endpoint in proportion to its weight, for the balancers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "base/random.h"
#include "upstream/load_balancer.h"

namespace sluice {

inline bool Takes(const EndpointLoad& endpoint) { return endpoint.usable && endpoint.weight > 0; }

inline uint64_t TotalWeight(std::span<const EndpointLoad> endpoints) {
  uint64_t total = 0;
  for (const EndpointLoad& endpoint : endpoints) {
    if (Takes(endpoint)) total += endpoint.weight;
  }
  return total;
}

// The endpoint at `at`, less than the total weight, when all that take work, except `excluded`, are
// laid out by weight.
inline size_t EndpointAt(std::span<const EndpointLoad> endpoints, uint64_t at,
                         size_t excluded = SIZE_MAX) {
  for (size_t index = 0;; ++index) {
    if (index == excluded || !Takes(endpoints[index])) continue;
    if (at < endpoints[index].weight) return index;
    at -= endpoints[index].weight;
  }
}

inline std::optional<size_t> DrawByWeight(std::span<const EndpointLoad> endpoints, Random& random) {
  const uint64_t total = TotalWeight(endpoints);
  if (total == 0) return std::nullopt;
  return EndpointAt(endpoints, random.Below(total));
}

}  // namespace sluice
