#include "proxy/retry_policy.h"

#include <algorithm>

namespace sluice {

RetryPolicy::RetryPolicy(const RetryConfig& config) : config_(config) {
  for (const std::string& text : config.statuses) {
    if (const auto range = ParseStatusRange(text)) statuses_.push_back(*range);
  }
  for (const std::string& name : config.grpc_statuses) {
    if (const auto status = GrpcStatusByName(name)) grpc_statuses_ |= 1U << *status;
  }
}

bool RetryPolicy::RetriesStatus(int status) const {
  return std::any_of(statuses_.begin(), statuses_.end(),
                     [=](const StatusRange& range) { return range.Contains(status); });
}

bool RetryPolicy::RetriesGrpcStatus(int status) const {
  return status >= 0 && status < 32 && (grpc_statuses_ >> status & 1) != 0;
}

Duration RetryPolicy::Wait(uint32_t number, Random& random) const {
  constexpr uint32_t kMaxDoublings = 20;
  const uint32_t doublings = std::min(number - 1, kMaxDoublings);
  // So that nothing overflows, however long it is.
  const bool longer = config_.backoff > config_.max_backoff / (int64_t{1} << doublings);
  const Duration most = longer ? config_.max_backoff : config_.backoff * (int64_t{1} << doublings);
  return Duration(static_cast<int64_t>(random.Below(static_cast<uint64_t>(most.count()) + 1)));
}

}  // namespace sluice
