// The part of the configuration that says what is done with a request: how it is matched, and the
// action. Plain data, see config/config.h.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/time.h"

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

// When a request is sent once more. A body goes again only while all of it is held.
struct RetryConfig {
  uint32_t attempts = 2;        // beyond the first
  bool connect_failure = true;  // nothing was sent
  bool refused = true;          // by the upstream, unprocessed (REFUSED_STREAM, GOAWAY)
  bool reset = true;            // before the response; only what is idempotent
  bool uploads = true;  // before the upstream had the end of the request, whatever the method
  std::vector<std::string> statuses;  // of responses: "503", "500-599"; only what is idempotent
  std::vector<std::string> grpc_statuses;  // of responses without a message: "unavailable"
  bool any_method = false;                 // as if everything were idempotent
  Duration per_try_timeout{};              // zero: none but the route's
  Duration backoff = std::chrono::milliseconds(25);  // the first wait is up to this, then doubled
  Duration max_backoff = std::chrono::milliseconds(250);
  uint64_t body_bytes = 64 * 1024;  // of a request's body that are held
  bool operator==(const RetryConfig&) const = default;
};

// A token bucket, shared by all workers: 429 above.
struct RateLimitConfig {
  uint32_t requests = 100;
  Duration per = std::chrono::seconds(1);
  uint32_t burst = 0;  // at once; 0: `requests`
  bool operator==(const RateLimitConfig&) const = default;
};

// A copy of every request, whose response nobody waits for.
struct MirrorConfig {
  std::string cluster;
  uint32_t percent = 100;
};

// Faults for testing: of so many percent of the requests.
struct FaultConfig {
  uint32_t delay_percent = 0;
  Duration delay{};
  uint32_t abort_percent = 0;
  int abort_status = 503;
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
  RetryConfig retries;
  std::optional<RateLimitConfig> rate_limit;
  uint32_t max_in_flight = 0;  // requests over all workers: 503 above; 0: no limit
  std::optional<MirrorConfig> mirror;
  std::optional<FaultConfig> fault;
};

}  // namespace sluice
