#include "upstream/cluster.h"

#include <algorithm>
#include <utility>

namespace sluice {
namespace {

constexpr uint32_t kMinReplays = 3;

}  // namespace

Cluster::Cluster(Loop& loop, Dialer& dialer, const ClusterConfig& config, MetricShard& shard)
    : loop_(loop),
      dialer_(dialer),
      config_(config),
      metrics_(config.name, shard),
      balancer_(LoadBalancer::Make(config.load_balancing)) {
  for (const EndpointConfig& endpoint : config_.endpoints) {
    endpoints_.push_back(Add(endpoint));
    endpoints_.back()->place = loads_.size();
    loads_.push_back({.weight = endpoint.weight});
  }
}

std::unique_ptr<Cluster::Endpoint> Cluster::Add(const EndpointConfig& endpoint) {
  auto pool = std::make_unique<EndpointPool>(loop_, dialer_, config_, endpoint, metrics_);
  Hold<EndpointPool> kept(pool.get());
  return std::make_unique<Endpoint>(Endpoint{std::move(pool), std::move(kept), 0});
}

void Cluster::Remove(std::unique_ptr<Endpoint> endpoint) {
  endpoint->place = Endpoint::kRemoved;
  endpoint->pool->Retire([this] {
    if (freed_) freed_();
  });
  removed_.push_back(std::move(endpoint));
  removed_.back()->kept.Reset();
}

void Cluster::SetEndpoints(const std::vector<EndpointConfig>& endpoints) {
  std::vector<std::unique_ptr<Endpoint>> now;
  std::vector<EndpointLoad> loads;
  for (const EndpointConfig& config : endpoints) {
    const auto same = std::find_if(endpoints_.begin(), endpoints_.end(), [&](const auto& endpoint) {
      return endpoint != nullptr && endpoint->pool->address() == config.address;
    });
    const bool stays = same != endpoints_.end();
    loads.push_back(stays ? loads_[(*same)->place] : EndpointLoad{});
    loads.back().weight = config.weight;
    now.push_back(stays ? std::move(*same) : Add(config));
  }
  std::vector<std::unique_ptr<Endpoint>> gone = std::exchange(endpoints_, std::move(now));
  loads_ = std::move(loads);
  for (size_t i = 0; i < endpoints_.size(); ++i) endpoints_[i]->place = i;
  for (auto& endpoint : gone) {
    if (endpoint != nullptr) Remove(std::move(endpoint));
  }
  config_.endpoints = endpoints;
  balancer_ = LoadBalancer::Make(config_.load_balancing);  // what it knows goes by place
  UpdatePools();
}

void Cluster::Retire() { SetDrained(true); }

void Cluster::Abandon() {
  loads_.clear();
  std::vector<std::unique_ptr<Endpoint>> gone;
  gone.swap(endpoints_);
  for (auto& endpoint : gone) Remove(std::move(endpoint));
}

bool Cluster::Reap() {
  std::erase_if(removed_, [](const auto& endpoint) { return endpoint->pool->free(); });
  return !endpoints_.empty() || !removed_.empty();
}

Cluster::Lease Cluster::Pick(const EndpointPool* not_this) {
  std::optional<size_t> index;
  const auto refused =
      not_this == nullptr
          ? endpoints_.end()
          : std::find_if(endpoints_.begin(), endpoints_.end(),
                         [=](const auto& endpoint) { return endpoint->pool.get() == not_this; });
  if (refused != endpoints_.end()) {
    EndpointLoad& load = loads_[(*refused)->place];
    const bool usable = std::exchange(load.usable, false);
    index = balancer_->Pick(loads_, std::nullopt, loop_.random());
    load.usable = usable;
  }
  if (!index) index = balancer_->Pick(loads_, std::nullopt, loop_.random());
  if (!index) return {};
  ++loads_[*index].active;
  return Lease(this, endpoints_[*index].get());
}

Cluster::Lease Cluster::PickAddress(std::string_view address) {
  for (const auto& endpoint : endpoints_) {
    EndpointLoad& load = loads_[endpoint->place];
    if (drained_ || endpoint->pool->address() != address || !load.usable) continue;
    ++load.active;
    return Lease(this, endpoint.get());
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
  for (const auto& endpoint : endpoints_) {
    if (endpoint->pool->address() == address) loads_[endpoint->place].usable = !drained;
  }
  UpdatePools();
}

void Cluster::SetDrained(bool drained) {
  drained_ = drained;
  UpdatePools();
}

void Cluster::UpdatePools() {
  for (const auto& endpoint : endpoints_) {
    endpoint->pool->SetDraining(drained_ || !loads_[endpoint->place].usable);
  }
}

void Cluster::CloseIdle() {
  for (const auto* some : {&endpoints_, &removed_}) {
    for (const auto& endpoint : *some) endpoint->pool->CloseIdle();
  }
}

}  // namespace sluice
