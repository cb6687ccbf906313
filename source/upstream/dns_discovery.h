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
  // Asks at once. `found` is called with endpoints that are others than `known`, or than those it
  // was called with last; it may destroy the discovery. Loop, resolver and shard must outlive it.
  struct Surroundings {
    Loop& loop;
    Resolver& resolver;
    MetricShard& shard;
    std::function<void(const std::vector<EndpointConfig>&)> found;
    std::function<void()> answered;  // every time, after that
  };
  DnsDiscovery(std::string cluster, const DnsConfig& config, std::vector<EndpointConfig> known,
               Surroundings surroundings);
  DnsDiscovery(const DnsDiscovery&) = delete;

  const DnsConfig& config() const { return config_; }

  // There was an answer, or an error instead of one.
  bool answered() const { return answered_; }
  // Why the last lookup failed; empty: it did not.
  const std::string& error() const { return error_; }

 private:
  void Ask();
  void OnAnswer(const Result<DnsAnswer>& answer);
  void OnSuccess(const DnsAnswer& answer);
  void OnPart(const DnsAnswer& answer);
  void OnFailure(const std::string& error);
  void TellFound();
  void AskAgainIn(Duration time);

  const std::string cluster_;
  const DnsConfig config_;
  const Surroundings around_;
  std::vector<EndpointConfig> endpoints_;
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
std::vector<EndpointConfig> EndpointsOf(const DnsAnswer& answer);

}  // namespace sluice
