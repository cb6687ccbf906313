// What the contexts of both sides have in common. Only for net/tls*.
#pragma once

#include "net/tls_handles.h"
#include "net/tls_options.h"
#include "sluice/result.h"

namespace sluice {

// A new context with versions, ciphers, groups and modes set.
Result<SslCtxPtr> MakeTlsContext(const SSL_METHOD* method, const TlsCommonOptions& options);

// Trusts the CAs of options.ca, which must not be empty.
Result<void> TrustAuthorities(SSL_CTX* context, const TlsCommonOptions& options);

// Adds a certificate with its chain and key.
struct TlsCertificate;
Result<void> UseCertificate(SSL_CTX* context, const TlsCertificate& certificate,
                            const std::string& where);

}  // namespace sluice
