#include "net/tls_server_context.h"

#include <openssl/err.h>
#include <openssl/sha.h>

#include <algorithm>
#include <utility>

#include "net/tls_context.h"

namespace sluice {
namespace {

// OpenSSL takes two of each full handshake by default; a proxy's clients open one connection, and
// each ticket costs a serialised session, an encryption and a record.
constexpr size_t kTicketsPerHandshake = 1;

// RFC 6066 3: names are compared without regard to case, and have no dot at the end.
std::string Normalised(std::string_view name) {
  if (name.ends_with('.')) name.remove_suffix(1);
  std::string lower(name);
  for (char& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
  return lower;
}

// "*.example.com" is filed as ".example.com".
std::string_view FiledAs(std::string_view name) {
  return name.starts_with("*.") ? name.substr(1) : name;
}

// A certificate that does not verify is let pass, and told to whom it may concern.
int LetPass(int, X509_STORE_CTX*) { return 1; }

}  // namespace

Result<std::shared_ptr<const TlsServerContext>> TlsServerContext::Build(
    const TlsServerOptions& options, std::shared_ptr<const TlsTicketKeys> tickets) {
  std::shared_ptr<TlsServerContext> built(new TlsServerContext);
  built->alpn_ = options.alpn;
  if (options.session_tickets) built->tickets_ = std::move(tickets);
  for (size_t i = 0; i < options.certificates.size(); ++i) {
    if (auto added = built->AddCertificate(options, i); !added) {
      return tl::unexpected(added.error());
    }
  }
  if (options.client_auth != TlsClientAuth::kOff) {
    if (auto done = built->AskForClientCertificates(options); !done) {
      return tl::unexpected(done.error());
    }
  }
  built->IndexNames();
  return built;
}

Result<void> TlsServerContext::AddCertificate(const TlsServerOptions& options, size_t index) {
  const std::string where = options.where + ".certificates[" + std::to_string(index) + "]";
  auto loaded = LoadTlsCertificate(options.certificates[index], where);
  if (!loaded) return tl::unexpected(loaded.error());
  const int key_type = EVP_PKEY_get_base_id(loaded->key.get());
  auto identity = std::find_if(identities_.begin(), identities_.end(), [&](const Identity& known) {
    return known.names == loaded->info.names &&
           !std::count(known.key_types.begin(), known.key_types.end(), key_type);
  });
  if (identity == identities_.end()) {
    auto context = MakeTlsContext(TLS_server_method(), options);
    if (!context) return tl::unexpected(context.error());
    SetUp(context->get(), options);
    identities_.push_back({std::move(*context), loaded->info.names, {}});
    identity = std::prev(identities_.end());
  }
  identity->key_types.push_back(key_type);
  certificates_.push_back(loaded->info);
  return UseCertificate(identity->context.get(), *loaded, where + ".cert");
}

void TlsServerContext::SetUp(SSL_CTX* context, const TlsServerOptions& options) {
  SSL_CTX_set_app_data(context, this);
  SSL_CTX_set_options(context, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
  // Sessions live in tickets, which the client keeps; a cache here would be one to each process.
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_timeout(
      context, std::chrono::duration_cast<std::chrono::seconds>(options.session_lifetime).count());
  SSL_CTX_set_tlsext_servername_callback(context, OnServerName);
  SSL_CTX_set_tlsext_servername_arg(context, this);
  if (!alpn_.empty()) SSL_CTX_set_alpn_select_cb(context, OnAlpn, this);
  if (tickets_ != nullptr) {
    SSL_CTX_set_tlsext_ticket_key_evp_cb(context, OnTicketKey);
    SSL_CTX_set_num_tickets(context, kTicketsPerHandshake);
  } else {
    SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
    SSL_CTX_set_num_tickets(context, 0);
  }
  // A session is resumed only where the same is asked of the client: one that was let in without a
  // certificate must not come in where it needs one.
  const std::string asked = std::to_string(static_cast<int>(options.client_auth));
  SSL_CTX_set_session_id_context(context, reinterpret_cast<const unsigned char*>(asked.data()),
                                 static_cast<unsigned>(asked.size()));
}

Result<void> TlsServerContext::AskForClientCertificates(const TlsServerOptions& options) {
  auto text = ReadTlsFile(options.ca, options.where + ".ca");
  if (!text) return tl::unexpected(text.error());
  // Likewise: a session of a client that another CA vouched for is not resumed.
  unsigned char asked[SHA256_DIGEST_LENGTH];
  *text += static_cast<char>(options.client_auth);
  SHA256(reinterpret_cast<const unsigned char*>(text->data()), text->size(), asked);
  auto authorities = LoadTlsAuthorities(options.ca, options.where + ".ca");
  if (!authorities) return tl::unexpected(authorities.error());
  const bool required = options.client_auth == TlsClientAuth::kRequired;
  const int mode = SSL_VERIFY_PEER | (required ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0);
  for (const Identity& identity : identities_) {
    SSL_CTX* const context = identity.context.get();
    if (auto trusted = TrustAuthorities(context, options); !trusted) return trusted;
    for (const X509Ptr& authority : *authorities) SSL_CTX_add_client_CA(context, authority.get());
    SSL_CTX_set_verify(context, mode, required ? nullptr : LetPass);
    SSL_CTX_set_session_id_context(context, asked, sizeof(asked));
  }
  return {};
}

// The first certificate for a name wins.
void TlsServerContext::IndexNames() {
  for (size_t i = 0; i < identities_.size(); ++i) {
    for (const std::string& name : identities_[i].names) names_.emplace(FiledAs(name), i);
  }
}

// RFC 6125 6.4.3: a wildcard stands for one label.
SSL_CTX* TlsServerContext::Find(std::string_view server_name) const {
  std::string name = Normalised(server_name);
  auto found = names_.find(name);
  if (found == names_.end()) {
    name.erase(0, std::min(name.find('.'), name.size()));
    found = names_.find(name);
  }
  return identities_[found == names_.end() ? 0 : found->second].context.get();
}

SslPtr TlsServerContext::NewSsl() const {
  SslPtr ssl(SSL_new(identities_.front().context.get()));
  if (ssl != nullptr) SSL_set_accept_state(ssl.get());
  return ssl;
}

// ---- asked by OpenSSL, on any worker ----

const TlsServerContext& TlsServerContext::Of(SSL* ssl) {
  return *static_cast<const TlsServerContext*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)));
}

int TlsServerContext::OnServerName(SSL* ssl, int*, void* self) {
  const char* name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
  if (name == nullptr) return SSL_TLSEXT_ERR_NOACK;
  SSL_CTX* const context = static_cast<const TlsServerContext*>(self)->Find(name);
  if (context != SSL_get_SSL_CTX(ssl)) SSL_set_SSL_CTX(ssl, context);
  return SSL_TLSEXT_ERR_OK;
}

// RFC 7301 3.2: when nothing fits, the client is told so, instead of getting a protocol it did not
// ask for.
int TlsServerContext::OnAlpn(SSL*, const unsigned char** chosen, unsigned char* chosen_size,
                             const unsigned char* offered, unsigned offered_size, void* self) {
  for (const std::string& ours : static_cast<const TlsServerContext*>(self)->alpn_) {
    for (unsigned at = 0; at < offered_size; at += 1U + offered[at]) {
      const std::string_view theirs(reinterpret_cast<const char*>(offered + at + 1), offered[at]);
      if (theirs != ours) continue;
      *chosen = offered + at + 1;
      *chosen_size = offered[at];
      return SSL_TLSEXT_ERR_OK;
    }
  }
  return SSL_TLSEXT_ERR_ALERT_FATAL;
}

int TlsServerContext::OnTicketKey(SSL* ssl, unsigned char* name, unsigned char* iv,
                                  EVP_CIPHER_CTX* cipher, EVP_MAC_CTX* mac, int seal) {
  const int result = Of(ssl).tickets_->Setup(name, iv, cipher, mac, seal != 0);
  // RFC 8446 C.4: a ticket is for one use, so one that was good is replaced (2).
  return result == 1 && seal == 0 && SSL_version(ssl) == TLS1_3_VERSION ? 2 : result;
}

}  // namespace sluice
