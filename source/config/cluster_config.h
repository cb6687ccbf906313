// The part of the configuration that says where requests go: clusters, their endpoints, and what is
// done about those that are slow, restarting or dead. Plain data, see config/config.h.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/time.h"
#include "sluice/resolver.h"

namespace sluice {

enum class TlsMinVersion : uint8_t { k12, k13 };

struct ClusterTlsConfig {
  bool verify = true;
  std::string server_name;  // for SNI and verification; empty only without verify
  std::string ca;           // empty: the system's
  std::string cert;         // ours; empty: none
  std::string key;
  TlsMinVersion min_version = TlsMinVersion::k12;
  std::string ciphers;
  std::string cipher_suites;
  bool operator==(const ClusterTlsConfig&) const = default;
};

struct EndpointConfig {
  std::string address;  // numeric host and port, or "unix:/path"
  uint32_t weight = 1;
  uint32_t priority = 0;  // 0 first; the next ones when those before cannot carry the load
  std::string zone{};     // empty: counts as our own
  bool operator==(const EndpointConfig&) const = default;
};

// Endpoints that are looked up.
struct DnsConfig {
  std::string name;  // "app.internal:8080"; of SRV records "_http._tcp.app.internal"
  DnsRecords records = DnsRecords::kAddress;
  Duration min_refresh = std::chrono::seconds(1);    // however short the TTL is
  Duration max_refresh = std::chrono::seconds(300);  // however long
  uint32_t jitter_percent = 10;  // a lookup is up to so much earlier than the TTL says
  Duration timeout = std::chrono::seconds(2);  // of one question to one server
  uint32_t tries = 2;                          // questions to every server
  std::vector<std::string> servers;            // IP:port; empty: those of the system
  bool operator==(const DnsConfig&) const = default;
};

enum class LoadBalancing : uint8_t { kRoundRobin, kLeastRequest, kRandom, kRingHash, kMaglev };

// What of a request chooses its endpoint with kRingHash and kMaglev.
struct HashOn {
  enum class Kind : uint8_t { kHeader, kCookie, kSource };
  Kind kind = Kind::kSource;  // the client's address
  std::string name;           // of the header or cookie; a request without it goes anywhere
  bool operator==(const HashOn&) const = default;
};

// Keeps a client on the endpoint that answered it first, for as long as that is usable.
struct SessionCookie {
  std::string name = "sluice-session";
  Duration max_age{};  // zero: until the browser closes
  std::string path = "/";
  bool secure = false;
  bool operator==(const SessionCookie&) const = default;
};

enum class HealthCheckKind : uint8_t { kHttp, kTcp, kGrpc };

struct HealthCheckConfig {
  HealthCheckKind kind = HealthCheckKind::kHttp;
  std::string path = "/";
  std::string host;                              // empty: the address
  std::vector<std::string> statuses{"200-299"};  // that pass
  std::string service;                           // of gRPC; empty: the server as a whole
  Duration interval = std::chrono::seconds(5);
  Duration unhealthy_interval = std::chrono::seconds(1);  // while it does not pass
  uint32_t jitter_percent = 10;                           // of the interval, on top of it
  Duration timeout = std::chrono::seconds(1);
  uint32_t unhealthy_threshold = 3;  // failures in a row
  uint32_t healthy_threshold = 2;    // passes in a row; the first check of all counts at once
  bool operator==(const HealthCheckConfig&) const = default;
};

// When an endpoint is set aside by what its requests met. 0 switches a rule off.
struct OutlierConfig {
  uint32_t consecutive_connect_failures = 3;
  uint32_t consecutive_gateway_failures = 0;  // 502, 503, 504, a reset, a time out
  uint32_t consecutive_5xx = 0;               // those and every other 5xx
  uint32_t success_rate_margin = 0;           // percentage points below the mean of the others
  uint32_t success_rate_requests = 100;       // of an endpoint in an interval, to be judged
  Duration interval = std::chrono::seconds(10);
  Duration base_ejection = std::chrono::seconds(5);  // times the ejections so far
  Duration max_ejection = std::chrono::seconds(300);
  uint32_t max_ejected_percent = 50;
  bool operator==(const OutlierConfig&) const = default;
};

// An endpoint that appears or comes back gets its share little by little.
struct SlowStartConfig {
  Duration window{};  // zero: at once
  uint32_t min_percent = 10;
  bool operator==(const SlowStartConfig&) const = default;
};

// What tells that an endpoint drains: it takes no new requests for `hold`.
struct UpstreamDrainConfig {
  bool header = true;  // "x-sluice-drain: true" in a response
  bool goaway = true;  // GOAWAY without an error
  Duration hold = std::chrono::seconds(10);
  bool operator==(const UpstreamDrainConfig&) const = default;
};

// Of a cluster on each worker; 0: no limit.
struct CircuitBreakerConfig {
  uint32_t connections = 0;
  uint32_t pending = 0;         // requests that wait for a connection
  uint32_t requests = 0;        // in flight
  uint32_t retry_percent = 20;  // of the requests in flight may be retries
  uint32_t min_retries = 3;     // that may be under way however few those are
  Duration max_wait{};          // on average for an answer, else requests are turned away
  uint32_t admit_always = 16;   // may wait however long that takes
  bool operator==(const CircuitBreakerConfig&) const = default;
};

// What is spoken to a cluster. kAuto: what TLS agrees on (ALPN); HTTP/1.1 where there is none.
enum class UpstreamProtocol : uint8_t { kHttp1, kHttp2, kAuto };

struct ClusterHttp2 {
  uint32_t max_concurrent_streams = 100;     // on one connection, if the upstream allows as many
  uint32_t stream_window = 64 * 1024;        // response bytes on their way, of a stream
  uint32_t connection_window = 1024 * 1024;  // and of all streams of a connection together
  bool operator==(const ClusterHttp2&) const = default;
};

struct ClusterConfig {
  std::string name;
  std::vector<EndpointConfig> endpoints;  // of a cluster with `dns`: as found last
  std::optional<DnsConfig> dns;           // none: `endpoints` are given
  UpstreamProtocol protocol = UpstreamProtocol::kHttp1;
  ClusterHttp2 http2;
  LoadBalancing load_balancing = LoadBalancing::kRoundRobin;
  HashOn hash_on;
  std::optional<SessionCookie> session_cookie;
  uint32_t panic_threshold = 0;  // percent usable; below it, health is not looked at
  std::string local_zone;        // Config::zone, filled in by the loader
  std::optional<HealthCheckConfig> health_check;
  OutlierConfig outlier;
  SlowStartConfig slow_start;
  UpstreamDrainConfig upstream_drain;
  CircuitBreakerConfig circuit_breaker;
  bool critical = false;  // counts for self_drain
  // Its 379 is understood (draft-frindell-httpbis-partial-post-replay).
  bool partial_post_replay = false;
  Duration connect_timeout = std::chrono::seconds(1);
  Duration idle_timeout = std::chrono::seconds(30);  // keep below the upstream's own
  Duration upstream_idle_timeout{};  // the upstream's own, if known: for `sluice check`; 0: unknown
  Duration drain_timeout = std::chrono::seconds(20);  // for work on a removed endpoint
  uint32_t max_connections = 0;                       // per worker; 0: no limit
  uint32_t max_idle = 256;                            // kept open per worker
  uint32_t max_pending = 1024;  // requests waiting for a connection, per worker: 503 above
  uint64_t max_requests_per_connection = 0;  // 0: no limit
  std::optional<ClusterTlsConfig> tls;       // none: cleartext
  bool operator==(const ClusterConfig&) const = default;
};

}  // namespace sluice
