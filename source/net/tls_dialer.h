// Opens TLS connections to the endpoints of one cluster: dials, then shakes hands. The caller's
// bound on the wait covers both.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "net/tls_transport.h"
#include "sluice/transport.h"

namespace sluice {

class TlsDialer final : public Dialer {
 public:
  // `loop`, `inner` and `metrics` must outlive the dialer, its attempts and their connections.
  TlsDialer(Loop& loop, Dialer& inner, std::shared_ptr<const TlsClientContext> context,
            TlsHandshakeMetrics& metrics);

  // A handshake that fails is EPROTO.
  std::unique_ptr<Attempt> Dial(const std::string& address, Done done) override;

  // For connections from now on. Sessions of before are forgotten: whom they trusted may have
  // changed.
  void SetContext(std::shared_ptr<const TlsClientContext> context);

 private:
  Loop& loop_;
  Dialer& inner_;
  std::shared_ptr<const TlsClientContext> context_;
  TlsHandshakeMetrics& metrics_;
  std::map<std::string, std::shared_ptr<TlsSessionSlot>> slots_;  // by address
};

}  // namespace sluice
