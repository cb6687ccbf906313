#include "upstream/cluster.h"

#include <algorithm>
#include <utility>

namespace sluice {
namespace {

constexpr uint32_t kMinReplays = 3;

}  // namespace

Cluster::Cluster(Loop& loop, Dialer& dialer, const ClusterConfig& config, MetricShard& shard)
    : loop_(loop),
      config_(config),
      metrics_(config.name, shard),
      balancer_(LoadBalancer::Make(config.load_balancing)) {
  for (const EndpointConfig& endpoint : config.endpoints) {
    pools_.push_back(std::make_unique<EndpointPool>(loop, dialer, config, endpoint, metrics_));
    loads_.push_back({.weight = endpoint.weight});
  }
}

Cluster::Lease Cluster::Pick(const EndpointPool* not_this) {
  std::optional<size_t> index;
  if (not_this != nullptr) {
    const auto refused =
        static_cast<size_t>(std::find_if(pools_.begin(), pools_.end(),
                                         [=](const auto& pool) { return pool.get() == not_this; }) -
                            pools_.begin());
    const bool usable = std::exchange(loads_[refused].usable, false);
    index = balancer_->Pick(loads_, loop_.random());
    loads_[refused].usable = usable;
  }
  if (!index) index = balancer_->Pick(loads_, loop_.random());
  if (!index) return {};
  ++loads_[*index].active;
  return Lease(this, *index);
}

Cluster::Lease Cluster::PickAddress(std::string_view address) {
  for (size_t i = 0; i < pools_.size() && !drained_; ++i) {
    if (pools_[i]->address() != address || !loads_[i].usable) continue;
    ++loads_[i].active;
    return Lease(this, i);
  }
  return {};
}

bool Cluster::TryReplay() {
  uint32_t active = 0;
  for (const EndpointLoad& load : loads_) active += load.active;
  if (replays_ >= std::max(kMinReplays, active / 5)) return false;
  ++replays_;
  return true;
}

void Cluster::SetEndpointDrained(std::string_view address, bool drained) {
  for (size_t i = 0; i < pools_.size(); ++i) {
    if (pools_[i]->address() == address) loads_[i].usable = !drained;
  }
  UpdatePools();
}

void Cluster::SetDrained(bool drained) {
  drained_ = drained;
  UpdatePools();
}

void Cluster::UpdatePools() {
  for (size_t i = 0; i < pools_.size(); ++i) {
    pools_[i]->SetDraining(drained_ || !loads_[i].usable);
  }
}

void Cluster::CloseIdle() {
  for (const auto& pool : pools_) pool->CloseIdle();
}

}  // namespace sluice
