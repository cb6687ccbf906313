// The limits of a cluster on one worker, and how far they are used. They keep a cluster that has
// become slow from filling this process with requests that wait for it.
//
// One worker thread.
#pragma once

#include <algorithm>
#include <cstdint>

#include "config/cluster_config.h"

namespace sluice {

class CircuitBreaker {
 public:
  // `config` must outlive it.
  explicit CircuitBreaker(const CircuitBreakerConfig& config) : config_(config) {}

  bool connections_full() const { return Full(connections, config_.connections); }
  bool connections_beyond() const {
    return connections_full() && connections > config_.connections;
  }
  bool pending_full() const { return Full(pending, config_.pending); }
  bool requests_full() const { return Full(requests, config_.requests); }

  // A dying cluster must not be met with twice the load.
  bool retries_full() const {
    const uint64_t share = uint64_t{requests} * config_.retry_percent / 100;
    return retries >= std::max<uint64_t>(config_.min_retries, share);
  }

  uint32_t connections = 0;  // open, and being opened
  uint32_t pending = 0;      // requests that wait for one
  uint32_t requests = 0;     // in flight
  uint32_t retries = 0;      // those of them that are retries

 private:
  static bool Full(uint32_t count, uint32_t limit) { return limit != 0 && count >= limit; }

  const CircuitBreakerConfig& config_;
};

}  // namespace sluice
