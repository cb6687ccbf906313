#include "http/listener_context.h"

#include <utility>

namespace sluice {
namespace {

constexpr std::array<std::string_view, kGoawayStages> kStages = {"notice", "final", "error"};

}  // namespace

ListenerContext::ListenerContext(std::string listener_name, MetricShard& shard)
    : name(std::move(listener_name)),
      connections_total(shard.Counter("sluice_connections_total",
                                      "Downstream connections accepted.", {{"listener", name}})),
      connections_open(shard.Gauge("sluice_connections_open", "Downstream connections now open.",
                                   {{"listener", name}})),
      bytes_in(shard.Counter("sluice_request_body_bytes_total",
                             "Request body bytes received from clients.", {{"listener", name}})),
      bytes_out(shard.Counter("sluice_response_body_bytes_total",
                              "Response body bytes sent to clients.", {{"listener", name}})),
      duration(shard.Histogram("sluice_request_duration_seconds",
                               "First byte of a request to the end of its response.",
                               {{"listener", name}})) {
  static constexpr std::array<const char*, 6> kClasses = {"none", "1xx", "2xx",
                                                          "3xx",  "4xx", "5xx"};
  for (size_t i = 0; i < kClasses.size(); ++i) {
    responses[i] =
        &shard.Counter("sluice_requests_total", "Requests that are over, by class of the response.",
                       {{"listener", name}, {"class", kClasses[i]}});
  }
  for (size_t i = 0; i < kH2FloodCount; ++i) {
    const std::string kind(H2FloodName(static_cast<H2Flood>(i)));
    floods[i] = &shard.Counter("sluice_http2_floods_total",
                               "HTTP/2 connections ended because the client flooded us.",
                               {{"listener", name}, {"kind", kind}});
  }
  for (size_t i = 0; i < kGoawayStages; ++i) {
    goaways[i] = &shard.Counter("sluice_goaway_sent_total", "GOAWAY frames sent to clients.",
                                {{"listener", name}, {"stage", std::string(kStages[i])}});
  }
}

void ListenerContext::CountGoaway(std::string_view stage) {
  for (size_t i = 0; i < kGoawayStages; ++i) {
    if (kStages[i] == stage) goaways[i]->Add();
  }
}

void ListenerContext::CountFlood(std::string_view kind) {
  for (size_t i = 0; i < kH2FloodCount; ++i) {
    if (H2FloodName(static_cast<H2Flood>(i)) == kind) floods[i]->Add();
  }
}

}  // namespace sluice
