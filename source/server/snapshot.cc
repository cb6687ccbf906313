#include "server/snapshot.h"

#include <utility>

#include "server/tls_setup.h"

namespace sluice {
namespace {

Http2Options Http2OptionsFor(const ListenerHttp2& http2) {
  const Http2FloodLimits& floods = http2.floods;
  Http2Options options;
  options.max_concurrent_streams = http2.max_concurrent_streams;
  options.stream_window = http2.stream_window;
  options.connection_window = http2.connection_window;
  options.floods.settings = floods.settings;
  options.floods.ping = floods.ping;
  options.floods.empty_data = floods.empty_data;
  options.floods.continuation = floods.continuation;
  options.floods.priority = floods.priority;
  options.floods.window_update = floods.window_update;
  options.floods.reset = floods.rapid_reset;
  options.floods.induced = floods.induced_reset;
  return options;
}

HttpOptions OptionsFor(const ListenerConfig& listener, const DrainConfig& drain) {
  HttpOptions options;
  options.limits.header_bytes = listener.limits.header_bytes;
  options.limits.header_count = listener.limits.header_count;
  options.limits.uri_bytes = listener.limits.uri_bytes;
  options.limits.body_bytes = listener.limits.body_bytes;
  options.limits.requests_per_connection = listener.limits.requests_per_connection;
  options.timeouts.handshake = listener.timeouts.handshake;
  options.timeouts.header = listener.timeouts.header;
  options.timeouts.idle = listener.timeouts.idle;
  options.timeouts.body = listener.timeouts.body;
  options.timeouts.write = listener.timeouts.write;
  options.timeouts.linger = drain.linger;
  options.http2 = Http2OptionsFor(listener.http2);
  options.http2_enabled = listener.http2.enabled;
  options.allow_connect = listener.allow_connect;
  return options;
}

// Tickets are opened by the listener that made them, so its keys go by its name.
std::shared_ptr<TlsTicketKeys> KeysOfBefore(const Snapshot* previous, const ListenerConfig& now) {
  if (previous == nullptr || !now.tls->ticket_key_files.empty()) return nullptr;
  for (size_t i = 0; i < previous->listeners.size(); ++i) {
    const ListenerConfig& config = previous->config.listeners[i];
    const bool same = config.name == now.name && config.tls && config.tls->ticket_key_files.empty();
    if (same) return previous->listeners[i].ticket_keys;
  }
  return nullptr;
}

Result<void> AddTls(Snapshot* snapshot, const Snapshot* previous) {
  for (size_t i = 0; i < snapshot->listeners.size(); ++i) {
    const ListenerConfig& config = snapshot->config.listeners[i];
    Snapshot::Listener& listener = snapshot->listeners[i];
    if (!config.tls) continue;
    listener.ticket_keys = KeysOfBefore(previous, config);
    if (listener.ticket_keys == nullptr) {
      auto keys = MakeTicketKeys(config, std::chrono::system_clock::now());
      if (!keys) return tl::unexpected(keys.error());
      listener.ticket_keys = *keys;
    }
    auto context = TlsServerContext::Build(TlsOptionsOf(config, listener.options.http2_enabled),
                                           listener.ticket_keys);
    if (!context) return tl::unexpected(context.error());
    listener.tls = *context;
  }
  for (const ClusterConfig& config : snapshot->config.clusters) {
    snapshot->cluster_tls.emplace_back();
    if (!config.tls) continue;
    auto context = TlsClientContext::Build(TlsOptionsOf(config));
    if (!context) return tl::unexpected(context.error());
    snapshot->cluster_tls.back() = *context;
  }
  return {};
}

}  // namespace

std::shared_ptr<const Snapshot> WithEndpoints(const Snapshot& snapshot, const std::string& cluster,
                                              const std::vector<EndpointConfig>& endpoints) {
  auto next = std::make_shared<Snapshot>(snapshot);
  ++next->generation;
  for (ClusterConfig& config : next->config.clusters) {
    if (config.name == cluster && config.dns) config.endpoints = endpoints;
  }
  return next;
}

Result<std::shared_ptr<const Snapshot>> BuildSnapshot(Config config, const Snapshot* previous) {
  auto snapshot = std::make_shared<Snapshot>();
  if (previous != nullptr) snapshot->generation = previous->generation + 1;
  snapshot->config = std::move(config);
  for (const ListenerConfig& listener : snapshot->config.listeners) {
    auto router = Router::Build(listener.virtual_hosts);
    if (!router) return Fail("listener " + listener.name + ": " + router.error().message);
    snapshot->listeners.push_back({OptionsFor(listener, snapshot->config.drain), std::move(*router),
                                   std::make_shared<const Forwarding>(listener), nullptr, nullptr});
  }
  for (size_t i = 0; previous != nullptr && i < snapshot->listeners.size(); ++i) {
    const auto& before = previous->config.listeners;
    for (size_t j = 0; j < before.size(); ++j) {
      if (before[j].name != snapshot->config.listeners[i].name) continue;
      snapshot->listeners[i].router->ContinueLimits(*previous->listeners[j].router);
    }
  }
  if (auto added = AddTls(snapshot.get(), previous); !added) return tl::unexpected(added.error());
  if (snapshot->config.access_log.enabled) {
    auto line = AccessLogLine::FromConfig(snapshot->config.access_log);
    if (!line) return Fail("access_log.text_format: " + line.error().message);
    snapshot->access_log_line = std::make_shared<const AccessLogLine>(std::move(*line));
  }
  return std::shared_ptr<const Snapshot>(std::move(snapshot));
}

}  // namespace sluice
