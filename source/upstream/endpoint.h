// One endpoint of a cluster as one worker sees it: its connections, and what is known of how it is.
//
// One worker thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/time.h"
#include "config/cluster_config.h"
#include "sluice/held.h"
#include "upstream/endpoint_group.h"
#include "upstream/endpoint_health.h"
#include "upstream/endpoint_pool.h"
#include "upstream/outlier_detector.h"

namespace sluice {

// How an endpoint is, the strongest reason first.
enum class EndpointState : uint8_t {
  kDrained,    // by an operator
  kUnhealthy,  // its health check fails
  kUnchecked,  // its first health check is not over
  kEjected,    // set aside for what its requests met
  kDraining,   // it has told us so
  kWarmingUp,  // it gets a part of its share
  kUsable,
};
inline constexpr size_t kEndpointStateCount = 7;
std::string_view EndpointStateName(EndpointState state);  // "drained", "unhealthy", ...

// How far one may go down in choosing, when there is none that is better.
enum class EndpointTier : uint8_t {
  kGood,      // usable, or warming up
  kDraining,  // also what drains by itself: it still answers, most likely
  kAny,       // also what seems to be dead: trying it is better than failing for sure
};

class Endpoint {
 public:
  static constexpr size_t kRemoved = SIZE_MAX;

  Endpoint(std::unique_ptr<EndpointPool> connections, EndpointConfig endpoint_config);
  Endpoint(const Endpoint&) = delete;

  EndpointState state(TimePoint now) const;
  bool Takes(EndpointTier tier, TimePoint now) const;

  // When `state` may change by itself next; kNever. A warm-up changes all the time.
  TimePoint NextChange(TimePoint now) const;

  // Requests in flight from this worker.
  uint32_t active() const { return place == kRemoved ? 0 : group->load(place).active; }

  const std::unique_ptr<EndpointPool> pool;
  Hold<EndpointPool> kept;  // while it is not removed
  EndpointConfig config;
  const uint64_t identity;  // of its address, the same on every worker and in every process

  // Where it is among those to choose from; `group` is null before there is a place, and `place`
  // is kRemoved once it has none any more.
  EndpointGroup* group = nullptr;
  size_t place = kRemoved;

  bool drained = false;  // by an operator
  EndpointHealth health{.healthy = true, .draining = false, .known = true};
  TimePoint draining_until{};  // as it told us in a response, or by GOAWAY
  TimePoint warms_up_until{};
  bool was_good = true;  // when it was looked at last
  OutlierRecord outlier;
};

}  // namespace sluice
