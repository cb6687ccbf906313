// Why a request is sent once more; also the `reason` label of sluice_upstream_retries_total.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace sluice {

// Why an attempt is over without an answer for the client.
enum class RetryCause : uint8_t {
  kConnectFailure,  // nothing was sent
  kLost,            // a reused connection had died, as they do when they are idle
  kReset,           // a fresh one broke off
  kRefused,         // the upstream has not processed it
  kTryTimeout,      // no response within per_try_timeout
  kStatus,          // the response's
  kGrpcStatus,
  kPartialPost,  // a restarting upstream gives an upload back (379)
};
inline constexpr size_t kRetryCauseCount = 8;
std::string_view RetryCauseName(RetryCause cause);  // "connect_failure", "lost", ...

}  // namespace sluice
