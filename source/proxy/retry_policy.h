// When the requests of a route are sent once more, compiled from its configuration. Immutable,
// shared by all threads.
#pragma once

#include <cstdint>
#include <vector>

#include "base/random.h"
#include "base/time.h"
#include "config/route_config.h"
#include "config/status_range.h"

namespace sluice {

class RetryPolicy {
 public:
  explicit RetryPolicy(const RetryConfig& config);

  const RetryConfig& config() const { return config_; }
  // Whether anything can make a request go again, so that what is sent of it has to be held.
  bool ever() const { return config_.attempts > 0; }

  bool RetriesStatus(int status) const;
  bool RetriesGrpcStatus(int status) const;
  bool retries_grpc() const { return grpc_statuses_ != 0; }

  // Before the retry of this number, from 1: uniformly up to the backoff doubled for each of those
  // before, so that clients who failed together do not come back together.
  Duration Wait(uint32_t number, Random& random) const;

 private:
  RetryConfig config_;
  std::vector<StatusRange> statuses_;
  uint32_t grpc_statuses_ = 0;  // a bit for each
};

}  // namespace sluice
