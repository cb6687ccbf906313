// Counters of one cluster on one worker, shared by its pools.
#pragma once

#include <string>

#include "base/metrics.h"

namespace sluice {

struct ClusterMetrics {
  ClusterMetrics(const std::string& cluster, MetricShard& shard);
  MetricCell& connections_total;
  MetricCell& connections_open;
  MetricCell& connect_failures;
  MetricCell& connect_timeouts;
  MetricCell& overflows;
  MetricCell& requests;
  MetricCell& replays_of_lost;
  MetricCell& replays_of_refused;
};

}  // namespace sluice
