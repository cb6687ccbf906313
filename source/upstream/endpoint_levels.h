// The endpoints of a cluster in the order in which they are called upon: by priority, and within
// one those of our zone before those elsewhere.
//
// A level whose endpoints are all well carries everything. As they go, the next one takes over what
// they cannot carry, little by little and early: a level bears 1.4 times the load of those of its
// endpoints that are usable, so it is full until less than 72% of it are (as in Envoy).
//
// One worker thread.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/random.h"
#include "base/time.h"
#include "upstream/endpoint.h"
#include "upstream/endpoint_group.h"

namespace sluice {

class EndpointLevels {
 public:
  // `config` must outlive it.
  explicit EndpointLevels(const ClusterConfig& config) : config_(config) {}

  // The endpoints are others now, or their weights, priorities or zones are. Requests in flight on
  // those that stay are kept in mind.
  void Build(const std::vector<std::unique_ptr<Endpoint>>& endpoints, TimePoint now);

  // The state of some has changed, or their part in a warm-up.
  void Refresh(TimePoint now);

  // Null when no endpoint may be used at all.
  Endpoint* Pick(const PickRequest& request, Random& random);

  // Whether there is one that is not one of `request.not_these`, within its reach.
  bool HasOther(const PickRequest& request) const;

  // How far down the present choice goes.
  EndpointTier tier() const { return tier_; }

 private:
  struct Level {
    uint32_t rank;  // lower ones first
    EndpointGroup group;
    uint32_t share = 0;  // of all requests, in percent
  };

  uint32_t RankOf(const Endpoint& endpoint) const;
  uint32_t WeightFactor(const Endpoint& endpoint, TimePoint now) const;
  bool MayBeTried(const Endpoint& endpoint, const PickRequest& request) const;
  void Share(EndpointTier tier, TimePoint now);
  Level* Draw(const PickRequest& request, Random& random);
  Endpoint* PickUntried(Level& drawn, const PickRequest& request, Random& random);
  Endpoint* BestUntried(const PickRequest& request, Random& random) const;
  Endpoint* FindSession(const PickRequest& request) const;

  const ClusterConfig& config_;
  std::vector<std::unique_ptr<Level>> levels_;  // in order
  uint32_t total_share_ = 0;                    // 0: no endpoint may be used
  EndpointTier tier_ = EndpointTier::kGood;
  TimePoint refreshed_at_{};
};

}  // namespace sluice
