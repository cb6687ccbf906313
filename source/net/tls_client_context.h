// The TLS side of a cluster: whom we trust, and who we are. Built whole from the configuration and
// its files, immutable, shared by all workers.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "net/tls_certificate.h"
#include "net/tls_handles.h"
#include "net/tls_options.h"
#include "sluice/result.h"

namespace sluice {

// The last session with one endpoint, for the next connection to resume. One worker thread.
struct TlsSessionSlot {
  SessionPtr session;
};

class TlsClientContext {
 public:
  // Reads every file; without options.ca, the system's CAs are trusted.
  static Result<std::shared_ptr<const TlsClientContext>> Build(const TlsClientOptions& options);
  TlsClientContext(const TlsClientContext&) = delete;
  TlsClientContext& operator=(const TlsClientContext&) = delete;

  // Ours, if we have one.
  const std::optional<TlsCertificateInfo>& certificate() const { return certificate_; }

  // For one connection, whose sessions are put into `slot`, which must outlive it.
  SslPtr NewSsl(TlsSessionSlot& slot) const;

 private:
  TlsClientContext() = default;
  static int OnNewSession(SSL* ssl, SSL_SESSION* session);

  SslCtxPtr context_;
  std::string sni_;  // empty: none
  std::optional<TlsCertificateInfo> certificate_;
};

}  // namespace sluice
