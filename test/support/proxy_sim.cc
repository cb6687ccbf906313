#include "support/proxy_sim.h"

#include <sstream>
#include <utility>

#include "base/log.h"

namespace sluice {
namespace {

constexpr Duration kBound = std::chrono::hours(1);

ListenerConfig MakeListener(const ProxySimOptions& options) {
  ListenerConfig listener;
  listener.name = "main";
  listener.address = "proxy";
  listener.timeouts = options.timeouts;
  listener.limits = options.limits;
  listener.http2 = options.http2;
  RouteConfig route;
  route.name = "all";
  route.clusters = {{"origin", 1}};
  route.timeout = options.route_timeout;
  route.on_drain = options.on_drain;
  route.websocket = options.websocket;
  route.event_stream = options.event_stream;
  VirtualHost host;
  host.name = "default";
  host.domains = {"*"};
  host.routes = {route};
  listener.virtual_hosts = {host};
  return listener;
}

// Thousands of drains would fill the terminal with their phases.
void QuietLog() {
  static const bool once = [] {
    LogOptions options;
    options.level = Level::kError;
    return ConfigureLog(options, nullptr);
  }();
  (void)once;
}

}  // namespace

// Made by what makes it in the process, so that every option means what it means there.
std::shared_ptr<const Snapshot> MakeSimSnapshot(const ProxySimOptions& options) {
  Config config;
  config.listeners = {MakeListener(options)};
  config.clusters = {options.cluster};
  ClusterConfig& cluster = config.clusters[0];
  cluster.name = "origin";
  cluster.endpoints = {{cluster.protocol == UpstreamProtocol::kHttp2 ? "h2.origin" : "origin", 1}};
  config.drain = options.drain;
  config.access_log.enabled = false;
  if (options.edit) options.edit(config);
  return BuildSnapshot(std::move(config)).value();
}

SimLogEntry LogEntryOf(const RequestHead& request, const RequestRecord& record,
                       const DownstreamInfo& downstream) {
  SimLogEntry entry{downstream.peer, std::string(request.method_name), std::string(request.path),
                    record};
  entry.record.generation.Reset();
  entry.record.endpoint_holder.Reset();
  return entry;
}

void ProxySim::CountingDrainable::BeginDrain(const DrainOrder& order,
                                             std::function<void()> on_done) {
  ++begun;
  target->BeginDrain(order, [this, on_done = std::move(on_done)] {
    ++done;
    on_done();
  });
}

ProxySim::ProxySim(uint64_t seed, const ProxySimOptions& options)
    : loop(seed, options.tie_break),
      snapshot_(MakeSimSnapshot(options)),
      shard_(metrics_.AddShard()),
      websocket_metrics_(shard_, "main"),
      websockets_(options.limits.websockets),
      context_("main", shard_),
      connections(loop, shard_,
                  [this](const DrainScope& scope) {
                    if (!scope.inbound) return;
                    network.AcceptQueued("proxy");
                    network.StopListening("proxy");
                  }),
      controller(loop, snapshot_->config.drain, drainable_, Hooks(), shard_) {
  QuietLog();
  for (const ClusterConfig& config : snapshot_->config.clusters) {
    clusters_[config.name] = std::make_unique<Cluster>(loop, network, config, shard_);
  }
  drainable_.target = &connections;
  context_.options = snapshot_->listeners[0].options;
  proxy_ = std::make_unique<Proxy>(Proxy::Surroundings{
      loop, *snapshot_->listeners[0].router, *snapshot_->listeners[0].forwarding, clusters_,
      connections.long_lived(), websocket_metrics_, websockets_, connections.parts()});
  context_.handler = proxy_.get();
  context_.request_log = this;
  Listen();
  controller.OnReady();
}

ProxySim::~ProxySim() { network.StopListening("proxy"); }

void ProxySim::Listen() {
  network.At("proxy").accept = [this](std::unique_ptr<Transport> transport) {
    connections.Accept(std::move(transport), context_);
  };
}

std::unique_ptr<SimClient> ProxySim::Connect() {
  auto client = std::make_unique<SimClient>(loop, network, "proxy");
  client->Connect();
  return client;
}

std::unique_ptr<SimH2Client> ProxySim::ConnectH2(const SimH2Options& http2) {
  auto client = std::make_unique<SimH2Client>(loop, network, "proxy", http2);
  client->Connect();
  return client;
}

void ProxySim::Release() {
  origin.Release();
  h2_origin.Release();
}

size_t ProxySim::upstream_connections() const {
  return network.open_at_client("origin") + network.open_at_client("h2.origin");
}

double ProxySim::Metric(const std::string& name, const std::string& label) const {
  std::istringstream lines(metrics_.Text());
  double sum = 0;
  for (std::string line; std::getline(lines, line);) {
    const bool named = line.starts_with(name + "{") || line.starts_with(name + " ");
    if (!named || line.find(label) == std::string::npos) continue;
    sum += std::stod(line.substr(line.rfind(' ') + 1));
  }
  return sum;
}

bool ProxySim::Until(const std::function<bool()>& predicate) {
  return loop.RunUntil(predicate, kBound);
}

bool ProxySim::UntilPhase(Phase phase) {
  return Until([&] { return controller.phase() == phase; });
}

DrainProgress ProxySim::Progress() {
  DrainProgress progress;
  connections.Inspect([&](const DrainProgress& now) { progress = now; });
  return progress;
}

std::vector<SimLogEntry> ProxySim::LoggedOf(const std::string& peer) const {
  std::vector<SimLogEntry> found;
  for (const SimLogEntry& one : log) {
    if (one.peer == peer) found.push_back(one);
  }
  return found;
}

DrainHooks ProxySim::Hooks() {
  DrainHooks hooks;
  hooks.release = [this](const std::function<void()>& done) {
    for (const auto& [name, cluster] : clusters_) cluster->CloseIdle();
    done();
  };
  return hooks;
}

void ProxySim::OnRequestDone(const RequestHead& request, const RequestRecord& record,
                             const DownstreamInfo& downstream) {
  log.push_back(LogEntryOf(request, record, downstream));
}

}  // namespace sluice
