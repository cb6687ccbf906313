// What is accepted, and what it means.
#include "config/loader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "config/checker.h"
#include "config/load.h"

namespace sluice {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;
using testing::SizeIs;

const std::string kSource = SLUICE_SOURCE_DIR;

TEST(Loader, TheSimplestFile) {
  const Config config = Load(kBase);
  ASSERT_THAT(config.listeners, SizeIs(1));
  const ListenerConfig& listener = config.listeners[0];
  EXPECT_EQ(listener.address, "127.0.0.1:8080");
  EXPECT_EQ(listener.direction, Direction::kInbound);
  ASSERT_THAT(listener.virtual_hosts, SizeIs(1));
  EXPECT_EQ(listener.virtual_hosts[0].name, "default");
  EXPECT_THAT(listener.virtual_hosts[0].domains, ElementsAre("*"));
  ASSERT_THAT(listener.virtual_hosts[0].routes, SizeIs(1));
  const RouteConfig& route = listener.virtual_hosts[0].routes[0];
  EXPECT_EQ(route.name, "default/0");
  EXPECT_EQ(route.match.path_kind, RouteMatch::PathKind::kPrefix);
  EXPECT_EQ(route.match.path, "/");
  ASSERT_THAT(route.clusters, SizeIs(1));
  EXPECT_EQ(route.clusters[0].cluster, "app");
  ASSERT_THAT(config.clusters, SizeIs(1));
  ASSERT_THAT(config.clusters[0].endpoints, SizeIs(1));
  EXPECT_EQ(config.clusters[0].endpoints[0].address, "127.0.0.1:3000");
  EXPECT_EQ(config.admin.address, "127.0.0.1:9901");
}

TEST(Loader, EveryKeyOfAListener) {
  const Config config = Load(
      "workers: 3\nmax_connections: 7\npid_file: /run/sluice.pid\n"
      "listeners:\n"
      "- name: out\n"
      "  address: '[::1]:0'\n"
      "  direction: outbound\n"
      "  backlog: 17\n"
      "  timeouts: {header: 1s, idle: 2s, body: 0s, write: 4s}\n"
      "  limits: {header_bytes: 1KiB, header_count: 5, uri_bytes: 512, body_bytes: 5GiB,\n"
      "           requests_per_connection: 9, connections: 3}\n"
      "  on_overload: reject\n"
      "  allow_connect: true\n  forwarded: on\n  trust_forwarded: true\n  via: ''\n"
      "  routes: [{direct_response: {status: 404}}]\n");
  EXPECT_EQ(config.workers, 3U);
  EXPECT_EQ(config.max_connections, 7U);
  EXPECT_EQ(config.pid_file, "/run/sluice.pid");
  const ListenerConfig& listener = config.listeners.at(0);
  EXPECT_EQ(listener.name, "out");
  EXPECT_EQ(listener.address, "[::1]:0");
  EXPECT_EQ(listener.direction, Direction::kOutbound);
  EXPECT_EQ(listener.backlog, 17U);
  EXPECT_EQ(listener.timeouts.header, seconds(1));
  EXPECT_EQ(listener.timeouts.idle, seconds(2));
  EXPECT_EQ(listener.timeouts.body, seconds(0));
  EXPECT_EQ(listener.timeouts.write, seconds(4));
  EXPECT_EQ(listener.limits.header_bytes, 1024U);
  EXPECT_EQ(listener.limits.header_count, 5U);
  EXPECT_EQ(listener.limits.uri_bytes, 512U);
  EXPECT_EQ(listener.limits.body_bytes, uint64_t{5} << 30);
  EXPECT_EQ(listener.limits.requests_per_connection, 9U);
  EXPECT_EQ(listener.limits.connections, 3U);
  EXPECT_EQ(listener.on_overload, OverloadAction::kReject);
  EXPECT_TRUE(listener.allow_connect);
  EXPECT_TRUE(listener.forwarded);
  EXPECT_TRUE(listener.trust_forwarded);
  EXPECT_EQ(listener.via, "");
  EXPECT_EQ(listener.virtual_hosts.at(0).routes.at(0).direct_response.value().status, 404);
}

TEST(Loader, EveryKeyOfARoute) {
  const Config config = Load(
      "listeners:\n"
      "- address: 127.0.0.1:1\n"
      "  virtual_hosts:\n"
      "  - domains: [Example.COM., '*.example.com:8443']\n"
      "    routes:\n"
      "    - name: r\n"
      "      match:\n"
      "        regex: /a+\n"
      "        methods: [GET, HEAD]\n"
      "        headers: [x-a, {name: x-b, exact: '1'}, {name: x-c, absent: true}]\n"
      "        query: [{name: q, prefix: v}, {name: p, regex: '[0-9]+'}]\n"
      "      clusters: [{name: a, weight: 3}, {name: a, weight: 0}]\n"
      "      host_rewrite: b.example:80\n"
      "      request_headers: {set: {X-S: s}, add: {X-A: [one, two], X-B: three}, remove: X-R}\n"
      "      response_headers: {remove: [Server]}\n"
      "      timeout: 0s\n"
      "    - {match: {path: /x}, redirect: {status: 308, scheme: https, host: h, path: '/p?q'}}\n"
      "    - {match: {prefix: /y}, cluster: a, prefix_rewrite: /z}\n"
      "clusters: [{name: a, endpoints: ['127.0.0.1:1']}]\n");
  const VirtualHost& host = config.listeners.at(0).virtual_hosts.at(0);
  EXPECT_THAT(host.domains, ElementsAre("example.com", "*.example.com:8443"));
  EXPECT_EQ(host.name, "example.com");
  const RouteConfig& route = host.routes.at(0);
  EXPECT_EQ(route.match.path_kind, RouteMatch::PathKind::kRegex);
  EXPECT_EQ(route.match.path, "/a+");
  EXPECT_THAT(route.match.methods, ElementsAre("GET", "HEAD"));
  ASSERT_THAT(route.match.headers, SizeIs(3));
  EXPECT_EQ(route.match.headers[0].kind, FieldMatch::Kind::kPresent);
  EXPECT_EQ(route.match.headers[0].name, "x-a");
  EXPECT_EQ(route.match.headers[1].kind, FieldMatch::Kind::kExact);
  EXPECT_EQ(route.match.headers[1].value, "1");
  EXPECT_EQ(route.match.headers[2].kind, FieldMatch::Kind::kAbsent);
  ASSERT_THAT(route.match.query, SizeIs(2));
  EXPECT_EQ(route.match.query[0].kind, FieldMatch::Kind::kPrefix);
  EXPECT_EQ(route.match.query[1].kind, FieldMatch::Kind::kRegex);
  ASSERT_THAT(route.clusters, SizeIs(2));
  EXPECT_EQ(route.clusters[0].weight, 3U);
  EXPECT_EQ(route.clusters[1].weight, 0U);
  EXPECT_EQ(route.host_rewrite, "b.example:80");
  EXPECT_THAT(route.request_headers.set, ElementsAre(Pair("X-S", "s")));
  EXPECT_THAT(route.request_headers.add,
              ElementsAre(Pair("X-A", "one"), Pair("X-A", "two"), Pair("X-B", "three")));
  EXPECT_THAT(route.request_headers.remove, ElementsAre("X-R"));
  EXPECT_THAT(route.response_headers.remove, ElementsAre("Server"));
  EXPECT_EQ(route.timeout, seconds(0));
  EXPECT_EQ(host.routes.at(1).name, "example.com/1");
  const Redirect& redirect = host.routes.at(1).redirect.value();
  EXPECT_EQ(redirect.status, 308);
  EXPECT_EQ(redirect.scheme, "https");
  EXPECT_EQ(redirect.host, "h");
  EXPECT_EQ(redirect.path, "/p?q");
  EXPECT_EQ(host.routes.at(2).prefix_rewrite, "/z");
}

TEST(Loader, EveryKeyOfAClusterAndOfTheRest) {
  const Config config = Load(
      "listeners: [{address: '127.0.0.1:1', cluster: a}]\n"
      "clusters:\n"
      "- name: a\n"
      "  endpoints: ['[::1]:2', {address: 'localhost:3', weight: 4}, 'unix:/s']\n"
      "  protocol: http2\n"
      "  http2: {max_concurrent_streams: 13, stream_window: 14KiB, connection_window: 15MiB}\n"
      "  load_balancing: least_request\n"
      "  connect_timeout: 5ms\n  idle_timeout: 6s\n  upstream_idle_timeout: 7s\n"
      "  drain_timeout: 8s\n  max_connections: 9\n  max_idle: 10\n  max_pending: 11\n"
      "  max_requests_per_connection: 12\n"
      "drain: {propagation_delay: 1s, jitter: 2ms, strategy: gradual, deadline: 3s, spread: 4s,\n"
      "        idle_grace: 5ms, linger: 6s, stopping_background: 7s, flushing: 8s, releasing: 9s,\n"
      "        grace_period: 10s, report_file: /r}\n"
      "admin: {address: 'unix:/admin.sock'}\n"
      "access_log: {path: /log, format: text, text_format: '%STATUS%'}\n"
      "log: {level: warning, format: text, path: /l}\n");
  const ClusterConfig& cluster = config.clusters.at(0);
  ASSERT_THAT(cluster.endpoints, SizeIs(3));
  EXPECT_EQ(cluster.endpoints[1].address, "127.0.0.1:3");
  EXPECT_EQ(cluster.endpoints[1].weight, 4U);
  EXPECT_EQ(cluster.endpoints[2].address, "unix:/s");
  EXPECT_EQ(cluster.protocol, UpstreamProtocol::kHttp2);
  EXPECT_EQ(cluster.http2.max_concurrent_streams, 13U);
  EXPECT_EQ(cluster.http2.stream_window, 14U * 1024);
  EXPECT_EQ(cluster.http2.connection_window, 15U * 1024 * 1024);
  EXPECT_EQ(cluster.load_balancing, LoadBalancing::kLeastRequest);
  EXPECT_EQ(cluster.connect_timeout, milliseconds(5));
  EXPECT_EQ(cluster.idle_timeout, seconds(6));
  EXPECT_EQ(cluster.upstream_idle_timeout, seconds(7));
  EXPECT_EQ(cluster.drain_timeout, seconds(8));
  EXPECT_EQ(cluster.max_connections, 9U);
  EXPECT_EQ(cluster.max_idle, 10U);
  EXPECT_EQ(cluster.max_pending, 11U);
  EXPECT_EQ(cluster.max_requests_per_connection, 12U);
  const DrainConfig& drain = config.drain;
  EXPECT_EQ(drain.propagation_delay, seconds(1));
  EXPECT_EQ(drain.jitter, milliseconds(2));
  EXPECT_EQ(drain.strategy, DrainStrategy::kGradual);
  EXPECT_EQ(drain.deadline, seconds(3));
  EXPECT_EQ(drain.spread, seconds(4));
  EXPECT_EQ(drain.idle_grace, milliseconds(5));
  EXPECT_EQ(drain.linger, seconds(6));
  EXPECT_EQ(drain.stopping_background, seconds(7));
  EXPECT_EQ(drain.flushing, seconds(8));
  EXPECT_EQ(drain.releasing, seconds(9));
  EXPECT_EQ(drain.grace_period, seconds(10));
  EXPECT_EQ(drain.report_file, "/r");
  EXPECT_EQ(config.admin.address, "unix:/admin.sock");
  EXPECT_EQ(config.access_log.path, "/log");
  EXPECT_EQ(config.access_log.format, AccessLogFormat::kText);
  EXPECT_EQ(config.access_log.text_format, "%STATUS%");
  EXPECT_EQ(config.log.level, LogLevel::kWarning);
  EXPECT_EQ(config.log.format, LogFormat::kText);
  EXPECT_EQ(config.log.path, "/l");
}

TEST(Loader, ShorthandsAndTheirLongForms) {
  const std::string base = kBase;
  EXPECT_EQ(Load(base + "admin: off\n").admin.address, "");
  EXPECT_EQ(Load(base + "admin: {address: off}\n").admin.address, "");
  EXPECT_EQ(Load(base + "admin: 127.0.0.1:1\n").admin.address, "127.0.0.1:1");
  EXPECT_FALSE(Load(base + "access_log: off\n").access_log.enabled);
  EXPECT_TRUE(Load(base + "access_log: stdout\n").access_log.enabled);
  EXPECT_EQ(Load(base + "access_log: /a/b\n").access_log.path, "/a/b");
  EXPECT_EQ(Load(base + "workers: auto\n").workers, 0U);
}

TEST(Loader, AnEmptySectionIsItsDefaults) {
  const Config config = Load(std::string(kBase) + "drain:\naccess_log:\nlog: {}\n");
  EXPECT_EQ(DumpConfig(config), DumpConfig(Load(kBase)));
}

TEST(Loader, ATextAccessLogHasALineByDefault) {
  const Config config = Load(std::string(kBase) + "access_log: {format: text}\n");
  EXPECT_THAT(config.access_log.text_format, HasSubstr("%STATUS%"));
}

TEST(Loader, AliasesStandForWhatTheyName) {
  const Config config = Load(
      "listeners:\n"
      "- {address: '127.0.0.1:1', cluster: a, timeouts: &t {idle: 7s}}\n"
      "- {address: '127.0.0.1:2', cluster: a, timeouts: *t}\n"
      "clusters: [{name: a, endpoints: ['127.0.0.1:3']}]\n");
  EXPECT_EQ(config.listeners.at(1).timeouts.idle, seconds(7));
}

TEST(Overrides, ChangeAddAndReplace) {
  const Config config =
      Load(kBase, {"drain.propagation_delay=0s", "workers=2", "clusters.app.connect_timeout=2s",
                   "clusters.0.max_idle=5", "clusters.app.endpoints.1=127.0.0.1:3001",
                   "clusters.app.endpoints.127.0.0.1:3000.weight=9", "listeners.front.via=edge",
                   "access_log=off", "admin.address=unix:/a.sock", "drain.deadline=9s",
                   "drain.deadline=8s", "listeners.127.0.0.1:8080.timeouts.idle=3s"});
  EXPECT_EQ(config.drain.propagation_delay, seconds(0));
  EXPECT_EQ(config.drain.deadline, seconds(8)) << "the last one wins";
  EXPECT_EQ(config.workers, 2U);
  EXPECT_EQ(config.clusters.at(0).connect_timeout, seconds(2));
  EXPECT_EQ(config.clusters.at(0).max_idle, 5U);
  ASSERT_THAT(config.clusters.at(0).endpoints, SizeIs(2));
  EXPECT_EQ(config.clusters.at(0).endpoints[0].address, "127.0.0.1:3000");
  EXPECT_EQ(config.clusters.at(0).endpoints[0].weight, 9U);
  EXPECT_EQ(config.clusters.at(0).endpoints[1].address, "127.0.0.1:3001");
  EXPECT_EQ(config.listeners.at(0).via, "edge");
  EXPECT_EQ(config.listeners.at(0).timeouts.idle, seconds(3));
  EXPECT_FALSE(config.access_log.enabled);
  EXPECT_EQ(config.admin.address, "unix:/a.sock");
}

TEST(Overrides, CanBeAllThereIs) {
  const std::vector<std::string> all = {"listeners.0.address=[::1]:0", "listeners.0.cluster=a",
                                        "clusters=[{name: a, endpoints: ['127.0.0.1:3000']}]",
                                        "admin=off"};
  EXPECT_EQ(Load("", all).listeners.at(0).address, "[::1]:0");
  const auto loaded = LoadConfig({.file = "", .overrides = all});
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_EQ(loaded->clusters.at(0).name, "a");
}

TEST(Overrides, OfASectionWrittenShort) {
  const std::string off = std::string(kBase) + "access_log: off\nadmin: off\n";
  const Config config = Load(off, {"access_log.format=text", "admin.address=127.0.0.1:5"});
  EXPECT_FALSE(config.access_log.enabled) << "the format alone does not switch it on";
  EXPECT_EQ(config.access_log.format, AccessLogFormat::kText);
  EXPECT_EQ(config.admin.address, "127.0.0.1:5");
}

TEST(Loader, WhatIsDoneAboutUpstreams) {
  const Config config = Load(R"(
zone: eu-1
self_drain: drain
listeners:
- address: 127.0.0.1:1
  routes:
  - cluster: a
    retries: 5
    rate_limit: {requests: 7, per: 2s}
    max_in_flight: 9
    mirror: {cluster: b, percent: 10}
    fault: {delay_percent: 1, delay: 2ms}
clusters:
- name: a
  endpoints: ['127.0.0.1:2', {address: '127.0.0.1:3', priority: 2, zone: eu-2}]
  load_balancing: maglev
  hash_on: {cookie: user}
  session_cookie: {name: s, max_age: 1h, path: /a, secure: true}
  health_check: {kind: grpc, service: pkg.Svc}
  outlier_detection: {consecutive_5xx: 4}
  slow_start: 30s
  critical: true
- name: b
  dns: b.test:80
  tls: {}
  health_check: {statuses: ['200', 300-399]}
- name: c
  dns: c.test.:80
  tls: {}
- name: d
  dns: localhost:80
)");
  EXPECT_EQ(config.self_drain.action, SelfDrainAction::kDrain);
  const RouteConfig& route = config.listeners[0].virtual_hosts[0].routes[0];
  EXPECT_EQ(route.retries.attempts, 5u) << "the section may be that alone";
  EXPECT_EQ(route.rate_limit->per, std::chrono::seconds(2));
  EXPECT_EQ(route.max_in_flight, 9u);
  EXPECT_EQ(route.mirror->percent, 10u);
  EXPECT_EQ(route.fault->delay, std::chrono::milliseconds(2));
  const ClusterConfig& a = config.clusters[0];
  EXPECT_EQ(a.endpoints[1].priority, 2u);
  EXPECT_EQ(a.endpoints[1].zone, "eu-2");
  EXPECT_EQ(a.local_zone, "eu-1");
  EXPECT_EQ(a.hash_on, (HashOn{HashOn::Kind::kCookie, "user"}));
  EXPECT_EQ(a.session_cookie->max_age, std::chrono::hours(1));
  EXPECT_EQ(a.health_check->kind, HealthCheckKind::kGrpc);
  EXPECT_EQ(a.outlier.consecutive_5xx, 4u);
  EXPECT_EQ(a.slow_start.window, std::chrono::seconds(30));
  EXPECT_FALSE(a.dns);
  EXPECT_EQ(config.clusters[1].dns->name, "b.test:80");
  EXPECT_THAT(config.clusters[1].health_check->statuses, testing::ElementsAre("200", "300-399"));
  EXPECT_EQ(config.clusters[1].tls->server_name, "b.test") << "whom the name leads to";
  EXPECT_EQ(config.clusters[2].dns->name, "c.test.:80");
  EXPECT_EQ(config.clusters[2].tls->server_name, "c.test") << "certificates have no final dot";
}

TEST(LoadConfig, ReadsTheFilesWeShip) {
  for (const std::string name : {"minimal", "sidecar", "edge-tls", "resilient"}) {
    const auto config =
        LoadConfig({.file = kSource + "/configs/" + name + ".yaml", .overrides = {}});
    ASSERT_TRUE(config) << config.error().message;
    EXPECT_THAT(CheckConfig(*config), IsEmpty()) << name;
  }
  std::ifstream minimal(kSource + "/configs/minimal.yaml");
  const std::string text{std::istreambuf_iterator<char>(minimal), {}};
  EXPECT_LT(std::count(text.begin(), text.end(), '\n'), 10);
}

TEST(LoadConfig, SaysWhatIsWrongWithTheFileItself) {
  const auto missing = LoadConfig({.file = "/nonexistent/sluice.yaml", .overrides = {}});
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().message,
            "/nonexistent/sluice.yaml: No such file or directory; expected a configuration file");
  const auto directory = LoadConfig({.file = "/", .overrides = {}});
  ASSERT_FALSE(directory);
  EXPECT_THAT(directory.error().message, HasSubstr("/: Is a directory"));
  const auto nothing = LoadConfig({});
  ASSERT_FALSE(nothing);
  EXPECT_EQ(nothing.error().message, "configuration: 'listeners' is missing");
}

TEST(DumpConfig, ReadsBackAsItself) {
  std::vector<std::string> texts = {kBase};
  for (const std::string path :
       {"/configs/minimal.yaml", "/configs/sidecar.yaml", "/configs/resilient.yaml",
        "/test/fuzz/corpus/config/router.yaml"}) {
    std::ifstream file(kSource + path);
    ASSERT_TRUE(file.is_open()) << path;
    texts.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  }
  for (const std::string& text : texts) {
    const std::string dump = DumpConfig(Load(text));
    EXPECT_EQ(DumpConfig(Load(dump)), dump);
  }
}

TEST(DumpConfig, KeepsEveryText) {
  // Each of them is something else to YAML when it stands without quotes.
  for (const std::string body :
       {"",     " ",    "null", "~",    "true",       "1.5",        "0x10",    "- a",
        "a: b", "a #b", "'",    "\\\"", "\\n\\n",     "\\x01\\x7f", "\\u00e9", "\\u2028",
        "*a",   "&a",   "!a",   "%a",   "@a",         "[",          "{",       "---",
        "...",  ":",    "a:",   "-",    "tab\\there", "\\x00"}) {
    const Config config =
        Load("listeners: [{address: '127.0.0.1:1', routes: [{direct_response: {body: \"" + body +
             "\"}}]}]\n");
    ASSERT_THAT(config.listeners, SizeIs(1));
    const Config again = Load(DumpConfig(config));
    ASSERT_THAT(again.listeners, SizeIs(1)) << DumpConfig(config);
    EXPECT_EQ(again.listeners[0].virtual_hosts.at(0).routes.at(0).direct_response.value().body,
              config.listeners[0].virtual_hosts.at(0).routes.at(0).direct_response.value().body);
  }
}

}  // namespace
}  // namespace sluice
