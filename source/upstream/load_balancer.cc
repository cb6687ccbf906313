#include "upstream/load_balancer.h"

#include <algorithm>
#include <vector>

#include "upstream/maglev_balancer.h"
#include "upstream/ring_hash_balancer.h"
#include "upstream/weighted_draw.h"

namespace sluice {
namespace {

// Smooth weighted round robin, as in nginx: each turn every endpoint earns its weight, the richest
// is picked and pays what all earned together. In any run of as many picks as the weights add up
// to, each endpoint is picked exactly as often as its weight says, spread out evenly.
class RoundRobin final : public LoadBalancer {
 public:
  std::optional<size_t> Pick(std::span<const EndpointLoad> endpoints, std::optional<uint64_t>,
                             Random& random) override {
    if (endpoints.size() == 1) {
      return Takes(endpoints.front()) ? std::optional<size_t>(0) : std::nullopt;
    }
    if (credit_.size() != endpoints.size()) Start(endpoints, random);
    return Turn(endpoints);
  }

 private:
  // More would only make a large cluster's first pick slow.
  static constexpr uint64_t kMaxStart = 256;

  // Begins somewhere in the cycle, so that workers, and proxies started together, do not send their
  // first requests to the same endpoint.
  void Start(std::span<const EndpointLoad> endpoints, Random& random) {
    credit_.assign(endpoints.size(), 0);
    const uint64_t total = TotalWeight(endpoints);
    if (total == 0) return;
    for (uint64_t turns = random.Below(std::min(total, kMaxStart)); turns > 0; --turns) {
      Turn(endpoints);
    }
  }

  std::optional<size_t> Turn(std::span<const EndpointLoad> endpoints) {
    std::optional<size_t> best;
    int64_t earned = 0;
    for (size_t i = 0; i < endpoints.size(); ++i) {
      if (!Takes(endpoints[i])) continue;
      credit_[i] += endpoints[i].weight;
      earned += endpoints[i].weight;
      if (!best || credit_[i] > credit_[*best]) best = i;
    }
    if (best) credit_[*best] -= earned;
    return best;
  }

  std::vector<int64_t> credit_;
};

// Each with a probability in proportion to its weight.
class WeightedRandom final : public LoadBalancer {
 public:
  std::optional<size_t> Pick(std::span<const EndpointLoad> endpoints, std::optional<uint64_t>,
                             Random& random) override {
    return DrawByWeight(endpoints, random);
  }
};

// The power of two choices (Mitzenmacher 2001): two endpoints are drawn in proportion to their
// weights, and the one with fewer requests for its weight is taken. On a tie the first, so that
// an idle cluster is used in proportion to its weights.
class LeastRequest final : public LoadBalancer {
 public:
  std::optional<size_t> Pick(std::span<const EndpointLoad> endpoints, std::optional<uint64_t>,
                             Random& random) override {
    const uint64_t total = TotalWeight(endpoints);
    if (total == 0) return std::nullopt;
    const size_t first = EndpointAt(endpoints, random.Below(total));
    const uint64_t others = total - endpoints[first].weight;
    if (others == 0) return first;
    const size_t second = EndpointAt(endpoints, random.Below(others), first);
    return Load(endpoints[first], endpoints[second]) <= Load(endpoints[second], endpoints[first])
               ? first
               : second;
  }

 private:
  // active / weight, multiplied by both weights: compares without a division.
  static uint64_t Load(const EndpointLoad& endpoint, const EndpointLoad& other) {
    return uint64_t{endpoint.active} * other.weight;
  }
};

}  // namespace

std::unique_ptr<LoadBalancer> LoadBalancer::Make(LoadBalancing policy) {
  switch (policy) {
    case LoadBalancing::kRoundRobin:
      return std::make_unique<RoundRobin>();
    case LoadBalancing::kLeastRequest:
      return std::make_unique<LeastRequest>();
    case LoadBalancing::kRandom:
      return std::make_unique<WeightedRandom>();
    case LoadBalancing::kRingHash:
      return std::make_unique<RingHashBalancer>();
    case LoadBalancing::kMaglev:
      return std::make_unique<MaglevBalancer>();
  }
  return nullptr;
}

}  // namespace sluice
