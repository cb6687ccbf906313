#include "config/schema_cluster.h"

#include "config/schema_tls.h"

namespace sluice {

void VisitWindows(FieldVisitor& v, uint32_t& stream, uint32_t& connection) {
  // RFC 9113 6.9.1, 6.9.2: no window is larger, and that of a connection cannot start smaller.
  constexpr uint64_t kMaxWindow = (uint64_t{1} << 31) - 1;
  constexpr uint64_t kFirstWindow = (uint64_t{1} << 16) - 1;
  v.Number("stream_window", stream, {.min = 1024, .max = kMaxWindow, .unit = NumberUnit::kBytes});
  v.Number("connection_window", connection,
           {.min = kFirstWindow, .max = kMaxWindow, .unit = NumberUnit::kBytes});
}

namespace {

constexpr FieldOptions kRequired = {.required = true};

void VisitEndpoint(FieldVisitor& v, EndpointConfig& c) {
  v.Text("address", c.address, kEndpointAddress, kRequired);
  v.Number("weight", c.weight, kWeightRule);
  v.Number("priority", c.priority, {.max = 15});
  v.Text("zone", c.zone, kAnyText);
}

void VisitClusterHttp2(FieldVisitor& v, ClusterHttp2& c) {
  v.Number("max_concurrent_streams", c.max_concurrent_streams, {.min = 1});
  VisitWindows(v, c.stream_window, c.connection_window);
}

void VisitDns(FieldVisitor& v, DnsConfig& c) {
  v.Text("name", c.name, kDnsTarget, kRequired);
  v.Word("records", c.records, {"address", "ipv4", "ipv6", "srv"});
  v.Time("min_refresh", c.min_refresh, std::chrono::milliseconds(1));
  v.Time("max_refresh", c.max_refresh, std::chrono::milliseconds(1));
  v.Number("jitter_percent", c.jitter_percent, {.max = 90});
  v.Time("timeout", c.timeout, std::chrono::milliseconds(1));
  v.Number("tries", c.tries, {.min = 1, .max = 10});
  v.Texts("servers", c.servers, kEndpointAddress, {.default_words = "the system's"});
}

void VisitHashOn(FieldVisitor& v, HashOn& c) {
  using Kind = HashOn::Kind;
  // In the order of HashOn::Kind.
  v.OneOf({{"header",
            [&] {
              c.kind = Kind::kHeader;
              v.Text("header", c.name, kFieldName);
            }},
           {"cookie",
            [&] {
              c.kind = Kind::kCookie;
              v.Text("cookie", c.name, kCookieName);
            }},
           {"source",
            [&] {
              c.kind = Kind::kSource;
              size_t only = 0;
              v.Word("source", only, {"true"});
            }}},
          static_cast<size_t>(c.kind), /*required=*/false);
}

void VisitSessionCookie(FieldVisitor& v, SessionCookie& c) {
  v.Text("name", c.name, kCookieName);
  v.Time("max_age", c.max_age);
  v.Text("path", c.path, kCookiePath);
  v.Flag("secure", c.secure);
}

void VisitHealthCheck(FieldVisitor& v, HealthCheckConfig& c) {
  v.Word("kind", c.kind, {"http", "tcp", "grpc"});
  v.Text("path", c.path, kPath);
  v.Text("host", c.host, kHost, {.default_words = "the endpoint's address"});
  v.Texts("statuses", c.statuses, kStatuses, {.default_words = "200-299"});
  v.Text("service", c.service, kAnyText);
  v.Time("interval", c.interval, std::chrono::milliseconds(10));
  v.Time("unhealthy_interval", c.unhealthy_interval, std::chrono::milliseconds(10));
  v.Number("jitter_percent", c.jitter_percent, {.max = 100});
  v.Time("timeout", c.timeout, std::chrono::milliseconds(1));
  v.Number("unhealthy_threshold", c.unhealthy_threshold, {.min = 1, .max = 100});
  v.Number("healthy_threshold", c.healthy_threshold, {.min = 1, .max = 100});
}

void VisitOutlier(FieldVisitor& v, OutlierConfig& c) {
  v.Number("consecutive_connect_failures", c.consecutive_connect_failures);
  v.Number("consecutive_gateway_failures", c.consecutive_gateway_failures);
  v.Number("consecutive_5xx", c.consecutive_5xx);
  v.Number("success_rate_margin", c.success_rate_margin, {.max = 100});
  v.Number("success_rate_requests", c.success_rate_requests, {.min = 1});
  v.Time("interval", c.interval, std::chrono::milliseconds(10));
  v.Time("base_ejection", c.base_ejection, std::chrono::milliseconds(1));
  v.Time("max_ejection", c.max_ejection, std::chrono::milliseconds(1));
  v.Number("max_ejected_percent", c.max_ejected_percent, {.max = 100});
}

void VisitSlowStart(FieldVisitor& v, SlowStartConfig& c) {
  v.Time("window", c.window);
  v.Number("min_percent", c.min_percent, {.min = 1, .max = 100});
}

void VisitUpstreamDrain(FieldVisitor& v, UpstreamDrainConfig& c) {
  v.Flag("header", c.header);
  v.Flag("goaway", c.goaway);
  v.Time("hold", c.hold);
}

void VisitCircuitBreaker(FieldVisitor& v, CircuitBreakerConfig& c) {
  v.Number("connections", c.connections);
  v.Number("pending", c.pending);
  v.Number("requests", c.requests);
  v.Number("retry_percent", c.retry_percent, {.max = 100});
  v.Number("min_retries", c.min_retries);
  v.Time("max_wait", c.max_wait);
  v.Number("admit_always", c.admit_always, {.min = 1});
}

}  // namespace

void VisitCluster(FieldVisitor& v, ClusterConfig& c) {
  v.Text("name", c.name, kName, kRequired);
  v.OneOf({{"endpoints",
            [&] { v.List("endpoints", c.endpoints, VisitEndpoint, kRequired, "address"); }},
           {"dns",
            [&] {
              if (!c.dns) c.dns.emplace();
              v.Section("dns", *c.dns, VisitDns, "name");
            }}},
          c.dns ? 1 : 0, /*required=*/true);
  v.Word("protocol", c.protocol, {"http1", "http2", "auto"});
  v.Section("http2", c.http2, VisitClusterHttp2);
  v.Optional("tls", c.tls, VisitClusterTls);
  v.Word("load_balancing", c.load_balancing,
         {"round_robin", "least_request", "random", "ring_hash", "maglev"});
  v.Section("hash_on", c.hash_on, VisitHashOn);
  v.Optional("session_cookie", c.session_cookie, VisitSessionCookie);
  v.Number("panic_threshold", c.panic_threshold, {.max = 100});
  v.Optional("health_check", c.health_check, VisitHealthCheck);
  v.Section("outlier_detection", c.outlier, VisitOutlier);
  v.Section("slow_start", c.slow_start, VisitSlowStart, "window");
  v.Section("upstream_drain", c.upstream_drain, VisitUpstreamDrain);
  v.Section("circuit_breaker", c.circuit_breaker, VisitCircuitBreaker);
  v.Flag("critical", c.critical);
  v.Flag("partial_post_replay", c.partial_post_replay);
  v.Time("connect_timeout", c.connect_timeout, std::chrono::milliseconds(1));
  v.Time("idle_timeout", c.idle_timeout);
  v.Time("upstream_idle_timeout", c.upstream_idle_timeout);
  v.Time("drain_timeout", c.drain_timeout);
  v.Number("max_connections", c.max_connections);
  v.Number("max_idle", c.max_idle);
  v.Number("max_pending", c.max_pending);
  v.Number("max_requests_per_connection", c.max_requests_per_connection);
}

}  // namespace sluice
