#include "upstream/cluster_metrics.h"

namespace sluice {
namespace {

constexpr char kFailuresHelp[] = "Attempts to connect that failed.";
}  // namespace

ClusterMetrics::ClusterMetrics(const std::string& cluster, MetricShard& shard)
    : connections_total(shard.Counter("sluice_upstream_connections_total",
                                      "Connections made to upstreams.", {{"cluster", cluster}})),
      connections_open(shard.Gauge("sluice_upstream_connections_open",
                                   "Connections to upstreams now open.", {{"cluster", cluster}})),
      connect_failures(shard.Counter("sluice_upstream_connect_failures_total", kFailuresHelp,
                                     {{"cluster", cluster}, {"reason", "refused"}})),
      connect_timeouts(shard.Counter("sluice_upstream_connect_failures_total", kFailuresHelp,
                                     {{"cluster", cluster}, {"reason", "timeout"}})),
      overflows(shard.Counter("sluice_upstream_pending_overflow_total",
                              "Requests refused because too many wait for a connection.",
                              {{"cluster", cluster}})),
      overloads(shard.Counter("sluice_upstream_overload_total",
                              "Requests refused because those before them wait too long.",
                              {{"cluster", cluster}})),
      requests(shard.Counter("sluice_upstream_requests_total", "Requests sent to upstreams.",
                             {{"cluster", cluster}})),
      retry_overflows(shard.Counter("sluice_upstream_retry_overflow_total",
                                    "Retries that the budget did not allow.",
                                    {{"cluster", cluster}})),
      drains_seen(shard.Counter("sluice_upstream_drains_total",
                                "Endpoints that said they were about to go.",
                                {{"cluster", cluster}})),
      ejections(shard.Counter("sluice_upstream_ejections_total",
                              "Endpoints set aside for what their requests met.",
                              {{"cluster", cluster}})),
      retries() {
  for (size_t i = 0; i < kRetryCauseCount; ++i) {
    const std::string reason(RetryCauseName(static_cast<RetryCause>(i)));
    retries[i] = &shard.Counter("sluice_upstream_retries_total", "Requests sent once more.",
                                {{"cluster", cluster}, {"reason", reason}});
  }
}

}  // namespace sluice
