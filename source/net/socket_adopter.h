// Makes transports of sockets that came from another process.
//
// One loop thread.
#pragma once

#include <memory>
#include <string>

#include "net/uv_loop.h"
#include "sluice/moved_connection.h"

namespace sluice {

class SocketAdopter final : public TransportAdopter {
 public:
  // `loop` must outlive it and its transports.
  explicit SocketAdopter(UvLoop& loop) : loop_(loop) {}
  std::unique_ptr<Transport> Adopt(int descriptor, const std::string& peer) override;

 private:
  UvLoop& loop_;
};

}  // namespace sluice
