#include "proxy/retries.h"

#include <algorithm>
#include <utility>

namespace sluice {

void Retries::Begin(const RetryPolicy& policy, Cluster& cluster, bool idempotent) {
  policy_ = &policy;
  cluster_ = &cluster;
  idempotent_ = idempotent || policy.config().any_method;
}

bool Retries::Allows(const Attempt& attempt) const {
  const RetryConfig& config = policy_->config();
  // What the upstream gives back need not be here.
  if (!attempt.whole && attempt.cause != RetryCause::kPartialPost) return false;
  switch (attempt.cause) {
    case RetryCause::kConnectFailure:
      return config.connect_failure;
    case RetryCause::kRefused:
      return config.refused;
    case RetryCause::kLost:
    case RetryCause::kReset:
    case RetryCause::kTryTimeout:
      // Who lacks the end of a request cannot have carried it out.
      return (config.reset && idempotent_) || (config.uploads && !attempt.end_sent);
    case RetryCause::kStatus:
      return idempotent_;
    // Every call of gRPC is a POST: which may be made twice the route alone can say, by its list.
    case RetryCause::kGrpcStatus:
    case RetryCause::kPartialPost:
      return true;
  }
  return false;
}

std::optional<Duration> Retries::Next(const Attempt& attempt, Random& random) {
  if (!policy_->ever() || !Allows(attempt) || attempt.time_left <= Duration::zero()) {
    return std::nullopt;
  }
  if (IsFree(attempt.cause)) {
    refused_ = true;
    cluster_->CountRetry(attempt.cause);
    return Duration::zero();
  }
  if (retries_ == policy_->config().attempts) return std::nullopt;
  const Duration wait = WaitBefore(retries_ + 1, attempt, random);
  if (wait >= attempt.time_left) return std::nullopt;
  if (!in_budget_ && !cluster_->TryRetry()) return std::nullopt;
  in_budget_ = true;
  ++retries_;
  cluster_->CountRetry(attempt.cause);
  return wait;
}

Duration Retries::WaitBefore(uint32_t number, const Attempt& attempt, Random& random) const {
  const bool elsewhere = cluster_->HasUntried(tried_);
  // An idle connection dies without its endpoint having to be ill.
  const bool at_once = number == 1 && (elsewhere || attempt.cause == RetryCause::kLost) &&
                       attempt.cause <= RetryCause::kRefused;
  const Duration wait = at_once ? Duration::zero() : policy_->Wait(number, random);
  // RFC 9110 10.2.3: what one endpoint asks for is nothing to the others.
  return elsewhere ? wait : std::max(wait, attempt.retry_after);
}

// One GOAWAY may refuse all that was on its way, and a restart give back all uploads, which is not
// more work for the cluster than before: the first time costs nothing (RFC 9113 8.7).
bool Retries::IsFree(RetryCause cause) const {
  return !refused_ && (cause == RetryCause::kRefused || cause == RetryCause::kPartialPost);
}

void Retries::End() {
  if (std::exchange(in_budget_, false)) cluster_->EndRetry();
  tried_.clear();
  retries_ = 0;
  idempotent_ = refused_ = false;
}

}  // namespace sluice
