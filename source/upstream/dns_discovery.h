// Keeps the endpoints of one cluster up to date by a Resolver: asks again when the TTL is over, a
// little earlier by chance, and keeps the last good answer for as long as there is no better one.
//
// One thread: the control thread asks for all workers.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/metrics.h"
#include "base/timer_queue.h"
#include "config/cluster_config.h"
#include "sluice/loop.h"
#include "sluice/resolver.h"

namespace sluice {

class DnsDiscovery {
 public:
  // `found` is called when endpoints() are others than before; it may destroy the discovery. Loop,
  // resolver and shard must outlive it.
  struct Surroundings {
    Loop& loop;
    Resolver& resolver;
    MetricShard& shard;
    std::function<void()> found;
    std::function<void()> answered;  // every time, after that
  };
  // What there is before the first answer.
  struct Known {
    std::vector<EndpointConfig> endpoints = {};   // that the cluster has, wherever they are from
    std::vector<DnsAnswer::Target> targets = {};  // of a discovery that asked the same
  };
  // Asks at once.
  DnsDiscovery(std::string cluster, const DnsConfig& config, Known known,
               Surroundings surroundings);
  DnsDiscovery(const DnsDiscovery&) = delete;

  const DnsConfig& config() const { return config_; }

  // As found last; until something was, those that the cluster had.
  const std::vector<EndpointConfig>& endpoints() const { return endpoints_; }
  const std::vector<DnsAnswer::Target>& targets() const { return targets_; }

  // There was an answer, or an error instead of one.
  bool answered() const { return answered_; }
  // Why the last lookup failed; empty: it did not.
  const std::string& error() const { return error_; }

 private:
  void Ask();
  void OnAnswer(const Result<DnsAnswer>& answer);
  void OnSuccess(const DnsAnswer& answer);
  void OnPart(const DnsAnswer& answer, const std::string& reason);
  void OnFailure(const std::string& error);
  void Use(std::vector<DnsAnswer::Target> targets);
  const DnsAnswer::Unknown* MissingIn(const DnsAnswer& answer) const;
  void AskAgainIn(Duration time);

  const std::string cluster_;
  const DnsConfig config_;
  const Surroundings around_;
  std::vector<EndpointConfig> endpoints_;
  std::vector<DnsAnswer::Target> targets_;  // that they are from; empty: nothing was found yet
  MetricCell& succeeded_;
  MetricCell& failed_;
  Timer timer_;
  std::unique_ptr<Resolver::Lookup> lookup_;
  std::string error_;
  Duration backoff_{};
  bool answered_ = false;
};

// The endpoints of an answer: SRV priorities become 0, 1, 2 ..., and a weight of 0, which RFC 2782
// wants to mean "very little", a hundredth of the lightest other one, or 1 where all are 0.
std::vector<EndpointConfig> EndpointsOf(const std::vector<DnsAnswer::Target>& targets);

}  // namespace sluice
