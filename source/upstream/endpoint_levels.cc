#include "upstream/endpoint_levels.h"

#include <algorithm>
#include <utility>

#include "upstream/warm_up.h"

namespace sluice {
namespace {

constexpr uint64_t kOverprovisioning = 140;  // percent

bool WasTried(const Endpoint& endpoint, const PickRequest& request) {
  const auto& tried = request.not_these;
  return std::find(tried.begin(), tried.end(), endpoint.pool.get()) != tried.end();
}

}  // namespace

// An endpoint elsewhere stands half a priority below one that is here.
uint32_t EndpointLevels::RankOf(const Endpoint& endpoint) const {
  const std::string& zone = endpoint.config.zone;
  const bool elsewhere = !config_.local_zone.empty() && !zone.empty() && zone != config_.local_zone;
  return 2 * endpoint.config.priority + (elsewhere ? 1 : 0);
}

void EndpointLevels::Build(const std::vector<std::unique_ptr<Endpoint>>& endpoints, TimePoint now) {
  const std::vector<std::unique_ptr<Level>> before = std::exchange(levels_, {});
  for (const auto& endpoint : endpoints) {
    const uint32_t rank = RankOf(*endpoint);
    auto level = std::find_if(levels_.begin(), levels_.end(),
                              [=](const auto& other) { return other->rank >= rank; });
    if (level == levels_.end() || (*level)->rank != rank) {
      level = levels_.insert(
          level, std::make_unique<Level>(Level{rank, EndpointGroup(config_.load_balancing)}));
    }
    const uint32_t active = endpoint->group == nullptr ? 0 : endpoint->active();
    (*level)->group.Add(*endpoint, {.active = active, .identity = endpoint->identity});
  }
  Refresh(now);
}

void EndpointLevels::Refresh(TimePoint now) {
  refreshed_at_ = now;
  uint64_t endpoints = 0;
  uint64_t good = 0;
  for (const auto& level : levels_) {
    for (const Endpoint* endpoint : level->group.endpoints()) {
      ++endpoints;
      if (endpoint->Takes(EndpointTier::kGood, now)) ++good;
    }
  }
  const bool panic = good * 100 < uint64_t{config_.panic_threshold} * endpoints;
  for (const EndpointTier tier :
       {EndpointTier::kGood, EndpointTier::kDraining, EndpointTier::kAny}) {
    if (panic && tier != EndpointTier::kAny) continue;
    Share(tier, now);
    if (total_share_ > 0) break;
  }
}

// For the sake of those that warm up weights are in hundredths. Tables are made once, from what the
// weights are in the end: whoever hashes wants a key to stay where it is.
uint32_t EndpointLevels::WeightFactor(const Endpoint& endpoint, TimePoint now) const {
  const bool hashes = config_.load_balancing == LoadBalancing::kRingHash ||
                      config_.load_balancing == LoadBalancing::kMaglev;
  if (hashes) return 1;
  if (endpoint.warms_up_until <= now) return 100;
  const SlowStartConfig& config = config_.slow_start;
  return WarmUpPercent(config, endpoint.warms_up_until - config.window, now);
}

void EndpointLevels::Share(EndpointTier tier, TimePoint now) {
  tier_ = tier;
  total_share_ = 0;
  for (const auto& level : levels_) {
    uint64_t total = 0;
    uint64_t usable = 0;
    for (Endpoint* endpoint : level->group.endpoints()) {
      EndpointLoad& load = level->group.load(endpoint->place);
      load.usable = endpoint->Takes(tier, now);
      load.weight = endpoint->config.weight * WeightFactor(*endpoint, now);
      total += endpoint->config.weight;
      if (load.usable) usable += endpoint->config.weight;
    }
    // However little those bear that are left: it is more than those that are not.
    const uint64_t bears =
        usable == 0 ? 0 : std::clamp<uint64_t>(kOverprovisioning * usable / total, 1, 100);
    level->share = static_cast<uint32_t>(std::min<uint64_t>(bears, 100 - total_share_));
    total_share_ += level->share;
  }
}

Endpoint* EndpointLevels::Pick(const PickRequest& request, Random& random) {
  if (request.session) {
    if (Endpoint* const endpoint = FindSession(request)) return endpoint;
  }
  Level* const drawn = Draw(request, random);
  if (drawn == nullptr) return nullptr;
  if (Endpoint* const endpoint = PickUntried(*drawn, request, random)) return endpoint;
  // All were tried: rather one of which that is some time ago than the last.
  const auto& tried = request.not_these;
  if (tried.size() > 1) {
    const PickRequest again{
        .hash = request.hash, .not_these = tried.last(1), .reach = request.reach};
    if (Endpoint* const endpoint = PickUntried(*drawn, again, random)) return endpoint;
  }
  return tried.empty() ? nullptr : drawn->group.Pick({.hash = request.hash}, random);
}

Endpoint* EndpointLevels::PickUntried(Level& drawn, const PickRequest& request, Random& random) {
  if (Endpoint* const endpoint = drawn.group.Pick(request, random)) return endpoint;
  if (request.reach == PickReach::kLevel) return nullptr;
  for (const auto& level : levels_) {
    if (level.get() == &drawn) continue;
    if (Endpoint* const endpoint = level->group.Pick(request, random)) return endpoint;
  }
  return BestUntried(request, random);
}

// Of those that are in the best state, any.
Endpoint* EndpointLevels::BestUntried(const PickRequest& request, Random& random) const {
  Endpoint* best = nullptr;
  uint64_t equals = 0;
  for (const auto& level : levels_) {
    for (Endpoint* const endpoint : level->group.endpoints()) {
      if (!MayBeTried(*endpoint, request)) continue;
      const EndpointState state = endpoint->state(refreshed_at_);
      if (best != nullptr && state < best->state(refreshed_at_)) continue;
      if (best != nullptr && state > best->state(refreshed_at_)) equals = 0;
      if (random.Below(++equals) == 0) best = endpoint;
    }
  }
  return best;
}

bool EndpointLevels::MayBeTried(const Endpoint& endpoint, const PickRequest& request) const {
  if (endpoint.config.weight == 0 || WasTried(endpoint, request)) return false;
  if (endpoint.Takes(tier_, refreshed_at_)) return true;
  const bool checked = endpoint.health.known && endpoint.health.healthy;
  const bool within =
      request.reach == PickReach::kAny || (request.reach == PickReach::kChecked && checked);
  return within && endpoint.Takes(EndpointTier::kAny, refreshed_at_);
}

bool EndpointLevels::HasOther(const PickRequest& request) const {
  for (const auto& level : levels_) {
    if (request.reach == PickReach::kLevel && level->share == 0) continue;
    for (const Endpoint* endpoint : level->group.endpoints()) {
      if (MayBeTried(*endpoint, request)) return true;
    }
  }
  return false;
}

EndpointLevels::Level* EndpointLevels::Draw(const PickRequest& request, Random& random) {
  if (total_share_ == 0) return nullptr;
  if (levels_.front()->share == total_share_) return levels_.front().get();
  // The same requests go to the same level for as long as its share is the same.
  uint64_t at = request.hash ? (*request.hash >> 32) % total_share_ : random.Below(total_share_);
  size_t index = 0;
  while (at >= levels_[index]->share) at -= levels_[index++]->share;
  return levels_[index].get();
}

Endpoint* EndpointLevels::FindSession(const PickRequest& request) const {
  for (const auto& level : levels_) {
    for (Endpoint* endpoint : level->group.endpoints()) {
      if (endpoint->identity != request.session) continue;
      const bool usable = level->group.load(endpoint->place).usable;
      return usable && !WasTried(*endpoint, request) ? endpoint : nullptr;
    }
  }
  return nullptr;
}

}  // namespace sluice
