// One worker's view of a cluster: its endpoints, what is in flight on each, and the balancer that
// chooses among them.
//
// One worker thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "base/metrics.h"
#include "config/config.h"
#include "sluice/loop.h"
#include "upstream/endpoint_pool.h"
#include "upstream/load_balancer.h"

namespace sluice {

class Cluster {
 public:
  // Everything given must outlive the cluster.
  Cluster(Loop& loop, Dialer& dialer, const ClusterConfig& config, MetricShard& shard);
  Cluster(const Cluster&) = delete;

  const ClusterConfig& config() const { return config_; }

  // A request's place on an endpoint, counted as load until it is released or destroyed.
  class Lease {
   public:
    Lease() = default;
    Lease(Lease&& other) noexcept
        : cluster_(std::exchange(other.cluster_, nullptr)), index_(other.index_) {}
    Lease& operator=(Lease&& other) noexcept {
      if (this != &other) {
        Release();
        cluster_ = std::exchange(other.cluster_, nullptr);
        index_ = other.index_;
      }
      return *this;
    }
    ~Lease() { Release(); }
    void Release() {
      if (cluster_ != nullptr) --std::exchange(cluster_, nullptr)->loads_[index_].active;
    }
    explicit operator bool() const { return cluster_ != nullptr; }
    EndpointPool& pool() const { return *cluster_->pools_[index_]; }

   private:
    friend class Cluster;
    Lease(Cluster* cluster, size_t index) : cluster_(cluster), index_(index) {}
    Cluster* cluster_ = nullptr;
    size_t index_ = 0;
  };

  // An endpoint for one request, another than `not_this` if there is one; an empty lease when none
  // is usable.
  Lease Pick(const EndpointPool* not_this = nullptr);

  // The endpoint of that address; an empty lease when there is none, or it is drained.
  Lease PickAddress(std::string_view address);

  // True when the budget allows one more replay: a fifth of the requests in flight, at least three.
  // A dying upstream must not be met with twice the load. Each one allowed is to be ended.
  bool TryReplay();
  void EndReplay() { --replays_; }

  // A drained endpoint is not picked, and its connections are closed as they become idle. So are
  // those of a drained cluster, which whoever routes must not choose any more.
  void SetEndpointDrained(std::string_view address, bool drained);
  void SetDrained(bool drained);

  // Before the worker ends.
  void CloseIdle();

 private:
  void UpdatePools();

  Loop& loop_;
  const ClusterConfig& config_;
  ClusterMetrics metrics_;
  std::vector<std::unique_ptr<EndpointPool>> pools_;
  std::vector<EndpointLoad> loads_;  // by place in pools_
  std::unique_ptr<LoadBalancer> balancer_;
  uint32_t replays_ = 0;  // under way
  bool drained_ = false;
};

}  // namespace sluice
