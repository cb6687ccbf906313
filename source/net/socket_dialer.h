// Opens TCP and Unix connections without blocking.
#pragma once

#include <memory>
#include <string>

#include "net/uv_loop.h"
#include "sluice/transport.h"

namespace sluice {

class SocketDialer final : public Dialer {
 public:
  explicit SocketDialer(UvLoop& loop) : loop_(loop) {}

  std::unique_ptr<Attempt> Dial(const std::string& address, Done done) override;

 private:
  UvLoop& loop_;
};

}  // namespace sluice
