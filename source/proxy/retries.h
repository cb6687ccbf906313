// Whether one request goes to its cluster once more: by its route's policy, what was sent of it,
// how often it was tried, and the budget of the cluster.
//
// One worker thread.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "proxy/retry_policy.h"
#include "upstream/cluster.h"

namespace sluice {

class Retries {
 public:
  // Both must outlive the request.
  void Begin(const RetryPolicy& policy, Cluster& cluster, bool idempotent, bool grpc);

  // The request was given to this endpoint.
  void OnTried(const EndpointPool& pool) { tried_.push_back(&pool); }
  std::span<const EndpointPool* const> tried() const { return tried_; }
  // How far the next attempt may go for another endpoint, by how the last one ended.
  PickReach reach() const { return reach_; }

  // May be sent twice without doing harm.
  bool idempotent() const { return idempotent_; }

  // Where an attempt has ended.
  struct Attempt {
    RetryCause cause;
    bool whole;              // all that was sent of the request is still here
    bool end_sent;           // the upstream had all of it
    Duration time_left;      // until the request is over in any case
    Duration retry_after{};  // what the response says
  };
  // How long to wait before it goes again; nothing when it does not. A retry that is allowed is
  // counted.
  std::optional<Duration> Next(const Attempt& attempt, Random& random);

  // The request is over: its part of the budget goes back.
  void End();

 private:
  bool Allows(const Attempt& attempt) const;
  bool IsFree(RetryCause cause) const;
  Duration WaitBefore(uint32_t failure, const Attempt& attempt, Random& random) const;

  const RetryPolicy* policy_ = nullptr;
  Cluster* cluster_ = nullptr;
  std::vector<const EndpointPool*> tried_;
  uint32_t retries_ = 0;
  uint32_t failures_ = 0;  // that led to them; a connection that was lost is none
  PickReach reach_ = PickReach::kLevel;
  bool idempotent_ = false;
  bool grpc_ = false;
  bool refused_ = false;  // or given back once, which costs nothing
  bool in_budget_ = false;
};

}  // namespace sluice
