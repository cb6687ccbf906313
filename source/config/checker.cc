#include "config/checker.h"

#include <algorithm>
#include <set>
#include <utility>

#include "config/address.h"
#include "config/duration.h"

namespace sluice {
namespace {

using std::chrono::seconds;

// Most servers close an idle connection by then: nginx after 75 s, Apache after 5, Node after 5.
constexpr Duration kCommonUpstreamIdle = seconds(75);

// A shorter grace period is no reason to complain of what nobody wrote.
constexpr Duration kDefaultStall = ListenerTimeouts{}.write;

std::string Value(std::string_view key, Duration value) {
  return std::string(key) + " (" + FormatDuration(value) + ")";
}

bool Forwards(const RouteConfig& route) { return !route.redirect && !route.direct_response; }

// Takes every request that reaches it, so that no route behind it is ever looked at.
bool TakesEverything(const RouteMatch& match) {
  return match.path_kind == RouteMatch::PathKind::kPrefix && match.path == "/" &&
         match.methods.empty() && match.headers.empty() && match.query.empty();
}

class Checker {
 public:
  explicit Checker(const Config& config) : config_(config), drain_(config.drain) {}

  std::vector<std::string> Check() {
    CheckBudget();
    CheckDrain();
    CheckAdmin();
    for (const ListenerConfig& listener : config_.listeners) CheckListener(listener);
    for (const ClusterConfig& cluster : config_.clusters) CheckCluster(cluster);
    CheckSelfDrain();
    return std::move(warnings_);
  }

 private:
  void Warn(std::string warning) { warnings_.push_back(std::move(warning)); }

  void CheckBudget() {
    const std::vector<std::pair<std::string_view, Duration>> phases = {
        {"propagation_delay", drain_.propagation_delay},
        {"jitter", drain_.jitter},
        {"deadline", drain_.deadline},
        {"stopping_background", drain_.stopping_background},
        {"flushing", drain_.flushing},
        {"releasing", drain_.releasing}};
    Duration sum{};
    std::string terms;
    for (const auto& [name, budget] : phases) {
      sum += budget;
      terms += (terms.empty() ? "" : " + ") + Value(name, budget);
    }
    if (sum <= drain_.grace_period) return;
    Warn("drain: " + terms + " = " + FormatDuration(sum) + " is more than " +
         Value("grace_period", drain_.grace_period) +
         ": the process would be killed before it is " +
         "done; shorten them, or raise drain.grace_period together with what the orchestrator " +
         "allows (terminationGracePeriodSeconds, TimeoutStopSec)");
  }

  void CheckDrain() {
    const std::string deadline = Value("drain.deadline", drain_.deadline);
    if (drain_.spread > drain_.deadline) {
      Warn(
          Value("drain.spread", drain_.spread) + " is longer than " + deadline +
          ": the last clients would be told when they are already being cut; shorten drain.spread");
    }
    if (drain_.idle_grace > drain_.deadline) {
      Warn(Value("drain.idle_grace", drain_.idle_grace) + " is longer than " + deadline +
           ": idle connections alone would hold the drain; shorten drain.idle_grace");
    }
    if (drain_.linger > drain_.deadline) {
      Warn(Value("drain.linger", drain_.linger) + " is longer than " + deadline +
           ": a client that does not close would hold the drain; shorten drain.linger");
    }
    if (drain_.strategy == DrainStrategy::kGradual && drain_.propagation_delay == Duration{}) {
      Warn("drain.strategy (gradual) has no time to be gradual, because " +
           Value("drain.propagation_delay", Duration{}) +
           "; set a delay, or drain.strategy to immediate");
    }
  }

  void CheckAdmin() {
    const auto address = ParseConfigAddress(config_.admin.address);
    if (!address || address->IsLoopback()) return;
    Warn(
        "admin.address (" + config_.admin.address + ") is reachable from other machines" +
        (address->IsWildcard() ? ", on every interface" : "") +
        ": whoever can connect can drain this process; use 127.0.0.1 or unix:/PATH, or see to it " +
        "that a firewall keeps others out");
  }

  void CheckListener(const ListenerConfig& listener) {
    const std::string key = "listeners." + listener.name;
    CheckPropagation(listener, key);
    CheckTimeouts(listener.timeouts, key + ".timeouts.");
    const ListenerLimits& limits = listener.limits;
    if (limits.uri_bytes > limits.header_bytes) {
      Warn(
          key + ".limits.uri_bytes (" + std::to_string(limits.uri_bytes) + ") is more than " +
          "header_bytes (" + std::to_string(limits.header_bytes) +
          "), of which the URI is a part: it has no effect; lower uri_bytes or raise header_bytes");
    }
    if (config_.max_connections != 0 && limits.connections > config_.max_connections) {
      Warn(key + ".limits.connections (" + std::to_string(limits.connections) +
           ") is more than max_connections (" + std::to_string(config_.max_connections) +
           ") of the whole process: it has no effect; lower the one or raise the other");
    }
    for (const VirtualHost& host : listener.virtual_hosts) CheckVirtualHost(host, key);
  }

  // The endpoints of a service, as its clients see them, change some time after SIGTERM: until then
  // they keep coming. On the loopback there is nobody to wait for.
  void CheckPropagation(const ListenerConfig& listener, const std::string& key) {
    if (listener.direction != Direction::kInbound || drain_.propagation_delay != Duration{}) return;
    const auto address = ParseConfigAddress(listener.address);
    if (!address || address->IsLoopback()) return;
    Warn(Value("drain.propagation_delay", Duration{}) + " with the inbound listener " + key + " (" +
         listener.address +
         "): clients that have not heard of the drain yet would be refused; set " +
         "it to the time your load balancer takes to notice that /ready says 503 (5s is usual)");
  }

  void CheckTimeouts(const ListenerTimeouts& timeouts, const std::string& key) {
    if (timeouts.header == Duration{}) {
      Warn(Value(key + "header", timeouts.header) +
           ": a client that sends its request head byte by " +
           "byte holds a connection for ever (slowloris); set it, 10s is the default");
    }
    if (timeouts.idle == Duration{}) {
      Warn(Value(key + "idle", timeouts.idle) +
           ": an idle connection, and one whose client is gone, " +
           "is kept for ever; set it, 60s is the default");
    }
    CheckStall(timeouts.body, key + "body", "sending its request");
    CheckStall(timeouts.write, key + "write", "taking its response");
  }

  void CheckStall(Duration timeout, const std::string& key, const std::string& what) {
    if (timeout == Duration{}) {
      Warn(Value(key, timeout) + ": a client that stops " + what +
           " is held until the drain's deadline cuts it; set it, 30s is the default");
    } else if (timeout > std::max(drain_.grace_period, kDefaultStall)) {
      Warn(Value(key, timeout) + " is longer than " +
           Value("drain.grace_period", drain_.grace_period) + ": a client that stops " + what +
           " outlasts every drain and is cut; shorten the timeout");
    }
  }

  void CheckVirtualHost(const VirtualHost& host, const std::string& listener) {
    const RouteConfig* last = nullptr;
    for (const RouteConfig& route : host.routes) {
      const std::string key = listener + ": route " + route.name;
      if (last != nullptr) {
        Warn(key + " is never reached: " + last->name + " before it takes every request; " +
             "put it before that one, or remove it");
        break;
      }
      if (TakesEverything(route.match)) last = &route;
      CheckRoute(route, key);
    }
  }

  void CheckRoute(const RouteConfig& route, const std::string& key) {
    if (!Forwards(route)) return;
    const std::string deadline = Value("drain.deadline", drain_.deadline);
    if (route.timeout == Duration{}) {
      Warn(key + ": " + Value("timeout", route.timeout) + " means none, but a drain ends at " +
           deadline + ": a request that takes longer is cut; set a timeout no longer than that");
    } else if (route.timeout > drain_.deadline) {
      Warn(
          key + ": " + Value("timeout", route.timeout) + " is longer than " + deadline +
          ": a request may be cut by a drain before its time is up; shorten the timeout or raise " +
          "drain.deadline");
    }
    for (const WeightedCluster& target : route.clusters) {
      used_.insert(target.cluster);
      CheckConnectTimeout(route, target.cluster, key);
    }
    if (route.mirror) used_.insert(route.mirror->cluster);
    CheckRetries(route, key);
  }

  void CheckRetries(const RouteConfig& route, const std::string& key) {
    const RetryConfig& retries = route.retries;
    const bool no_time = route.timeout != Duration{} && retries.per_try_timeout >= route.timeout;
    if (retries.attempts > 0 && no_time) {
      Warn(key + ": " + Value("retries.per_try_timeout", retries.per_try_timeout) +
           " is not shorter than " + Value("timeout", route.timeout) +
           ": when an attempt has taken too long there is no time for another; shorten it");
    }
    if (retries.attempts == 0 && (!retries.statuses.empty() || !retries.grpc_statuses.empty())) {
      Warn(key + ": retries.statuses do nothing with retries.attempts 0; raise that");
    }
  }

  void CheckConnectTimeout(const RouteConfig& route, const std::string& name,
                           const std::string& key) {
    const auto cluster = std::find_if(config_.clusters.begin(), config_.clusters.end(),
                                      [&](const ClusterConfig& c) { return c.name == name; });
    if (cluster == config_.clusters.end() || route.timeout == Duration{}) return;
    if (cluster->connect_timeout < route.timeout) return;
    Warn(key + ": " + Value("timeout", route.timeout) + " is not longer than " +
         Value("clusters." + name + ".connect_timeout", cluster->connect_timeout) +
         ": one dead endpoint uses up all the time there is; shorten connect_timeout");
  }

  void CheckCluster(const ClusterConfig& cluster) {
    const std::string key = "clusters." + cluster.name;
    if (!used_.contains(cluster.name)) {
      Warn(key + " is used by no route; remove it, or name it in one");
    }
    if (cluster.max_idle == 0) {
      Warn(key +
           ".max_idle (0): every request opens a connection of its own to the upstream; set " +
           "it to the connections worth keeping, 256 is the default");
    }
    CheckUpstreamIdle(cluster, key);
    if (cluster.health_check && cluster.health_check->timeout > cluster.health_check->interval) {
      Warn(Value(key + ".health_check.timeout", cluster.health_check->timeout) +
           " is longer than its " + Value("interval", cluster.health_check->interval) +
           ": an endpoint that stands still is found out late; shorten the timeout");
    }
    for (const EndpointConfig& endpoint : cluster.endpoints) CheckLoop(endpoint, key);
  }

  void CheckSelfDrain() {
    if (config_.self_drain.action == SelfDrainAction::kOff) return;
    const bool some_critical = std::any_of(config_.clusters.begin(), config_.clusters.end(),
                                           [](const ClusterConfig& c) { return c.critical; });
    if (some_critical) return;
    Warn(
        "self_drain.action does nothing, because no cluster is critical: say critical: true of "
        "those without which this process is of no use, or remove self_drain");
  }

  // We must be the one who closes: a request that crosses the upstream's close is lost if it cannot
  // be sent twice.
  void CheckUpstreamIdle(const ClusterConfig& cluster, const std::string& key) {
    const bool known = cluster.upstream_idle_timeout != Duration{};
    const Duration theirs = known ? cluster.upstream_idle_timeout : kCommonUpstreamIdle;
    if (cluster.max_idle == 0) return;
    if (cluster.idle_timeout != Duration{} && cluster.idle_timeout < theirs) return;
    const std::string ours = cluster.idle_timeout == Duration{}
                                 ? key + ".idle_timeout (0s, which is for ever)"
                                 : Value(key + ".idle_timeout", cluster.idle_timeout);
    Warn(ours + " is not shorter than " +
         (known ? Value("upstream_idle_timeout", theirs)
                : "what most servers allow (" + FormatDuration(theirs) + ")") +
         ": requests would be sent on connections that the upstream is closing; shorten it" +
         (known ? "" : ", or say in upstream_idle_timeout what the upstream allows"));
  }

  void CheckLoop(const EndpointConfig& endpoint, const std::string& key) {
    if (endpoint.address == config_.admin.address) {
      Warn(key + ": the endpoint " + endpoint.address +
           " is admin.address: clients would reach the " +
           "admin interface; name the service's own address");
    }
    for (const ListenerConfig& listener : config_.listeners) {
      if (listener.address != endpoint.address) continue;
      Warn(key + ": the endpoint " + endpoint.address + " is the listener " + listener.name +
           " of this process: requests would go round in circles; name the service's own address");
    }
  }

  const Config& config_;
  const DrainConfig& drain_;
  std::vector<std::string> warnings_;
  std::set<std::string> used_;
};

}  // namespace

std::vector<std::string> CheckConfig(const Config& config) { return Checker(config).Check(); }

}  // namespace sluice
