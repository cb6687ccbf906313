// What a Proxy needs besides its routes and clusters, for tests that have no connections.
#pragma once

#include "base/budget.h"
#include "base/metrics.h"
#include "http/long_lived_streams.h"
#include "http/part_drains.h"
#include "proxy/websocket_tunnel.h"
#include "sluice/loop.h"

namespace sluice {

struct ProxyExtras {
  ProxyExtras(Loop& loop, MetricShard& shard)
      : long_lived(loop), websocket_metrics(shard, "test") {}
  LongLivedStreams long_lived;
  WebSocketMetrics websocket_metrics;
  PartDrains parts;
  Budget websockets{0};
};

}  // namespace sluice
