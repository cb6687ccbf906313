// What the control thread finds out about upstreams for all workers: which endpoints there are
// (DNS) and how they are (health checks); and what the requests of one worker have found out, which
// the others are told.
//
// Control thread only.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/metrics.h"
#include "base/timer_queue.h"
#include "net/socket_dialer.h"
#include "net/uv_loop.h"
#include "server/secure_dialer.h"
#include "server/snapshot.h"
#include "sluice/resolver.h"
#include "upstream/cluster.h"
#include "upstream/dns_discovery.h"
#include "upstream/health_checker.h"

namespace sluice {

// How an endpoint of a cluster is.
struct HealthFinding {
  std::string cluster;
  std::string address;
  EndpointHealth health;
};

class UpstreamWatch {
 public:
  struct Surroundings {
    UvLoop& loop;
    MetricShard& shard;
    // DNS has found other endpoints for a cluster than the snapshot in use has. Never called from
    // inside Use.
    std::function<void(const std::string& cluster, const std::vector<EndpointConfig>&)> found;
    // For every worker.
    std::function<void(const HealthFinding&)> health;
    // How many clusters are critical, and how many of those have no healthy endpoint: after every
    // change.
    std::function<void(size_t critical, size_t out_of_reach)> reach;
  };
  explicit UpstreamWatch(Surroundings surroundings);
  ~UpstreamWatch();
  UpstreamWatch(const UpstreamWatch&) = delete;

  // Goes over to `snapshot`: what is looked up or checked as before goes on. Fails when the names
  // of a cluster cannot be looked up at all; the others are looked up.
  Result<void> Use(std::shared_ptr<const Snapshot> snapshot);

  // Tells again what the snapshot in use does not have: somebody could not use it when it was
  // found.
  void TellFound();

  // Calls `done` once every name was looked up and every endpoint checked, or after a few seconds;
  // at once if there is nothing to wait for.
  void WarmUp(std::function<void()> done);
  // Waits no longer.
  void EndWarmUp();

  // What is known of all endpoints that are checked.
  std::vector<HealthFinding> Health() const;
  // Why its last check did not pass, a constant; empty: it did, or there is none.
  std::string ReasonFor(const std::string& cluster, const std::string& address) const;
  // Why the last lookup for a cluster failed; empty: it did not, or there is none.
  std::string DnsErrorOf(const std::string& cluster) const;

  // A worker has found out something: logs it, and has the endpoint checked soon.
  void OnNews(const std::string& cluster, const EndpointNews& news);

  // Not one of the endpoints of a cluster is healthy: all were found out to be ill, or the first
  // lookup has come to nothing.
  bool OutOfReach(const std::string& cluster) const;

  // Looks nothing up and checks nothing any more.
  void Stop();

 private:
  struct Checks;

  Result<void> LookUp(const ClusterConfig& config);
  void TellFound(const std::string& cluster);
  Result<Resolver*> ResolverFor(const DnsConfig& config);
  void UseChecks(const ClusterConfig& config, std::shared_ptr<const TlsClientContext> tls);
  void OnHealth(const std::string& cluster, const std::string& address,
                const EndpointHealth& health);
  void Settle();
  bool warm() const;

  const Surroundings around_;
  SocketDialer dialer_;
  std::shared_ptr<const Snapshot> snapshot_;
  std::map<std::string, std::unique_ptr<Resolver>> resolvers_;        // by their options
  std::map<std::string, std::unique_ptr<DnsDiscovery>> discoveries_;  // by cluster
  std::map<std::string, std::unique_ptr<Checks>> checks_;             // by cluster
  std::function<void()> warmed_up_;                                   // empty: nobody waits
  Timer patience_;
};

}  // namespace sluice
