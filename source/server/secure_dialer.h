// A TLS dialer with its counters, as a cluster has one on every thread that connects to it.
#pragma once

#include <memory>
#include <utility>

#include "net/tls_dialer.h"

namespace sluice {

struct SecureDialer {
  SecureDialer(Loop& loop, Dialer& plain, std::shared_ptr<const TlsClientContext> context,
               TlsHandshakeMetrics counters)
      : metrics(counters), dialer(loop, plain, std::move(context), metrics) {}
  TlsHandshakeMetrics metrics;
  TlsDialer dialer;
};

}  // namespace sluice
