// What a listener's configuration means to its connections and codecs. Made once for each listener
// and shared by all connections of a worker.
#pragma once

#include <cstdint>
#include <string>

#include "base/time.h"

namespace sluice {

struct HttpLimits {
  uint32_t header_bytes = 64 * 1024;
  uint32_t header_count = 100;
  uint32_t uri_bytes = 16 * 1024;
  uint64_t body_bytes = 0;               // 0: no limit
  uint64_t requests_per_connection = 0;  // 0: no limit
};

struct HttpTimeouts {
  Duration header = std::chrono::seconds(10);
  Duration idle = std::chrono::seconds(60);
  Duration body = std::chrono::seconds(30);
  Duration write = std::chrono::seconds(30);
  Duration linger = std::chrono::seconds(1);
  Duration handshake = std::chrono::seconds(10);  // TLS
};

// How many frames of a kind that costs the peer next to nothing are taken from one connection at
// once; as many again are taken every half minute. Beyond that: GOAWAY ENHANCE_YOUR_CALM.
struct Http2Floods {
  uint32_t settings = 100;
  uint32_t ping = 500;
  uint32_t empty_data = 500;    // DATA without a byte and without END_STREAM
  uint32_t continuation = 500;  // CONTINUATION that is small and not the last
  uint32_t priority = 2000;     // PRIORITY
  uint32_t window_update = 20000;
  uint32_t reset = 1000;   // RST_STREAM received: rapid reset, CVE-2023-44487
  uint32_t induced = 100;  // RST_STREAM the peer made us send: MadeYouReset, CVE-2025-8671
};

// Of one side of an HTTP/2 connection, ours.
struct Http2Options {
  uint32_t max_concurrent_streams = 100;     // that the peer may have open
  uint32_t stream_window = 64 * 1024;        // body bytes on their way, of a stream
  uint32_t connection_window = 1024 * 1024;  // and of all streams together
  Http2Floods floods;
};

struct HttpOptions {
  HttpLimits limits;
  HttpTimeouts timeouts;
  Http2Options http2;
  bool http2_enabled = true;  // by ALPN, and on cleartext by prior knowledge
  bool allow_connect = false;
};

}  // namespace sluice
