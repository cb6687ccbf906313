#include "net/tls_context.h"

#include <openssl/err.h>

#include "net/tls_certificate.h"

namespace sluice {
namespace {

// Forward secret and authenticated, the cheap ones first; of both kinds of certificates.
constexpr char kCiphers[] =
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
    "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";
constexpr char kCipherSuites[] =
    "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";
constexpr char kGroups[] = "X25519:P-256:P-384";

const char* OrDefault(const std::string& text, const char* otherwise) {
  return text.empty() ? otherwise : text.c_str();
}

}  // namespace

Result<SslCtxPtr> MakeTlsContext(const SSL_METHOD* method, const TlsCommonOptions& options) {
  SslCtxPtr context(SSL_CTX_new(method));
  if (context == nullptr) return Fail(options.where + ": " + TakeTlsError());
  SSL_CTX* const c = context.get();
  SSL_CTX_set_min_proto_version(
      c, options.min_version == TlsVersion::kTls13 ? TLS1_3_VERSION : TLS1_2_VERSION);
  SSL_CTX_set_max_proto_version(c, TLS1_3_VERSION);
  if (SSL_CTX_set_cipher_list(c, OrDefault(options.ciphers, kCiphers)) != 1) {
    return Fail(options.where + ".ciphers: '" + options.ciphers + "': " + TakeTlsError());
  }
  if (SSL_CTX_set_ciphersuites(c, OrDefault(options.cipher_suites, kCipherSuites)) != 1) {
    ERR_clear_error();
    return Fail(options.where + ".cipher_suites: '" + options.cipher_suites +
                "' has a name that is no cipher suite of TLS 1.3; expected some of " +
                kCipherSuites);
  }
  SSL_CTX_set1_groups_list(c, kGroups);
  SSL_CTX_set_options(c, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  // An idle connection gives its buffers back.
  SSL_CTX_set_mode(c, SSL_MODE_RELEASE_BUFFERS);
  return context;
}

Result<void> TrustAuthorities(SSL_CTX* context, const TlsCommonOptions& options) {
  auto authorities = LoadTlsAuthorities(options.ca, options.where + ".ca");
  if (!authorities) return tl::unexpected(authorities.error());
  for (const X509Ptr& authority : *authorities) {
    if (X509_STORE_add_cert(SSL_CTX_get_cert_store(context), authority.get()) != 1) {
      return Fail(options.where + ".ca: " + options.ca + ": " + TakeTlsError());
    }
  }
  return {};
}

Result<void> UseCertificate(SSL_CTX* context, const TlsCertificate& certificate,
                            const std::string& where) {
  ERR_clear_error();
  bool ok = SSL_CTX_use_certificate(context, certificate.chain.front().get()) == 1 &&
            SSL_CTX_use_PrivateKey(context, certificate.key.get()) == 1;
  for (size_t i = 1; ok && i < certificate.chain.size(); ++i) {
    ok = SSL_CTX_add1_chain_cert(context, certificate.chain[i].get()) == 1;
  }
  if (!ok) return Fail(where + ": " + certificate.info.file + ": " + TakeTlsError());
  return {};
}

}  // namespace sluice
