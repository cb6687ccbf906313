#include "net/tls_client_context.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

#include <utility>

#include "net/tls_context.h"

namespace sluice {
namespace {

// Where an SSL keeps its slot.
int SlotIndex() {
  static const int index = SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
  return index;
}

bool IsAddress(const std::string& text) {
  unsigned char address[sizeof(in6_addr)];
  return inet_pton(AF_INET, text.c_str(), address) == 1 ||
         inet_pton(AF_INET6, text.c_str(), address) == 1;
}

// RFC 7301 3.1: each name after its length.
std::string AlpnList(const std::vector<std::string>& protocols) {
  std::string list;
  for (const std::string& protocol : protocols) {
    list += static_cast<char>(protocol.size());
    list += protocol;
  }
  return list;
}

Result<void> SetVerification(SSL_CTX* context, const TlsClientOptions& options) {
  // Without `verify` the certificate is judged all the same, and a failure let pass.
  SSL_CTX_set_verify(context, options.verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, nullptr);
  if (!options.ca.empty()) {
    if (auto trusted = TrustAuthorities(context, options); !trusted) return trusted;
  } else if (SSL_CTX_set_default_verify_paths(context) != 1) {
    return Fail(options.where + ".ca: the system's certificates cannot be read: " + TakeTlsError());
  }
  if (options.server_name.empty()) return {};
  X509_VERIFY_PARAM* const param = SSL_CTX_get0_param(context);
  // RFC 9110 4.3.4: names are those of the extension, not the subject.
  X509_VERIFY_PARAM_set_hostflags(
      param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
  const char* const name = options.server_name.c_str();
  const bool set = IsAddress(options.server_name)
                       ? X509_VERIFY_PARAM_set1_ip_asc(param, name) == 1
                       : X509_VERIFY_PARAM_set1_host(param, name, 0) == 1;
  if (!set) return Fail(options.where + ".server_name: '" + options.server_name + "' is no name");
  return {};
}

}  // namespace

Result<std::shared_ptr<const TlsClientContext>> TlsClientContext::Build(
    const TlsClientOptions& options) {
  std::shared_ptr<TlsClientContext> built(new TlsClientContext);
  auto context = MakeTlsContext(TLS_client_method(), options);
  if (!context) return tl::unexpected(context.error());
  SSL_CTX* const c = context->get();
  if (auto set = SetVerification(c, options); !set) return tl::unexpected(set.error());
  if (!options.certificate.cert.empty()) {
    auto loaded = LoadTlsCertificate(options.certificate, options.where);
    if (!loaded) return tl::unexpected(loaded.error());
    if (auto used = UseCertificate(c, *loaded, options.where + ".cert"); !used) {
      return tl::unexpected(used.error());
    }
    built->certificate_ = loaded->info;
  }
  if (!options.alpn.empty()) {
    const std::string list = AlpnList(options.alpn);
    SSL_CTX_set_alpn_protos(c, reinterpret_cast<const unsigned char*>(list.data()),
                            static_cast<unsigned>(list.size()));
  }
  SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_sess_set_new_cb(c, OnNewSession);
  // RFC 6066 3: an address is not a name.
  if (!IsAddress(options.server_name)) built->sni_ = options.server_name;
  built->context_ = std::move(*context);
  return built;
}

SslPtr TlsClientContext::NewSsl(TlsSessionSlot& slot) const {
  SslPtr ssl(SSL_new(context_.get()));
  if (ssl == nullptr) return nullptr;
  SSL_set_connect_state(ssl.get());
  SSL_set_ex_data(ssl.get(), SlotIndex(), &slot);
  if (!sni_.empty()) SSL_set_tlsext_host_name(ssl.get(), sni_.c_str());
  if (slot.session != nullptr) SSL_set_session(ssl.get(), slot.session.get());
  ERR_clear_error();
  return ssl;
}

int TlsClientContext::OnNewSession(SSL* ssl, SSL_SESSION* session) {
  auto* slot = static_cast<TlsSessionSlot*>(SSL_get_ex_data(ssl, SlotIndex()));
  if (slot == nullptr) return 0;
  slot->session.reset(session);
  return 1;  // taken
}

}  // namespace sluice
