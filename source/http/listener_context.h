// What the connections of one listener have in common on one worker, and what is counted of them.
//
// One worker thread.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/metrics.h"
#include "http/h2_flood_guard.h"
#include "http/http_options.h"
#include "sluice/handler.h"

namespace sluice {

inline constexpr size_t kGoawayStages = 3;

// Must outlive its connections.
struct ListenerContext {
  ListenerContext(std::string listener_name, MetricShard& shard);

  void CountGoaway(std::string_view stage);  // "notice", "final" or "error"
  void CountFlood(std::string_view kind);    // H2FloodName

  std::string name;
  Direction direction = Direction::kInbound;
  HttpOptions options;
  Handler* handler = nullptr;
  RequestLog* request_log = nullptr;  // may be null
  uint64_t open_connections = 0;
  uint64_t removed_by = 0;  // as of Part
  // Called whenever a connection of this listener has closed; may be empty.
  std::function<void()> on_connection_closed;

  // Counted for this listener: responses by class (0: no response at all), and so on.
  std::array<MetricCell*, 6> responses;
  MetricCell& connections_total;
  MetricCell& connections_open;
  MetricCell& bytes_in;
  MetricCell& bytes_out;
  MetricHistogram& duration;
  std::array<MetricCell*, kH2FloodCount> floods;   // by H2Flood
  std::array<MetricCell*, kGoawayStages> goaways;  // notice, final, error
};

}  // namespace sluice
