// The endpoints of one priority and one side of the zone's border, and the balancer that chooses
// among them.
//
// One worker thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/random.h"
#include "config/cluster_config.h"
#include "upstream/load_balancer.h"

namespace sluice {

class Endpoint;
class EndpointPool;

// How far a request may go for an endpoint that it was not sent to before.
enum class PickReach : uint8_t {
  kLevel,    // another one of the same level, or the same again
  kChecked,  // any but those whose health check fails, even one that is set aside
  kAny,      // those too: they may have come back, what has just failed has not
};

// What of a request has a say in which endpoint it gets.
struct PickRequest {
  std::optional<uint64_t> hash = {};     // of what the cluster hashes
  std::optional<uint64_t> session = {};  // the identity of the endpoint it was on before
  std::span<const EndpointPool* const> not_these = {};  // only if there is no other within reach
  PickReach reach = PickReach::kLevel;
};

class EndpointGroup {
 public:
  explicit EndpointGroup(LoadBalancing policy) : balancer_(LoadBalancer::Make(policy)) {}

  void Add(Endpoint& endpoint, const EndpointLoad& load);

  // Null when none is usable with a weight.
  Endpoint* Pick(const PickRequest& request, Random& random);

  EndpointLoad& load(size_t place) { return loads_[place]; }
  std::span<Endpoint* const> endpoints() const { return endpoints_; }

 private:
  std::vector<Endpoint*> endpoints_;
  std::vector<EndpointLoad> loads_;  // by place in endpoints_
  std::unique_ptr<LoadBalancer> balancer_;
};

}  // namespace sluice
