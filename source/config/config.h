// The configuration as plain data, already validated: names resolve, ranges hold. The loader
// (config/loader.h) makes it from YAML; everyone else only reads it. A loaded Config is immutable
// and shared by all threads as std::shared_ptr<const Config>.
//
// The defaults here are the defaults of the product; docs/configuration.md is checked against them.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/time.h"
#include "sluice/drainable.h"

namespace sluice {

// Edits of header fields, in this order: remove, set, add.
struct HeaderEdits {
  std::vector<std::string> remove;
  std::vector<std::pair<std::string, std::string>> set;
  std::vector<std::pair<std::string, std::string>> add;
};

// A test of one header field or query parameter. Without a value: it must be present.
struct FieldMatch {
  enum class Kind : uint8_t { kPresent, kAbsent, kExact, kPrefix, kRegex };
  std::string name;
  Kind kind = Kind::kPresent;
  std::string value;
};

struct RouteMatch {
  enum class PathKind : uint8_t { kPrefix, kExact, kRegex };
  PathKind path_kind = PathKind::kPrefix;
  std::string path = "/";
  std::vector<std::string> methods;  // empty: any
  std::vector<FieldMatch> headers;
  std::vector<FieldMatch> query;
};

struct WeightedCluster {
  std::string cluster;
  uint32_t weight = 1;
};

struct Redirect {
  int status = 302;    // 301, 302, 303, 307, 308
  std::string scheme;  // empty: keep
  std::string host;    // empty: keep
  std::string path;    // empty: keep path and query
};

struct DirectResponse {
  int status = 200;
  std::string body;
  std::string content_type = "text/plain";
};

// What a drain does with requests that are in flight when it begins. kByKind: WebSockets and event
// streams are ended early in their own words, everything else may finish. kFinish: everything may.
// kEndEarly: nothing may that is older than a second.
enum class OnDrain : uint8_t { kByKind, kFinish, kEndEarly };

// How WebSockets are kept, and ended. Zero: off, or no limit.
struct WebSocketConfig {
  Duration ping_interval{};                          // a Ping to a client that is silent so long
  Duration ping_timeout = std::chrono::seconds(10);  // its answer
  Duration idle_timeout{};                           // without a byte either way
  Duration max_duration{};
  Duration message_wait =
      std::chrono::milliseconds(500);                // for the end of a message: then of a frame
  Duration close_timeout = std::chrono::seconds(5);  // for the answer to our Close
};

// How event streams are ended.
struct EventStreamConfig {
  Duration retry{};         // "retry: N" before the end; 0 with no jitter: none
  Duration retry_jitter{};  // uniformly 0..jitter on top of it
};

struct RouteConfig {
  std::string name;  // default: virtual host and position, "default/0"
  RouteMatch match;

  // Exactly one action: `clusters` (one or several), `redirect`, `direct_response`.
  std::vector<WeightedCluster> clusters;
  std::optional<Redirect> redirect;
  std::optional<DirectResponse> direct_response;

  std::string prefix_rewrite;  // replaces the matched prefix or path; empty: none
  std::string host_rewrite;    // empty: keep the client's
  HeaderEdits request_headers;
  HeaderEdits response_headers;
  // How long the upstream may be silent once it has the whole request: until its response begins
  // (504), and then between two pieces of it (broken off). 0: for ever.
  Duration timeout = std::chrono::seconds(15);
  OnDrain on_drain = OnDrain::kByKind;
  WebSocketConfig websocket;
  EventStreamConfig event_stream;
};

struct VirtualHost {
  std::string name;
  std::vector<std::string> domains;  // exact, "*.example.com" or "*"
  std::vector<RouteConfig> routes;   // first match wins
};

enum class TlsMinVersion : uint8_t { k12, k13 };
enum class ClientAuth : uint8_t { kOff, kOptional, kRequired };

// A certificate of a listener, in PEM files.
struct CertificateConfig {
  std::string cert;                       // with its chain
  std::string key;                        // without a passphrase
  std::vector<std::string> server_names;  // empty: those it is made out to
};

struct ListenerTlsConfig {
  std::vector<CertificateConfig> certificates;  // the first is for clients that name nobody
  ClientAuth client_auth = ClientAuth::kOff;
  std::string ca;  // whose client certificates are trusted
  TlsMinVersion min_version = TlsMinVersion::k12;
  std::string ciphers;        // of TLS 1.2; empty: ours
  std::string cipher_suites;  // of TLS 1.3; empty: ours
  bool session_tickets = true;
  std::vector<std::string> ticket_key_files;  // empty: random ones, of this process
  Duration session_lifetime = std::chrono::hours(2);
};

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

// What becomes of x-forwarded-client-cert, which says who the client is by its certificate.
enum class ForwardClientCert : uint8_t { kOff, kReplace, kAppend };

struct ListenerTimeouts {
  Duration handshake = std::chrono::seconds(10);  // of TLS
  Duration header = std::chrono::seconds(10);     // first byte of a head to its end: 408
  Duration idle = std::chrono::seconds(60);       // between requests
  Duration body = std::chrono::seconds(30);   // without a byte of an unfinished request body: 408
  Duration write = std::chrono::seconds(30);  // without the client taking a byte: cut
};

struct ListenerLimits {
  uint32_t header_bytes = 64 * 1024;     // 431
  uint32_t header_count = 100;           // 431
  uint32_t uri_bytes = 16 * 1024;        // 414
  uint64_t body_bytes = 0;               // 413; 0: no limit
  uint64_t requests_per_connection = 0;  // 0: no limit
  uint32_t connections = 0;              // of this listener, over all workers; 0: no limit
  uint32_t websockets = 0;               // the same, of open WebSockets: 503
};

// How many frames of a kind are taken from one HTTP/2 connection at once; as many again are taken
// in every half minute. Beyond that: GOAWAY ENHANCE_YOUR_CALM.
struct Http2FloodLimits {
  uint32_t settings = 100;
  uint32_t ping = 500;
  uint32_t empty_data = 500;
  uint32_t continuation = 500;
  uint32_t priority = 2000;
  uint32_t window_update = 20000;
  uint32_t rapid_reset = 1000;   // streams the client resets
  uint32_t induced_reset = 100;  // streams it makes us reset
};

struct ListenerHttp2 {
  bool enabled = true;
  uint32_t max_concurrent_streams = 100;
  uint32_t stream_window = 64 * 1024;        // request body bytes on their way, of a stream
  uint32_t connection_window = 1024 * 1024;  // and of all streams of a connection together
  Http2FloodLimits floods;
};

// What to do with a connection above the limit: leave it in the accept queue, or answer 503.
enum class OverloadAction : uint8_t { kPause, kReject };

struct ListenerConfig {
  std::string name;     // default: the address
  std::string address;  // "127.0.0.1:8080", "[::]:8080", "unix:/run/sluice.sock"
  Direction direction = Direction::kInbound;
  uint32_t backlog = 4096;
  ListenerTimeouts timeouts;
  ListenerLimits limits;
  ListenerHttp2 http2;
  OverloadAction on_overload = OverloadAction::kPause;
  bool allow_connect = false;
  bool forwarded = false;        // also write the Forwarded field (RFC 7239)
  bool trust_forwarded = false;  // keep and extend X-Forwarded-* of the client; otherwise replaced
  ForwardClientCert forward_client_cert = ForwardClientCert::kOff;
  std::string via = "sluice";            // pseudonym in Via; empty: no Via
  std::optional<ListenerTlsConfig> tls;  // none: cleartext
  std::vector<VirtualHost> virtual_hosts;
};

enum class LoadBalancing : uint8_t { kRoundRobin, kLeastRequest };

struct EndpointConfig {
  std::string address;  // numeric host and port, or "unix:/path"
  uint32_t weight = 1;
  bool operator==(const EndpointConfig&) const = default;
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
  std::vector<EndpointConfig> endpoints;
  UpstreamProtocol protocol = UpstreamProtocol::kHttp1;
  ClusterHttp2 http2;
  LoadBalancing load_balancing = LoadBalancing::kRoundRobin;
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

enum class DrainStrategy : uint8_t { kImmediate, kGradual };

struct DrainConfig {
  Duration propagation_delay = std::chrono::seconds(5);
  Duration jitter = std::chrono::milliseconds(500);  // uniformly 0..jitter on top of the delay
  DrainStrategy strategy = DrainStrategy::kImmediate;
  Duration deadline = std::chrono::seconds(20);  // budget of the phase `draining`
  Duration spread = std::chrono::seconds(10);    // long-lived kinds are told over this time
  Duration idle_grace = std::chrono::milliseconds(100);
  Duration linger = std::chrono::seconds(1);
  Duration stopping_background = std::chrono::seconds(1);
  Duration flushing = std::chrono::seconds(2);
  Duration releasing = std::chrono::seconds(1);
  Duration grace_period = std::chrono::seconds(30);  // what the orchestrator allows in all
  std::string report_file;                           // empty: the report goes to the log only
};

struct AdminConfig {
  std::string address = "127.0.0.1:9901";  // or "unix:/path"; empty: no admin listener
};

enum class AccessLogFormat : uint8_t { kJson, kText };

struct AccessLogConfig {
  bool enabled = true;
  std::string path = "stdout";  // or a file
  AccessLogFormat format = AccessLogFormat::kJson;
  std::string text_format;  // for kText: see docs/configuration.md
};

enum class LogFormat : uint8_t { kJson, kText };
enum class LogLevel : uint8_t { kDebug, kInfo, kWarning, kError };

struct LogConfig {
  LogLevel level = LogLevel::kInfo;
  LogFormat format = LogFormat::kJson;
  std::string path = "stderr";
};

struct TlsConfig {
  Duration reload_interval = std::chrono::seconds(10);  // between looks at the files; 0: none
};

// Hot reload: when the file is read again without being told to.
struct ReloadConfig {
  bool watch = true;                                   // when it has changed
  Duration debounce = std::chrono::milliseconds(200);  // once it has stood still for so long
};

// Hot restart: how a new process takes over (docs/hand-over.md).
struct RestartConfig {
  std::string socket;  // Unix socket path for `serve --takeover`; empty: none
  Duration timeout = std::chrono::seconds(30);
  bool move_connections = true;
  uint32_t generations = 4;  // that may drain at the same time
};

struct Config {
  uint32_t workers = 0;          // 0: one for each CPU the process may use
  uint32_t max_connections = 0;  // of the process; 0: no limit
  std::vector<ListenerConfig> listeners;
  std::vector<ClusterConfig> clusters;
  TlsConfig tls;
  DrainConfig drain;
  ReloadConfig reload;
  RestartConfig restart;
  AdminConfig admin;
  AccessLogConfig access_log;
  LogConfig log;
  std::string pid_file;
};

}  // namespace sluice
