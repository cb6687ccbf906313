// One worker's view of a cluster: its endpoints, how they are, what is in flight on each, and the
// choice among them.
//
// What it learns from its requests (an endpoint that drains, one that it sets aside) it applies at
// once and tells its observer, so that other workers may learn it too; what is found out elsewhere
// (health checks, discovery) it is told.
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
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/metrics.h"
#include "base/timer_queue.h"
#include "config/cluster_config.h"
#include "sluice/loop.h"
#include "sluice/result.h"
#include "upstream/circuit_breaker.h"
#include "upstream/endpoint.h"
#include "upstream/endpoint_levels.h"
#include "upstream/endpoint_pool.h"
#include "upstream/outlier_detector.h"
#include "upstream/wait_limiter.h"

namespace sluice {

class Cluster;

// What requests have found out about an endpoint.
struct EndpointNews {
  enum class Kind : uint8_t { kDraining, kEjected };
  Kind kind = Kind::kDraining;
  std::string address;
  TimePoint until{};
  std::string_view reason;  // a constant: "response_header", "goaway", "consecutive_5xx"
  uint32_t ejections = 0;   // how many times in all, of kEjected
};

class ClusterObserver {
 public:
  // On the worker's thread, from inside a call of the cluster.
  virtual void OnEndpointNews(const Cluster& cluster, const EndpointNews& news) = 0;

 protected:
  ~ClusterObserver() = default;
};

class Cluster final : private EndpointPoolOwner {
 public:
  // Everything given must outlive the cluster, but for `config`.
  Cluster(Loop& loop, Dialer& dialer, const ClusterConfig& config, MetricShard& shard);
  ~Cluster();
  Cluster(const Cluster&) = delete;

  const ClusterConfig& config() const { return config_; }

  // A request's place on an endpoint, counted as load until it is released or destroyed. The
  // cluster must outlive it, and whoever has it holds the pool.
  class Lease {
   public:
    Lease() = default;
    Lease(Lease&& other) noexcept
        : cluster_(std::exchange(other.cluster_, nullptr)),
          endpoint_(other.endpoint_),
          waits_since_(other.waits_since_) {}
    Lease& operator=(Lease&& other) noexcept {
      if (this != &other) {
        Release();
        cluster_ = std::exchange(other.cluster_, nullptr);
        endpoint_ = other.endpoint_;
        waits_since_ = other.waits_since_;
      }
      return *this;
    }
    ~Lease() { Release(); }
    void Release() {
      if (cluster_ != nullptr) std::exchange(cluster_, nullptr)->Leave(*this);
    }
    explicit operator bool() const { return cluster_ != nullptr; }
    EndpointPool& pool() const { return *endpoint_->pool; }
    uint64_t identity() const { return endpoint_->identity; }

    // What came of the request: once for each time it was sent. Failures to connect the cluster
    // knows from the pool.
    void Report(Outcome outcome) {
      ReportAnswer();
      cluster_->OnOutcome(*endpoint_, outcome);
    }
    // An answer has come that says nothing of the endpoint.
    void ReportAnswer() {
      if (waits_since_ != kNever) cluster_->OnAnswer(*this);
    }
    // A response says that the endpoint is about to go.
    void ReportDrain() { cluster_->OnDrain(*endpoint_, "response_header"); }

   private:
    friend class Cluster;
    Lease(Cluster* cluster, Endpoint* endpoint) : cluster_(cluster), endpoint_(endpoint) {}
    Cluster* cluster_ = nullptr;
    Endpoint* endpoint_ = nullptr;
    TimePoint waits_since_ = kNever;  // kNever: that is not limited, or it has had an answer
  };

  // An endpoint for one request. Fails with kNoEndpoint when none may be used, with kOverflow when
  // too many requests are in flight, and with kOverload when they wait for too long.
  tl::expected<Lease, ConnectFailure> Pick(const PickRequest& request);

  // Whether Pick would find an endpoint that is not one of `request.not_these`.
  bool HasOther(const PickRequest& request) const { return levels_.HasOther(request); }

  // The endpoint of that address; an empty lease when there is none, or it is drained.
  Lease PickAddress(std::string_view address);

  // True when the budget allows one more retry. Each one allowed is to be ended.
  bool TryRetry();
  void CountRetry(RetryCause cause) { metrics_.retries[static_cast<size_t>(cause)]->Add(); }
  void EndRetry() { --breaker_.retries; }

  // A drained endpoint is not picked, and its connections are closed as they become idle. So are
  // those of a drained cluster, which whoever routes must not choose any more.
  void SetEndpointDrained(std::string_view address, bool drained);
  void SetDrained(bool drained);

  // What a health check has found just now, and what they have found before, for a cluster or an
  // endpoint that is new. An address that is not there is none of our business.
  void SetHealth(std::string_view address, const EndpointHealth& health);
  void KnowHealth(std::string_view address, const EndpointHealth& health);
  // What the requests of another worker have found out.
  void Learn(const EndpointNews& news);
  void SetObserver(ClusterObserver* observer) { observer_ = observer; }

  // Keeps gauges of how many endpoints are in which state. Workers learn the same sooner or later,
  // so one of them is enough. `shard` must outlive the cluster.
  void ReportEndpoints(MetricShard& shard);

  // Called, from anywhere, when something that was removed may be free: Reap is due, but later.
  void WhenFreed(std::function<void()> freed) { freed_ = std::move(freed); }

  // Those that stay keep their connections and what is known of them.
  void SetEndpoints(const std::vector<EndpointConfig>& endpoints);

  // The cluster is replaced: what still comes is of requests that have begun. Once there are none
  // of them, Abandon removes its endpoints.
  void Retire();
  void Abandon();

  // Destroys what was removed and is free. False when nothing is left of the cluster.
  bool Reap();

  // Before the worker ends.
  void CloseIdle();

  // Those that are not removed.
  const std::vector<std::unique_ptr<Endpoint>>& endpoints() const { return endpoints_; }
  const CircuitBreaker& breaker() const { return breaker_; }

 private:
  // EndpointPoolOwner
  void OnAttemptOver(EndpointPool& pool, bool connected) override;
  void OnGoaway(EndpointPool& pool) override;
  bool MakeRoomFor(EndpointPool& pool) override;
  bool OthersLackConnections(const EndpointPool& pool) const override;
  void OnRoomForConnection() override;

  std::unique_ptr<Endpoint> Add(const EndpointConfig& endpoint);
  void Remove(std::vector<std::unique_ptr<Endpoint>> gone);
  Lease Take(Endpoint& endpoint);
  void OnAnswer(Lease& lease);
  void Leave(const Lease& lease);
  void LearnEjection(OutlierRecord& record, const EndpointNews& news);
  size_t EjectedAt(TimePoint now) const;
  Endpoint* Find(const EndpointPool& pool) const;
  Endpoint* Find(std::string_view address) const;
  void OnOutcome(Endpoint& endpoint, Outcome outcome);
  void OnDrain(Endpoint& endpoint, std::string_view reason);
  void Eject(Endpoint& endpoint, std::string_view reason);
  void OnIntervalOver();
  void Tell(const EndpointNews& news);
  void StopReporting();
  void Report(TimePoint now);
  void Update();

  Loop& loop_;
  Dialer& dialer_;
  ClusterConfig config_;
  ClusterMetrics metrics_;
  std::function<void()> freed_;
  ClusterObserver* observer_ = nullptr;
  CircuitBreaker breaker_;
  WaitLimiter waits_;
  OutlierDetector outliers_;
  EndpointLevels levels_;
  std::vector<std::unique_ptr<Endpoint>> endpoints_;
  std::vector<std::unique_ptr<Endpoint>> removed_;
  struct StateReport {
    MetricCell* gauge;
    int64_t reported = 0;  // of what it says is ours
  };
  std::vector<StateReport> reports_;  // by EndpointState; empty: another worker reports
  Timer changes_;                     // the state of an endpoint changes by itself
  Timer interval_;                    // of success rates; runs while there is something to judge
  bool drained_ = false;
  size_t first_served_ = 0;  // by room for a connection
};

}  // namespace sluice
