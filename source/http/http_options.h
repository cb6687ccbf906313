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
};

struct HttpOptions {
  HttpLimits limits;
  HttpTimeouts timeouts;
  bool allow_connect = false;
};

}  // namespace sluice
