#include "upstream/load_balancer.h"

#include <algorithm>
#include <vector>

namespace sluice {
namespace {

bool Takes(const EndpointLoad& endpoint) { return endpoint.usable && endpoint.weight > 0; }

uint64_t TotalWeight(std::span<const EndpointLoad> endpoints) {
  uint64_t total = 0;
  for (const EndpointLoad& endpoint : endpoints) {
    if (Takes(endpoint)) total += endpoint.weight;
  }
  return total;
}

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
    const uint64_t total = TotalWeight(endpoints);
    if (total == 0) return std::nullopt;
    uint64_t at = random.Below(total);
    for (size_t i = 0;; ++i) {
      if (!Takes(endpoints[i])) continue;
      if (at < endpoints[i].weight) return i;
      at -= endpoints[i].weight;
    }
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
    const size_t first = Draw(endpoints, random.Below(total), endpoints.size());
    const uint64_t others = total - endpoints[first].weight;
    if (others == 0) return first;
    const size_t second = Draw(endpoints, random.Below(others), first);
    return Load(endpoints[first], endpoints[second]) <= Load(endpoints[second], endpoints[first])
               ? first
               : second;
  }

 private:
  // The endpoint at `at` when all that take work, except `excluded`, are laid out by weight.
  static size_t Draw(std::span<const EndpointLoad> endpoints, uint64_t at, size_t excluded) {
    size_t index = 0;
    for (;; ++index) {
      if (index == excluded || !Takes(endpoints[index])) continue;
      if (at < endpoints[index].weight) return index;
      at -= endpoints[index].weight;
    }
  }

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
    case LoadBalancing::kRingHash:
    case LoadBalancing::kMaglev:
      return std::make_unique<WeightedRandom>();
  }
  return nullptr;
}

}  // namespace sluice
