#include "config/schema.h"

#include "config/schema_tls.h"

namespace sluice {
namespace {

constexpr FieldOptions kRequired = {.required = true};
constexpr NumberRule kWeight = {.max = 1'000'000};

void VisitHeaderEdits(FieldVisitor& v, HeaderEdits& c, const TextRule& value) {
  v.Texts("remove", c.remove, kEditedFieldName);
  v.Fields("set", c.set, /*repeat=*/false, value);
  v.Fields("add", c.add, /*repeat=*/true, value);
}

void VisitRequestEdits(FieldVisitor& v, HeaderEdits& c) { VisitHeaderEdits(v, c, kFieldTemplate); }
void VisitResponseEdits(FieldVisitor& v, HeaderEdits& c) { VisitHeaderEdits(v, c, kFieldValue); }

void VisitFieldTest(FieldVisitor& v, FieldMatch& c, const TextRule& name_rule) {
  using Kind = FieldMatch::Kind;
  v.Text("name", c.name, name_rule, kRequired);
  // Both are said by standing there: "present: false" would be a puzzle.
  const auto be = [&](Kind kind, std::string_view name) {
    c.kind = kind;
    size_t only = 0;
    v.Word(name, only, {"true"});
  };
  const auto compare = [&](Kind kind, std::string_view name, const TextRule& rule) {
    c.kind = kind;
    v.Text(name, c.value, rule);
  };
  // In the order of FieldMatch::Kind.
  v.OneOf({{"present", [&] { be(Kind::kPresent, "present"); }},
           {"absent", [&] { be(Kind::kAbsent, "absent"); }},
           {"exact", [&] { compare(Kind::kExact, "exact", kAnyText); }},
           {"prefix", [&] { compare(Kind::kPrefix, "prefix", kAnyText); }},
           {"regex", [&] { compare(Kind::kRegex, "regex", kRegex); }}},
          static_cast<size_t>(c.kind), /*required=*/false);
}

void VisitHeaderTest(FieldVisitor& v, FieldMatch& c) { VisitFieldTest(v, c, kFieldName); }
void VisitQueryTest(FieldVisitor& v, FieldMatch& c) { VisitFieldTest(v, c, kQueryName); }

void VisitMatch(FieldVisitor& v, RouteMatch& c) {
  using Kind = RouteMatch::PathKind;
  const auto path = [&](Kind kind, std::string_view name, const TextRule& rule) {
    c.path_kind = kind;
    v.Text(name, c.path, rule);
  };
  // In the order of RouteMatch::PathKind.
  v.OneOf({{"prefix", [&] { path(Kind::kPrefix, "prefix", kPathPrefix); }},
           {"path", [&] { path(Kind::kExact, "path", kPath); }},
           {"regex", [&] { path(Kind::kRegex, "regex", kRegex); }}},
          static_cast<size_t>(c.path_kind), /*required=*/false);
  v.Texts("methods", c.methods, kMethod, {.default_words = "any"});
  v.List("headers", c.headers, VisitHeaderTest, {}, "name");
  v.List("query", c.query, VisitQueryTest, {}, "name");
}

void VisitWeightedCluster(FieldVisitor& v, WeightedCluster& c) {
  v.Text("name", c.cluster, kName, kRequired);
  v.Number("weight", c.weight, kWeight);
}

void VisitRedirect(FieldVisitor& v, Redirect& c) {
  v.Number("status", c.status, {.min = 301, .max = 308});
  v.Text("scheme", c.scheme, kScheme, {.default_words = "the request's"});
  v.Text("host", c.host, kHost, {.default_words = "the request's"});
  v.Text("path", c.path, kRedirectPath, {.default_words = "the request's"});
}

void VisitDirectResponse(FieldVisitor& v, DirectResponse& c) {
  v.Number("status", c.status, {.min = 200, .max = 599});
  v.Text("body", c.body, kAnyText);
  v.Text("content_type", c.content_type, kFieldValue);
}

void VisitWebSocket(FieldVisitor& v, WebSocketConfig& c) {
  v.Time("ping_interval", c.ping_interval);
  v.Time("ping_timeout", c.ping_timeout, std::chrono::milliseconds(1));
  v.Time("idle_timeout", c.idle_timeout);
  v.Time("max_duration", c.max_duration);
  v.Time("message_wait", c.message_wait);
  v.Time("close_timeout", c.close_timeout, std::chrono::milliseconds(1));
}

void VisitEventStream(FieldVisitor& v, EventStreamConfig& c) {
  v.Time("retry", c.retry);
  v.Time("retry_jitter", c.retry_jitter);
}

void VisitRoute(FieldVisitor& v, RouteConfig& c) {
  v.Text("name", c.name, kName, {.default_words = "virtual host/position"});
  v.Section("match", c.match, VisitMatch);
  const bool single = c.clusters.size() == 1 && c.clusters[0].weight == 1;
  const size_t current = c.redirect ? 2 : c.direct_response ? 3 : single ? 0 : 1;
  v.OneOf({{"cluster",
            [&] {
              c.clusters.resize(1);
              v.Text("cluster", c.clusters[0].cluster, kName);
            }},
           {"clusters", [&] { v.List("clusters", c.clusters, VisitWeightedCluster, kRequired); }},
           {"redirect",
            [&] {
              if (!c.redirect) c.redirect.emplace();
              v.Section("redirect", *c.redirect, VisitRedirect);
            }},
           {"direct_response",
            [&] {
              if (!c.direct_response) c.direct_response.emplace();
              v.Section("direct_response", *c.direct_response, VisitDirectResponse);
            }}},
          current, /*required=*/true);
  v.Text("prefix_rewrite", c.prefix_rewrite, kRewrite);
  v.Text("host_rewrite", c.host_rewrite, kHost);
  v.Section("request_headers", c.request_headers, VisitRequestEdits);
  v.Section("response_headers", c.response_headers, VisitResponseEdits);
  v.Time("timeout", c.timeout);
  v.Word("on_drain", c.on_drain, {"by_kind", "finish", "end_early"});
  v.Section("websocket", c.websocket, VisitWebSocket);
  v.Section("event_stream", c.event_stream, VisitEventStream);
}

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

void VisitWindows(FieldVisitor& v, uint32_t& stream, uint32_t& connection) {
  // RFC 9113 6.9.1, 6.9.2: no window is larger, and that of a connection cannot start smaller.
  constexpr uint64_t kMaxWindow = (uint64_t{1} << 31) - 1;
  constexpr uint64_t kFirstWindow = (uint64_t{1} << 16) - 1;
  v.Number("stream_window", stream, {.min = 1024, .max = kMaxWindow, .unit = NumberUnit::kBytes});
  v.Number("connection_window", connection,
           {.min = kFirstWindow, .max = kMaxWindow, .unit = NumberUnit::kBytes});
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

void VisitEndpoint(FieldVisitor& v, EndpointConfig& c) {
  v.Text("address", c.address, kEndpointAddress, kRequired);
  v.Number("weight", c.weight, kWeight);
}

void VisitClusterHttp2(FieldVisitor& v, ClusterHttp2& c) {
  v.Number("max_concurrent_streams", c.max_concurrent_streams, {.min = 1});
  VisitWindows(v, c.stream_window, c.connection_window);
}

void VisitCluster(FieldVisitor& v, ClusterConfig& c) {
  v.Text("name", c.name, kName, kRequired);
  v.List("endpoints", c.endpoints, VisitEndpoint, kRequired, "address");
  v.Word("protocol", c.protocol, {"http1", "http2", "auto"});
  v.Section("http2", c.http2, VisitClusterHttp2);
  v.Optional("tls", c.tls, VisitClusterTls);
  v.Word("load_balancing", c.load_balancing, {"round_robin", "least_request"});
  v.Time("connect_timeout", c.connect_timeout, std::chrono::milliseconds(1));
  v.Time("idle_timeout", c.idle_timeout);
  v.Time("upstream_idle_timeout", c.upstream_idle_timeout);
  v.Time("drain_timeout", c.drain_timeout);
  v.Number("max_connections", c.max_connections);
  v.Number("max_idle", c.max_idle);
  v.Number("max_pending", c.max_pending);
  v.Number("max_requests_per_connection", c.max_requests_per_connection);
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
  v.List("listeners", c.listeners, VisitListener, kRequired);
  v.List("clusters", c.clusters, VisitCluster);
  v.Section("tls", c.tls, VisitTls);
  v.Section("drain", c.drain, VisitDrain);
  v.Section("reload", c.reload, VisitReload);
  v.Section("restart", c.restart, VisitRestart);
  v.Section("admin", c.admin, VisitAdmin, "address");
  v.Section("access_log", c.access_log, VisitAccessLog, "path");
  v.Section("log", c.log, VisitLog);
}

}  // namespace sluice
