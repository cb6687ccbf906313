#include "upstream/cluster_metrics.h"

namespace sluice {
namespace {

constexpr char kFailuresHelp[] = "Attempts to connect that failed.";
constexpr char kReplaysHelp[] =
    "Requests sent again: lost with a reused connection that had died, or refused unprocessed.";

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
      requests(shard.Counter("sluice_upstream_requests_total", "Requests sent to upstreams.",
                             {{"cluster", cluster}})),
      replays_of_lost(shard.Counter("sluice_upstream_replays_total", kReplaysHelp,
                                    {{"cluster", cluster}, {"reason", "lost"}})),
      replays_of_refused(shard.Counter("sluice_upstream_replays_total", kReplaysHelp,
                                       {{"cluster", cluster}, {"reason", "refused"}})) {}

}  // namespace sluice
