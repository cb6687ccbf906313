// Chooses an endpoint for a request. One balancer for each cluster and worker: no shared state, so
// each worker balances what it sends itself.
//
// One worker thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "base/random.h"
#include "config/config.h"

namespace sluice {

// What a balancer knows of an endpoint, by its place in the cluster.
struct EndpointLoad {
  uint32_t weight = 1;  // 0: gets no work
  uint32_t active = 0;  // requests in flight from this worker
  bool usable = true;   // false: draining, unhealthy, or tried before
};

class LoadBalancer {
 public:
  virtual ~LoadBalancer() = default;

  // The place of the chosen endpoint, or nothing when none is usable with a weight. Linear in the
  // number of endpoints; does not allocate unless that number has changed.
  virtual std::optional<size_t> Pick(std::span<const EndpointLoad> endpoints, Random& random) = 0;

  static std::unique_ptr<LoadBalancer> Make(LoadBalancing policy);
};

}  // namespace sluice
