#include "config/schema_tls.h"

namespace sluice {
namespace {

void VisitCertificate(FieldVisitor& v, CertificateConfig& c) {
  v.Text("cert", c.cert, kNeededFile, {.required = true});
  v.Text("key", c.key, kNeededFile, {.required = true});
  v.Texts("server_names", c.server_names, kServerName,
          {.default_words = "those the certificate is made out to"});
}

template <typename Config>
void VisitCrypto(FieldVisitor& v, Config& c) {
  v.Word("min_version", c.min_version, {"1.2", "1.3"});
  v.Text("ciphers", c.ciphers, kCiphers, {.default_words = "ours"});
  v.Text("cipher_suites", c.cipher_suites, kCiphers, {.default_words = "ours"});
}

}  // namespace

void VisitListenerTls(FieldVisitor& v, ListenerTlsConfig& c) {
  v.List("certificates", c.certificates, VisitCertificate, {.required = true});
  v.Word("client_auth", c.client_auth, {"off", "optional", "required"});
  v.Text("ca", c.ca, kFile);
  VisitCrypto(v, c);
  v.Flag("session_tickets", c.session_tickets);
  v.Texts("ticket_key_files", c.ticket_key_files, kNeededFile);
  v.Time("session_lifetime", c.session_lifetime, std::chrono::minutes(1));
}

void VisitClusterTls(FieldVisitor& v, ClusterTlsConfig& c) {
  v.Flag("verify", c.verify);
  v.Text("server_name", c.server_name, kPeerName);
  v.Text("ca", c.ca, kFile, {.default_words = "the system's"});
  v.Text("cert", c.cert, kFile);
  v.Text("key", c.key, kFile);
  VisitCrypto(v, c);
}

void VisitTls(FieldVisitor& v, TlsConfig& c) { v.Time("reload_interval", c.reload_interval); }

}  // namespace sluice
