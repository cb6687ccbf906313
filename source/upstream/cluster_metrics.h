// Counters of one cluster on one worker, shared by its pools.
#pragma once

#include <array>
#include <string>

#include "base/metrics.h"
#include "upstream/retry_cause.h"

namespace sluice {

struct ClusterMetrics {
  ClusterMetrics(const std::string& cluster, MetricShard& shard);
  MetricCell& connections_total;
  MetricCell& connections_open;
  MetricCell& connect_failures;
  MetricCell& connect_timeouts;
  MetricCell& overflows;
  MetricCell& overloads;
  MetricCell& requests;
  MetricCell& retry_overflows;
  MetricCell& drains_seen;
  MetricCell& ejections;
  std::array<MetricCell*, kRetryCauseCount> retries;  // by RetryCause
};

}  // namespace sluice
