// One worker's view of a cluster: its endpoints, what is in flight on each, and the balancer that
// chooses among them.
//
// A new configuration may bring other endpoints; anything else that changes makes another cluster.
// Endpoints that are removed, and a cluster that is replaced, stay until they are free: nobody is
// on them, and their connections have closed.
//
// One worker thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>
#include <vector>

#include "base/metrics.h"
#include "config/cluster_config.h"
#include "sluice/loop.h"
#include "upstream/endpoint_pool.h"
#include "upstream/load_balancer.h"

namespace sluice {

class Cluster {
 public:
  // Everything given must outlive the cluster, but for `config`.
  Cluster(Loop& loop, Dialer& dialer, const ClusterConfig& config, MetricShard& shard);
  Cluster(const Cluster&) = delete;

  const ClusterConfig& config() const { return config_; }

  struct Endpoint;

  // A request's place on an endpoint, counted as load until it is released or destroyed. The
  // cluster must outlive it, and whoever has it holds the pool.
  class Lease {
   public:
    Lease() = default;
    Lease(Lease&& other) noexcept
        : cluster_(std::exchange(other.cluster_, nullptr)), endpoint_(other.endpoint_) {}
    Lease& operator=(Lease&& other) noexcept {
      if (this != &other) {
        Release();
        cluster_ = std::exchange(other.cluster_, nullptr);
        endpoint_ = other.endpoint_;
      }
      return *this;
    }
    ~Lease() { Release(); }
    void Release() {
      if (cluster_ != nullptr) std::exchange(cluster_, nullptr)->Leave(*endpoint_);
    }
    explicit operator bool() const { return cluster_ != nullptr; }
    EndpointPool& pool() const { return *endpoint_->pool; }

   private:
    friend class Cluster;
    Lease(Cluster* cluster, Endpoint* endpoint) : cluster_(cluster), endpoint_(endpoint) {}
    Cluster* cluster_ = nullptr;
    Endpoint* endpoint_ = nullptr;
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

  // Called, from anywhere, when something that was removed may be free: Reap is due, but later.
  void WhenFreed(std::function<void()> freed) { freed_ = std::move(freed); }

  // Those that stay keep their connections and, if so, stay drained.
  void SetEndpoints(const std::vector<EndpointConfig>& endpoints);

  // The cluster is replaced: what still comes is of requests that have begun. Once there are none
  // of them, Abandon removes its endpoints.
  void Retire();
  void Abandon();

  // Destroys what was removed and is free. False when nothing is left of the cluster.
  bool Reap();

  // Before the worker ends.
  void CloseIdle();

  // For Lease.
  struct Endpoint {
    static constexpr size_t kRemoved = SIZE_MAX;
    std::unique_ptr<EndpointPool> pool;
    Hold<EndpointPool> kept;  // while it is not removed
    size_t place;             // in loads_
  };

 private:
  std::unique_ptr<Endpoint> Add(const EndpointConfig& endpoint);
  void Remove(std::unique_ptr<Endpoint> endpoint);
  void Leave(const Endpoint& endpoint) {
    if (endpoint.place != Endpoint::kRemoved) --loads_[endpoint.place].active;
  }
  void UpdatePools();

  Loop& loop_;
  Dialer& dialer_;
  ClusterConfig config_;
  ClusterMetrics metrics_;
  std::function<void()> freed_;
  std::vector<std::unique_ptr<Endpoint>> endpoints_;
  std::vector<std::unique_ptr<Endpoint>> removed_;
  std::vector<EndpointLoad> loads_;  // by place in endpoints_
  std::unique_ptr<LoadBalancer> balancer_;
  uint32_t replays_ = 0;  // under way
  bool drained_ = false;
};

}  // namespace sluice
