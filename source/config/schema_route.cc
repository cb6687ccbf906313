#include "config/schema_route.h"

namespace sluice {
namespace {

constexpr FieldOptions kRequired = {.required = true};
constexpr uint64_t kMaxHeldBody = 64 * 1024 * 1024;

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
  v.Number("weight", c.weight, kWeightRule);
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

void VisitRetries(FieldVisitor& v, RetryConfig& c) {
  v.Number("attempts", c.attempts, {.max = 20});
  v.Flag("connect_failure", c.connect_failure);
  v.Flag("refused", c.refused);
  v.Flag("reset", c.reset);
  v.Flag("uploads", c.uploads);
  v.Texts("statuses", c.statuses, kStatuses);
  v.Texts("grpc_statuses", c.grpc_statuses, kGrpcStatusName);
  v.Flag("any_method", c.any_method);
  v.Time("per_try_timeout", c.per_try_timeout);
  v.Time("backoff", c.backoff);
  v.Time("max_backoff", c.max_backoff);
  v.Number("body_bytes", c.body_bytes, {.max = kMaxHeldBody, .unit = NumberUnit::kBytes});
}

void VisitRateLimit(FieldVisitor& v, RateLimitConfig& c) {
  v.Number("requests", c.requests, {.min = 1, .max = 1'000'000'000});
  v.Time("per", c.per, std::chrono::milliseconds(1));
  v.Number("burst", c.burst);
}

void VisitMirror(FieldVisitor& v, MirrorConfig& c) {
  v.Text("cluster", c.cluster, kName, kRequired);
  v.Number("percent", c.percent, {.max = 100});
}

void VisitFault(FieldVisitor& v, FaultConfig& c) {
  v.Number("delay_percent", c.delay_percent, {.max = 100});
  v.Time("delay", c.delay);
  v.Number("abort_percent", c.abort_percent, {.max = 100});
  v.Number("abort_status", c.abort_status, {.min = 400, .max = 599});
}

}  // namespace

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
  v.Section("retries", c.retries, VisitRetries, "attempts");
  v.Optional("rate_limit", c.rate_limit, VisitRateLimit);
  v.Number("max_in_flight", c.max_in_flight);
  v.Optional("mirror", c.mirror, VisitMirror);
  v.Optional("fault", c.fault, VisitFault);
}

}  // namespace sluice
