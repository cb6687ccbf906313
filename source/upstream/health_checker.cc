#include "upstream/health_checker.h"

#include <algorithm>
#include <utility>

namespace sluice {
namespace {

constexpr char kHelp[] = "Health checks that are over.";
// A thousand endpoints are not asked in one instant.
constexpr Duration kFirstWithin = std::chrono::milliseconds(50);

Duration Jitter(Duration most, Random& random) {
  return Duration(static_cast<int64_t>(random.Below(static_cast<uint64_t>(most.count()) + 1)));
}

}  // namespace

HealthCheckMetrics::HealthCheckMetrics(const std::string& cluster, MetricShard& shard)
    : passed(shard.Counter("sluice_health_checks_total", kHelp,
                           {{"cluster", cluster}, {"result", "pass"}})),
      failed(shard.Counter("sluice_health_checks_total", kHelp,
                           {{"cluster", cluster}, {"result", "fail"}})),
      timed_out(shard.Counter("sluice_health_checks_total", kHelp,
                              {{"cluster", cluster}, {"result", "timeout"}})) {}

HealthChecker::HealthChecker(const Surroundings& around, std::string address,
                             std::function<void(const EndpointHealth&)> changed)
    : around_(around),
      address_(std::move(address)),
      changed_(std::move(changed)),
      timer_(around.loop.timers(), Delegate::Bind<&HealthChecker::Check>(this)) {
  timer_.Set(around_.loop.Now() +
             Jitter(std::min(kFirstWithin, around_.config.check.interval), around_.loop.random()));
}

HealthChecker::~HealthChecker() = default;

void HealthChecker::Check() {
  probe_ = std::make_unique<HealthProbe>(around_.loop, around_.dialer, around_.config, address_,
                                         [this](const ProbeResult& result) { OnResult(result); });
}

void HealthChecker::ReportNextPass() {
  if (around_.config.check.kind == HealthCheckKind::kTcp) return;
  report_next_pass_ = true;
  // One that is under way began before, and knows nothing of it.
  probe_.reset();
  timer_.Set(
      std::min(timer_.deadline(), around_.loop.Now() + around_.config.check.unhealthy_interval));
}

void HealthChecker::OnResult(const ProbeResult& result) {
  around_.loop.DeleteLater(std::move(probe_));
  last_ = result;
  const bool timed_out = result.reason == kTimeoutReason;
  (result.passed ? around_.metrics.passed
   : timed_out   ? around_.metrics.timed_out
                 : around_.metrics.failed)
      .Add();
  const EndpointHealth before = std::exchange(health_, Next(result));
  timer_.Set(around_.loop.Now() + UntilNext());
  const bool wanted = report_next_pass_ && result.passed;
  if (wanted) report_next_pass_ = false;
  if (wanted || health_ != before) changed_(health_);
}

std::string HealthChecker::reason() const {
  std::string reason(last_.reason);
  if (reason == kStatusReason) reason += ' ' + std::to_string(last_.status);
  return reason;
}

EndpointHealth HealthChecker::Next(const ProbeResult& result) {
  const HealthCheckConfig& config = around_.config.check;
  EndpointHealth next = health_;
  if (result.passed) next.draining = result.draining;
  if (!health_.known) {
    next.known = true;
    next.healthy = result.passed;
    in_a_row_ = 0;
  } else if (result.passed == health_.healthy) {
    in_a_row_ = 0;
  } else if (++in_a_row_ >=
             (result.passed ? config.healthy_threshold : config.unhealthy_threshold)) {
    next.healthy = result.passed;
    in_a_row_ = 0;
  }
  return next;
}

Duration HealthChecker::UntilNext() {
  const HealthCheckConfig& config = around_.config.check;
  const bool well = health_.healthy && in_a_row_ == 0 && !report_next_pass_;
  const Duration interval = well ? config.interval : config.unhealthy_interval;
  return interval + Jitter(interval * config.jitter_percent / 100, around_.loop.random());
}

}  // namespace sluice
