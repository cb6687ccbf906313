#include "support/proxy_sim.h"

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
  RouteConfig route;
  route.name = "all";
  route.clusters = {{"origin", 1}};
  route.timeout = options.route_timeout;
  VirtualHost host;
  host.name = "default";
  host.domains = {"*"};
  host.routes = {route};
  listener.virtual_hosts = {host};
  return listener;
}

ProxySimOptions WithEndpoint(ProxySimOptions options) {
  options.cluster.name = "origin";
  options.cluster.endpoints = {{"origin", 1}};
  return options;
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
      options_(WithEndpoint(options)),
      listener_(MakeListener(options)),
      shard_(metrics_.AddShard()),
      router_(std::move(Router::Build(listener_.virtual_hosts).value())),
      forwarding_(listener_),
      proxy_(loop, *router_, forwarding_, clusters_),
      context_("main", shard_),
      connections(loop, shard_,
                  [this](const DrainScope& scope) {
                    if (!scope.inbound) return;
                    network.AcceptQueued("proxy");
                    network.StopListening("proxy");
                  }),
      controller(loop, options_.drain, drainable_, Hooks(), shard_) {
  QuietLog();
  clusters_["origin"] = std::make_unique<Cluster>(loop, network, options_.cluster, shard_);
  drainable_.target = &connections;
  context_.options.limits = {options.limits.header_bytes, options.limits.header_count,
                             options.limits.uri_bytes, options.limits.body_bytes,
                             options.limits.requests_per_connection};
  context_.options.timeouts = {options.timeouts.header, options.timeouts.idle,
                               options.timeouts.body, options.timeouts.write, options.drain.linger};
  context_.handler = &proxy_;
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

std::vector<LoggedRequest> ProxySim::LoggedOf(const std::string& peer) const {
  std::vector<LoggedRequest> found;
  for (const LoggedRequest& one : log) {
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
  log.push_back(
      {downstream.peer, std::string(request.method_name), std::string(request.path), record});
}

}  // namespace sluice
