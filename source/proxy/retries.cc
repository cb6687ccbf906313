#include "proxy/retries.h"

#include <algorithm>
#include <utility>

namespace sluice {

namespace {

// An idle connection that has died, and a refusal, say nothing against an endpoint; after an answer
// one that answers is wanted; the others say that it is not there.
PickReach ReachAfter(RetryCause cause) {
  switch (cause) {
    case RetryCause::kLost:
    case RetryCause::kRefused:
      return PickReach::kLevel;
    case RetryCause::kStatus:
    case RetryCause::kGrpcStatus:
    case RetryCause::kPartialPost:
      return PickReach::kChecked;
    case RetryCause::kConnectFailure:
    case RetryCause::kReset:
    case RetryCause::kTryTimeout:
      return PickReach::kAny;
  }
  return PickReach::kAny;
}

}  // namespace

void Retries::Begin(const RetryPolicy& policy, Cluster& cluster, bool idempotent, bool grpc) {
  policy_ = &policy;
  grpc_ = grpc;
  cluster_ = &cluster;
  idempotent_ = idempotent || policy.config().any_method;
}

bool Retries::Allows(const Attempt& attempt) const {
  const RetryConfig& config = policy_->config();
  // What the upstream gives back need not be here, nor what was not sent.
  const bool needs_all =
      attempt.cause != RetryCause::kPartialPost && attempt.cause != RetryCause::kConnectFailure;
  if (needs_all && !attempt.whole) return false;
  switch (attempt.cause) {
    case RetryCause::kConnectFailure:
      return config.connect_failure;
    case RetryCause::kRefused:
      return config.refused;
    case RetryCause::kLost:
    case RetryCause::kReset:
    case RetryCause::kTryTimeout:
      // Who lacks the end of a request cannot have carried it out, unless it is a call of gRPC:
      // there each message counts.
      return (config.reset && idempotent_) || (config.uploads && !attempt.end_sent && !grpc_);
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
  reach_ = ReachAfter(attempt.cause);
  if (!policy_->ever() || !Allows(attempt) || attempt.time_left <= Duration::zero()) {
    return std::nullopt;
  }
  if (IsFree(attempt.cause)) {
    refused_ = true;
    cluster_->CountRetry(attempt.cause);
    return Duration::zero();
  }
  if (retries_ == policy_->config().attempts) return std::nullopt;
  const Duration wait = WaitBefore(failures_ + 1, attempt, random);
  if (wait >= attempt.time_left) return std::nullopt;
  if (!in_budget_ && !cluster_->TryRetry()) return std::nullopt;
  in_budget_ = true;
  ++retries_;
  if (attempt.cause != RetryCause::kLost) ++failures_;
  cluster_->CountRetry(attempt.cause);
  return wait;
}

Duration Retries::WaitBefore(uint32_t failure, const Attempt& attempt, Random& random) const {
  const bool elsewhere = cluster_->HasOther({.not_these = tried_, .reach = reach_});
  // An idle connection dies without its endpoint having to be ill.
  const bool at_once = failure == 1 && (elsewhere || attempt.cause == RetryCause::kLost) &&
                       attempt.cause <= RetryCause::kRefused;
  const Duration wait = at_once ? Duration::zero() : policy_->Wait(failure, random);
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
  retries_ = failures_ = 0;
  reach_ = PickReach::kLevel;
  idempotent_ = grpc_ = refused_ = false;
}

}  // namespace sluice
