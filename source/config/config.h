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
#include "config/cluster_config.h"
#include "config/route_config.h"
#include "sluice/drainable.h"

namespace sluice {

struct VirtualHost {
  std::string name;
  std::vector<std::string> domains;  // exact, "*.example.com" or "*"
  std::vector<RouteConfig> routes;   // first match wins
};

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

// What the process does when a share of the critical clusters has no healthy endpoint.
enum class SelfDrainAction : uint8_t { kOff, kUnready, kDrain };

struct SelfDrainConfig {
  SelfDrainAction action = SelfDrainAction::kOff;
  uint32_t percent = 100;  // of the clusters that are `critical`
  Duration after = std::chrono::seconds(30);
};

struct Config {
  uint32_t workers = 0;          // 0: one for each CPU the process may use
  uint32_t max_connections = 0;  // of the process; 0: no limit
  std::vector<ListenerConfig> listeners;
  std::vector<ClusterConfig> clusters;
  std::string zone;  // where this process runs; empty: no zone is preferred
  TlsConfig tls;
  DrainConfig drain;
  SelfDrainConfig self_drain;
  ReloadConfig reload;
  RestartConfig restart;
  AdminConfig admin;
  AccessLogConfig access_log;
  LogConfig log;
  std::string pid_file;
};

}  // namespace sluice
