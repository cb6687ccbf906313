// The TLS side of a listener: its certificates, and what is agreed with clients. Built whole from
// the configuration and its files, immutable, shared by all workers. Reading the files again makes
// a new one; connections keep the one they began with.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "net/tls_certificate.h"
#include "net/tls_handles.h"
#include "net/tls_options.h"
#include "net/tls_ticket_keys.h"
#include "sluice/result.h"

namespace sluice {

class TlsServerContext {
 public:
  // Reads every file. `tickets` is used when options.session_tickets, and may be shared by several
  // contexts, so that sessions outlive a change of certificates.
  static Result<std::shared_ptr<const TlsServerContext>> Build(
      const TlsServerOptions& options, std::shared_ptr<const TlsTicketKeys> tickets);
  TlsServerContext(const TlsServerContext&) = delete;
  TlsServerContext& operator=(const TlsServerContext&) = delete;

  // In the order of the configuration.
  const std::vector<TlsCertificateInfo>& certificates() const { return certificates_; }

  // For one connection.
  SslPtr NewSsl() const;

 private:
  // Certificates for the same names, of different kinds of keys; the client's abilities choose.
  struct Identity {
    SslCtxPtr context;
    std::vector<std::string> names;
    std::vector<int> key_types;
  };

  TlsServerContext() = default;
  Result<void> AddCertificate(const TlsServerOptions& options, size_t index);
  Result<void> AskForClientCertificates(const TlsServerOptions& options);
  void SetUp(SSL_CTX* context, const TlsServerOptions& options);
  void IndexNames();
  SSL_CTX* Find(std::string_view server_name) const;

  static const TlsServerContext& Of(SSL* ssl);
  static int OnServerName(SSL* ssl, int* alert, void* self);
  static int OnAlpn(SSL* ssl, const unsigned char** chosen, unsigned char* chosen_size,
                    const unsigned char* offered, unsigned offered_size, void* self);
  static int OnTicketKey(SSL* ssl, unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher,
                         EVP_MAC_CTX* mac, int seal);

  std::vector<Identity> identities_;  // the first one is for clients that name nobody
  std::vector<TlsCertificateInfo> certificates_;
  // "example.com" and ".example.com" (for "*.example.com") to the place in identities_.
  std::unordered_map<std::string, size_t> names_;
  std::vector<std::string> alpn_;
  std::shared_ptr<const TlsTicketKeys> tickets_;
};

}  // namespace sluice
