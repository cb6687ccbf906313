#include "server/upstream_watch.h"

#include <algorithm>
#include <set>
#include <tuple>
#include <utility>

#include "base/log.h"
#include "net/dns_resolver.h"
#include "net/system_resolver.h"

namespace sluice {
namespace {

// Of clusters that are looked up in the same way.
std::string ResolverKey(const DnsConfig& config) {
  std::string key = std::to_string(config.timeout.count()) + " " + std::to_string(config.tries);
  for (const std::string& server : config.servers) key += " " + server;
  return key;
}

// Whether the answers to one may stand for those to the other.
bool AskTheSame(const DnsConfig& a, const DnsConfig& b) {
  return std::tie(a.name, a.records, a.servers) == std::tie(b.name, b.records, b.servers);
}

Result<std::unique_ptr<Resolver>> MakeResolver(UvLoop& loop, const DnsResolverOptions& options) {
  if (options.servers.empty()) return SystemResolver::Create(loop, options);
  return DnsResolver::Create(loop, options);
}

// Readiness is not put off for longer.
constexpr Duration kPatience = std::chrono::seconds(5);

std::string_view EventOf(EndpointNews::Kind kind) {
  return kind == EndpointNews::Kind::kDraining ? "endpoint_draining" : "endpoint_ejected";
}

std::string_view EventOf(const EndpointHealth& health) {
  if (!health.healthy) return "endpoint_unhealthy";
  return health.draining ? "endpoint_draining" : "endpoint_healthy";
}

}  // namespace

// The health checks of one cluster.
struct UpstreamWatch::Checks {
  Checks(const ClusterConfig& cluster, MetricShard& shard)
      : config(cluster), probe(cluster), metrics(cluster.name, shard) {}

  // Whether they can go on under another configuration.
  bool Fit(const ClusterConfig& other) const {
    return config.health_check == other.health_check && config.protocol == other.protocol &&
           config.tls == other.tls && config.upstream_drain.header == other.upstream_drain.header;
  }

  ClusterConfig config;
  const HealthProbeConfig probe;
  HealthCheckMetrics metrics;
  std::unique_ptr<SecureDialer> secure;                            // null: cleartext
  std::map<std::string, std::unique_ptr<HealthChecker>> checkers;  // by address
};

UpstreamWatch::UpstreamWatch(Surroundings surroundings)
    : around_(std::move(surroundings)),
      dialer_(around_.loop),
      patience_(around_.loop.timers(), Delegate::Bind<&UpstreamWatch::EndWarmUp>(this)) {}

UpstreamWatch::~UpstreamWatch() = default;

Result<void> UpstreamWatch::Use(std::shared_ptr<const Snapshot> snapshot) {
  snapshot_ = std::move(snapshot);
  std::set<std::string> looked_up;
  std::set<std::string> checked;
  std::set<std::string> resolvers;
  Result<void> result;
  for (size_t i = 0; i < snapshot_->config.clusters.size(); ++i) {
    const ClusterConfig& config = snapshot_->config.clusters[i];
    if (config.health_check) {
      checked.insert(config.name);
      UseChecks(config, snapshot_->cluster_tls[i]);
    }
    if (!config.dns) continue;
    if (auto done = LookUp(config); !done) {
      if (result) result = Fail("cluster " + config.name + ": " + done.error().message);
      continue;
    }
    looked_up.insert(config.name);
    resolvers.insert(ResolverKey(*config.dns));
  }
  std::erase_if(discoveries_, [&](const auto& entry) { return !looked_up.contains(entry.first); });
  // None of those that are left asks these any more.
  std::erase_if(resolvers_, [&](const auto& entry) { return !resolvers.contains(entry.first); });
  std::erase_if(checks_, [&](const auto& entry) { return !checked.contains(entry.first); });
  Settle();
  return result;
}

Result<void> UpstreamWatch::LookUp(const ClusterConfig& config) {
  const auto present = discoveries_.find(config.name);
  DnsDiscovery::Known known{.endpoints = config.endpoints};
  if (present != discoveries_.end()) {
    if (present->second->config() == *config.dns) return {};
    if (AskTheSame(present->second->config(), *config.dns)) {
      known.targets = present->second->targets();
    }
  }
  const Result<Resolver*> resolver = ResolverFor(*config.dns);
  if (!resolver) return tl::unexpected(resolver.error());
  // What is found leads to Use again, which must not happen inside a discovery.
  const auto found = [this, name = config.name] {
    around_.loop.Post([this, name] { TellFound(name); });
  };
  const auto answered = [this] { around_.loop.Post([this] { Settle(); }); };
  discoveries_[config.name] = std::make_unique<DnsDiscovery>(
      config.name, *config.dns, std::move(known),
      DnsDiscovery::Surroundings{around_.loop, **resolver, around_.shard, found, answered});
  return {};
}

Result<Resolver*> UpstreamWatch::ResolverFor(const DnsConfig& config) {
  const std::string key = ResolverKey(config);
  if (const auto present = resolvers_.find(key); present != resolvers_.end()) {
    return present->second.get();
  }
  auto created = MakeResolver(
      around_.loop, {.servers = config.servers, .timeout = config.timeout, .tries = config.tries});
  if (!created) return tl::unexpected(created.error());
  return (resolvers_[key] = std::move(*created)).get();
}

void UpstreamWatch::TellFound() {
  std::vector<std::string> names;  // telling leads to Use, which changes the map
  for (const auto& [name, discovery] : discoveries_) names.push_back(name);
  for (const std::string& name : names) TellFound(name);
}

// Asks the discovery that there is now: the one that has found something may be gone, and the
// cluster have changed.
void UpstreamWatch::TellFound(const std::string& cluster) {
  const auto discovery = discoveries_.find(cluster);
  if (discovery == discoveries_.end()) return;
  const std::vector<EndpointConfig> endpoints = discovery->second->endpoints();
  for (const ClusterConfig& config : snapshot_->config.clusters) {
    if (config.name != cluster || config.endpoints == endpoints) continue;
    return around_.found(cluster, endpoints);
  }
}

void UpstreamWatch::UseChecks(const ClusterConfig& config,
                              std::shared_ptr<const TlsClientContext> tls) {
  auto& checks = checks_[config.name];
  if (checks == nullptr || !checks->Fit(config)) {
    checks = std::make_unique<Checks>(config, around_.shard);
    if (tls != nullptr) {
      checks->secure = std::make_unique<SecureDialer>(
          around_.loop, dialer_, tls, TlsHandshakeMetrics::OfCluster(around_.shard, config.name));
    }
  } else if (checks->secure != nullptr) {
    checks->secure->dialer.SetContext(tls);
  }
  std::set<std::string> present;
  for (const EndpointConfig& endpoint : config.endpoints) {
    present.insert(endpoint.address);
    auto& checker = checks->checkers[endpoint.address];
    if (checker != nullptr) continue;
    Dialer* dialer = &dialer_;
    if (checks->secure != nullptr) dialer = &checks->secure->dialer;
    checker = std::make_unique<HealthChecker>(
        HealthChecker::Surroundings{around_.loop, *dialer, checks->probe, checks->metrics},
        endpoint.address,
        [this, name = config.name, address = endpoint.address](const EndpointHealth& health) {
          OnHealth(name, address, health);
        });
  }
  std::erase_if(checks->checkers,
                [&](const auto& entry) { return !present.contains(entry.first); });
}

void UpstreamWatch::OnHealth(const std::string& cluster, const std::string& address,
                             const EndpointHealth& health) {
  if (health.healthy) {
    LogEvent(health.draining ? Level::kWarning : Level::kInfo, EventOf(health),
             {{"cluster", cluster}, {"endpoint", address}});
  } else {
    LogEvent(
        Level::kWarning, EventOf(health),
        {{"cluster", cluster}, {"endpoint", address}, {"reason", ReasonFor(cluster, address)}});
  }
  around_.health({cluster, address, health});
  Settle();
}

void UpstreamWatch::OnNews(const std::string& cluster, const EndpointNews& news) {
  LogEvent(Level::kWarning, EventOf(news.kind),
           {{"cluster", cluster}, {"endpoint", news.address}, {"reason", news.reason}});
  const auto checks = checks_.find(cluster);
  if (news.kind != EndpointNews::Kind::kDraining || checks == checks_.end()) return;
  const auto checker = checks->second->checkers.find(news.address);
  if (checker != checks->second->checkers.end()) checker->second->ReportNextPass();
}

// ---- what is known

std::vector<HealthFinding> UpstreamWatch::Health() const {
  std::vector<HealthFinding> findings;
  for (const auto& [name, checks] : checks_) {
    for (const auto& [address, checker] : checks->checkers) {
      if (checker->health().known) findings.push_back({name, address, checker->health()});
    }
  }
  return findings;
}

std::string UpstreamWatch::ReasonFor(const std::string& cluster, const std::string& address) const {
  const auto checks = checks_.find(cluster);
  if (checks == checks_.end()) return {};
  const auto checker = checks->second->checkers.find(address);
  return checker == checks->second->checkers.end() ? std::string() : checker->second->reason();
}

std::string UpstreamWatch::DnsErrorOf(const std::string& cluster) const {
  const auto discovery = discoveries_.find(cluster);
  return discovery == discoveries_.end() ? std::string() : discovery->second->error();
}

bool UpstreamWatch::OutOfReach(const std::string& cluster) const {
  for (const ClusterConfig& config : snapshot_->config.clusters) {
    if (config.name != cluster || !config.endpoints.empty()) continue;
    const auto discovery = discoveries_.find(cluster);
    return discovery == discoveries_.end() || discovery->second->answered();
  }
  const auto checks = checks_.find(cluster);
  if (checks == checks_.end()) return false;
  const auto& checkers = checks->second->checkers;
  return std::all_of(checkers.begin(), checkers.end(), [](const auto& entry) {
    return entry.second->health().known && !entry.second->health().healthy;
  });
}

void UpstreamWatch::Settle() {
  size_t critical = 0;
  size_t out_of_reach = 0;
  for (const ClusterConfig& config : snapshot_->config.clusters) {
    if (!config.critical) continue;
    ++critical;
    if (OutOfReach(config.name)) ++out_of_reach;
  }
  around_.reach(critical, out_of_reach);
  if (warmed_up_ && warm()) EndWarmUp();
}

// ---- before the process is ready

bool UpstreamWatch::warm() const {
  const bool found = std::all_of(discoveries_.begin(), discoveries_.end(),
                                 [](const auto& entry) { return entry.second->answered(); });
  if (!found) return false;
  for (const auto& [name, checks] : checks_) {
    for (const auto& [address, checker] : checks->checkers) {
      if (!checker->health().known) return false;
    }
  }
  return true;
}

void UpstreamWatch::WarmUp(std::function<void()> done) {
  if (warm()) return done();
  warmed_up_ = std::move(done);
  patience_.Set(around_.loop.Now() + kPatience);
}

void UpstreamWatch::EndWarmUp() {
  patience_.Stop();
  if (warmed_up_) std::exchange(warmed_up_, nullptr)();
}

void UpstreamWatch::Stop() {
  discoveries_.clear();
  checks_.clear();
}

}  // namespace sluice
