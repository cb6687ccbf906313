// Consistent hashing on a ring (Karger 1997): every endpoint owns points on it, in proportion to
// its weight, and a request goes to the owner of the first point at or after its hash. When an
// endpoint goes, only its requests move, each to the next on the ring.
//
// One worker thread.
#pragma once

#include <cstdint>
#include <vector>

#include "upstream/load_balancer.h"

namespace sluice {

class RingHashBalancer final : public LoadBalancer {
 public:
  std::optional<size_t> Pick(std::span<const EndpointLoad> endpoints, std::optional<uint64_t> hash,
                             Random& random) override;

 private:
  struct Point {
    uint64_t at;
    uint32_t place;  // of its owner
  };
  void Build(std::span<const EndpointLoad> endpoints);
  void Sort(std::span<const EndpointLoad> endpoints);

  std::vector<Point> ring_;  // in order
};

}  // namespace sluice
