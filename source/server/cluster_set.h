// The clusters of one worker, from one configuration to the next: one that is unchanged stays as it
// is, with its connections; one of which only endpoints have changed keeps those that stay; any
// other change makes another cluster, and the one before lives as long as the requests on it.
//
// One worker thread.
#pragma once

#include <functional>
#include <memory>
#include <string_view>
#include <vector>

#include "net/tls_dialer.h"
#include "proxy/proxy.h"
#include "server/snapshot.h"

namespace sluice {

class ClusterSet {
 public:
  // Everything must outlive the set.
  struct Surroundings {
    Loop& loop;
    Dialer& dialer;
    MetricShard& shard;
    std::function<void()> freed;             // see Cluster::WhenFreed
    ClusterObserver* observer = nullptr;     // of every cluster
    MetricShard* endpoint_gauges = nullptr;  // see Cluster::ReportEndpoints; null: another reports
  };
  explicit ClusterSet(Surroundings surroundings);
  ~ClusterSet();
  ClusterSet(const ClusterSet&) = delete;

  // Goes over to `snapshot`. The set keeps every cluster for as long as a map names it.
  ClusterMap Use(const Snapshot& snapshot);

  // Certificates have changed; `cluster` is a place in the present snapshot.
  void SetTls(size_t cluster, std::shared_ptr<const TlsClientContext> context);

  // Of the present snapshot.
  void SetDrained(std::string_view cluster, bool drained);
  void SetEndpointDrained(std::string_view address, bool drained);

  void SetHealth(std::string_view cluster, std::string_view address, const EndpointHealth& health);
  void KnowHealth(std::string_view cluster, std::string_view address, const EndpointHealth& health);
  void Learn(std::string_view cluster, const EndpointNews& news);
  void ForEach(const std::function<void(const Cluster&)>& visit) const;

  // Destroys what no map names any more and is free.
  void Reap();

  // Before the worker ends.
  void CloseIdle();

 private:
  struct Entry;

  std::shared_ptr<Entry> Make(const ClusterConfig& config,
                              std::shared_ptr<const TlsClientContext> context);

  const Surroundings around_;
  std::vector<std::shared_ptr<Entry>> present_;  // by place in the snapshot
  std::vector<std::shared_ptr<Entry>> replaced_;
};

}  // namespace sluice
