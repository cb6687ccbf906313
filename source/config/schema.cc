#include "config/schema.h"

#include "config/schema_cluster.h"
#include "config/schema_route.h"
#include "config/schema_tls.h"

namespace sluice {
namespace {

constexpr FieldOptions kRequired = {.required = true};

void VisitVirtualHost(FieldVisitor& v, VirtualHost& c) {
  v.Text("name", c.name, kName, {.default_words = "its first domain"});
  v.Texts("domains", c.domains, kDomain, kRequired);
  v.List("routes", c.routes, VisitRoute, kRequired);
}

void VisitTimeouts(FieldVisitor& v, ListenerTimeouts& c) {
  v.Time("handshake", c.handshake, std::chrono::milliseconds(1));
  v.Time("header", c.header);
  v.Time("idle", c.idle);
  v.Time("body", c.body);
  v.Time("write", c.write, std::chrono::milliseconds(1));
}

void VisitLimits(FieldVisitor& v, ListenerLimits& c) {
  constexpr uint64_t kMaxHeadBytes = 16 * 1024 * 1024;
  v.Number("header_bytes", c.header_bytes,
           {.min = 256, .max = kMaxHeadBytes, .unit = NumberUnit::kBytes});
  v.Number("header_count", c.header_count, {.min = 1, .max = 10'000});
  v.Number("uri_bytes", c.uri_bytes, {.min = 64, .max = kMaxHeadBytes, .unit = NumberUnit::kBytes});
  v.Number("body_bytes", c.body_bytes, {.unit = NumberUnit::kBytes});
  v.Number("requests_per_connection", c.requests_per_connection);
  v.Number("connections", c.connections);
  v.Number("websockets", c.websockets);
}

void VisitFloods(FieldVisitor& v, Http2FloodLimits& c) {
  v.Number("settings", c.settings, {.min = 1});
  v.Number("ping", c.ping, {.min = 1});
  v.Number("empty_data", c.empty_data, {.min = 1});
  v.Number("continuation", c.continuation, {.min = 1});
  v.Number("priority", c.priority, {.min = 1});
  v.Number("window_update", c.window_update, {.min = 1});
  v.Number("rapid_reset", c.rapid_reset, {.min = 1});
  v.Number("induced_reset", c.induced_reset, {.min = 1});
}

void VisitListenerHttp2(FieldVisitor& v, ListenerHttp2& c) {
  v.Flag("enabled", c.enabled);
  v.Number("max_concurrent_streams", c.max_concurrent_streams, {.min = 1});
  VisitWindows(v, c.stream_window, c.connection_window);
  v.Section("floods", c.floods, VisitFloods);
}

// "cluster: NAME" and "routes: [...]" are one virtual host for every domain.
VirtualHost& OnlyVirtualHost(ListenerConfig& c) {
  if (c.virtual_hosts.empty()) c.virtual_hosts.push_back({"default", {"*"}, {}});
  return c.virtual_hosts[0];
}

void VisitListener(FieldVisitor& v, ListenerConfig& c) {
  v.Text("name", c.name, kName, {.default_words = "the address"});
  v.Text("address", c.address, kListenerAddress, kRequired);
  v.Word("direction", c.direction, {"inbound", "outbound"});
  v.OneOf({{"cluster",
            [&] {
              auto& routes = OnlyVirtualHost(c).routes;
              routes.resize(1);
              routes[0].clusters.resize(1);
              v.Text("cluster", routes[0].clusters[0].cluster, kName);
            }},
           {"routes", [&] { v.List("routes", OnlyVirtualHost(c).routes, VisitRoute, kRequired); }},
           {"virtual_hosts",
            [&] { v.List("virtual_hosts", c.virtual_hosts, VisitVirtualHost, kRequired); }}},
          /*current=*/2, /*required=*/true);
  v.Optional("tls", c.tls, VisitListenerTls);
  v.Number("backlog", c.backlog, {.min = 1, .max = 65'535});
  v.Section("timeouts", c.timeouts, VisitTimeouts);
  v.Section("limits", c.limits, VisitLimits);
  v.Section("http2", c.http2, VisitListenerHttp2);
  v.Word("on_overload", c.on_overload, {"pause", "reject"});
  v.Flag("allow_connect", c.allow_connect);
  v.Flag("forwarded", c.forwarded);
  v.Flag("trust_forwarded", c.trust_forwarded);
  v.Word("forward_client_cert", c.forward_client_cert, {"off", "replace", "append"});
  v.Text("via", c.via, kVia);
}

void VisitDrain(FieldVisitor& v, DrainConfig& c) {
  v.Time("propagation_delay", c.propagation_delay);
  v.Time("jitter", c.jitter);
  v.Word("strategy", c.strategy, {"immediate", "gradual"});
  v.Time("deadline", c.deadline);
  v.Time("spread", c.spread);
  v.Time("idle_grace", c.idle_grace);
  v.Time("linger", c.linger);
  v.Time("stopping_background", c.stopping_background);
  v.Time("flushing", c.flushing);
  v.Time("releasing", c.releasing);
  v.Time("grace_period", c.grace_period);
  v.Text("report_file", c.report_file, kFile);
}

void VisitSelfDrain(FieldVisitor& v, SelfDrainConfig& c) {
  v.Word("action", c.action, {"off", "unready", "drain"});
  v.Number("percent", c.percent, {.min = 1, .max = 100});
  v.Time("after", c.after);
}

void VisitReload(FieldVisitor& v, ReloadConfig& c) {
  v.Flag("watch", c.watch);
  v.Time("debounce", c.debounce, std::chrono::milliseconds(1));
}

void VisitRestart(FieldVisitor& v, RestartConfig& c) {
  v.Text("socket", c.socket, kFile);
  v.Time("timeout", c.timeout, std::chrono::milliseconds(1));
  v.Flag("move_connections", c.move_connections);
  v.Number("generations", c.generations, {.min = 1, .max = 64});
}

void VisitAdmin(FieldVisitor& v, AdminConfig& c) {
  if (c.address.empty()) c.address = "off";
  v.Text("address", c.address, kAdminAddress);
  if (c.address == "off") c.address.clear();
}

void VisitAccessLog(FieldVisitor& v, AccessLogConfig& c) {
  std::string path = c.enabled ? c.path : "off";
  v.Text("path", path, kAccessLogPath);
  c.enabled = path != "off";
  if (c.enabled) c.path = path;
  v.Word("format", c.format, {"json", "text"});
  v.Text("text_format", c.text_format, kAccessLogText, {.default_words = "the line below"});
}

void VisitLog(FieldVisitor& v, LogConfig& c) {
  v.Word("level", c.level, {"debug", "info", "warning", "error"});
  v.Word("format", c.format, {"json", "text"});
  v.Text("path", c.path, kLogPath);
}

}  // namespace

void VisitConfig(FieldVisitor& v, Config& c) {
  v.Number("workers", c.workers, {.min = 1, .max = 1024, .word_for_zero = "auto"});
  v.Number("max_connections", c.max_connections);
  v.Text("pid_file", c.pid_file, kFile);
  v.Text("zone", c.zone, kAnyText);
  v.List("listeners", c.listeners, VisitListener, kRequired);
  v.List("clusters", c.clusters, VisitCluster);
  v.Section("tls", c.tls, VisitTls);
  v.Section("drain", c.drain, VisitDrain);
  v.Section("self_drain", c.self_drain, VisitSelfDrain, "action");
  v.Section("reload", c.reload, VisitReload);
  v.Section("restart", c.restart, VisitRestart);
  v.Section("admin", c.admin, VisitAdmin, "address");
  v.Section("access_log", c.access_log, VisitAccessLog, "path");
  v.Section("log", c.log, VisitLog);
}

}  // namespace sluice
