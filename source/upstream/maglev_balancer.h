// Google's Maglev (Eisenbud 2016): a table of prime size that the endpoints fill in turn, each in
// an order of its own. It spreads more evenly than a ring, and one look finds the endpoint; when
// one goes for good, a few more requests move than those that were its own.
//
// One worker thread.
#pragma once

#include <cstdint>
#include <vector>

#include "upstream/load_balancer.h"

namespace sluice {

class MaglevBalancer final : public LoadBalancer {
 public:
  std::optional<size_t> Pick(std::span<const EndpointLoad> endpoints, std::optional<uint64_t> hash,
                             Random& random) override;

 private:
  void Build(std::span<const EndpointLoad> endpoints);

  std::vector<uint32_t> table_;  // places
};

}  // namespace sluice
