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
#include "config/cluster_config.h"

namespace sluice {

// What a balancer knows of an endpoint, by its place in the cluster.
struct EndpointLoad {
  uint32_t weight = 1;    // 0: gets no work; it may change at any time, while an endpoint warms up
  uint32_t active = 0;    // requests in flight from this worker
  bool usable = true;     // false: draining, unhealthy, or tried before
  uint64_t identity = 0;  // of its address: the same on every worker and in every process
};

class LoadBalancer {
 public:
  virtual ~LoadBalancer() = default;

  // The place of the chosen endpoint, or nothing when none is usable with a weight. `hash`: of what
  // in the request shall choose; nothing when it has none of that. Linear in the number of
  // endpoints at worst; does not allocate. A balancer sees the same endpoints in the same places
  // all its life.
  virtual std::optional<size_t> Pick(std::span<const EndpointLoad> endpoints,
                                     std::optional<uint64_t> hash, Random& random) = 0;

  static std::unique_ptr<LoadBalancer> Make(LoadBalancing policy);
};

}  // namespace sluice
