// Active health checks of one endpoint, one after the other, and what they make of it.
//
//   unknown --pass--> healthy --unhealthy_threshold failures in a row--> unhealthy
//      \--failure--> unhealthy --healthy_threshold passes in a row--> healthy
//   An endpoint that passes and says that it drains is draining until it passes and does not.
//
// One thread: the control thread checks for all workers.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/metrics.h"
#include "base/timer_queue.h"
#include "sluice/loop.h"
#include "sluice/transport.h"
#include "upstream/endpoint_health.h"
#include "upstream/health_probe.h"

namespace sluice {

// Of a cluster.
struct HealthCheckMetrics {
  HealthCheckMetrics(const std::string& cluster, MetricShard& shard);
  MetricCell& passed;
  MetricCell& failed;
  MetricCell& timed_out;
};

class HealthChecker {
 public:
  struct Surroundings {
    Loop& loop;
    Dialer& dialer;
    const HealthProbeConfig& config;
    HealthCheckMetrics& metrics;
  };
  // Begins at once, but for a little jitter. `changed` is called when `health` has become another,
  // and may destroy the checker. All in `around` must outlive it.
  HealthChecker(const Surroundings& around, std::string address,
                std::function<void(const EndpointHealth&)> changed);
  ~HealthChecker();
  HealthChecker(const HealthChecker&) = delete;

  const EndpointHealth& health() const { return health_; }
  // Why the last check did not pass: "refused", "status 503"; empty: it did, or none is over.
  std::string reason() const;
  const std::string& address() const { return address_; }

  // Somebody has learnt otherwise that the endpoint is about to go: the next check that passes is
  // reported, whether it changes anything or not. Checks soon. Does nothing where a check is a mere
  // connection (tcp): an open port says nothing about that.
  void ReportNextPass();

 private:
  void Check();
  void OnResult(const ProbeResult& result);
  EndpointHealth Next(const ProbeResult& result);
  Duration UntilNext();

  const Surroundings around_;
  const std::string address_;
  const std::function<void(const EndpointHealth&)> changed_;
  Timer timer_;
  // Dies with the checker at once, because it refers to what is around: when it has told its result
  // it is not here any more.
  std::unique_ptr<HealthProbe> probe_;
  EndpointHealth health_;
  ProbeResult last_;
  uint32_t in_a_row_ = 0;  // results that speak against `health_`
  bool report_next_pass_ = false;
};

}  // namespace sluice
