// FrozenTunnel::state: what a WebSocket session is to the proxy, in bytes, for the process that
// goes on with it. Pure functions; what is decoded may be anything.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/time.h"
#include "proxy/websocket_tunnel.h"
#include "sluice/result.h"

namespace sluice {

struct MovedTunnel {
  std::string route;
  std::string cluster;
  std::string endpoint;  // its address
  std::string unsent;    // to the upstream
  Duration upstream_time{};
  uint8_t attempts = 0;
  WebSocketTunnel::Frozen websocket;
};

std::string EncodeMovedTunnel(const MovedTunnel& tunnel);
Result<MovedTunnel> DecodeMovedTunnel(std::string_view bytes);

}  // namespace sluice
