#include "net/tls_handshake.h"

#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/sslerr.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "net/tls_certificate.h"

namespace sluice {
namespace {

TlsFailure FailureOfVerification(long result) {
  switch (result) {
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_CERT_UNTRUSTED:
      return TlsFailure::kUnknownCa;
    default:
      return TlsFailure::kBadCertificate;
  }
}

// What we found, and what the peer says by an alert that it found.
TlsFailure FailureOfReason(int reason, long verify_result) {
  switch (reason) {
    case SSL_R_HTTP_REQUEST:
      return TlsFailure::kPlainHttp;
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_WRONG_VERSION_NUMBER:
    case SSL_R_WRONG_SSL_VERSION:
    case SSL_R_VERSION_TOO_LOW:
    case SSL_R_UNKNOWN_PROTOCOL:
    case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION:
      return TlsFailure::kVersion;
    case SSL_R_NO_SHARED_CIPHER:
    case SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM:
    case SSL_R_NO_SUITABLE_KEY_SHARE:
    case SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE:
    case SSL_R_TLSV1_ALERT_INSUFFICIENT_SECURITY:
      return TlsFailure::kCipher;
    case SSL_R_NO_APPLICATION_PROTOCOL:
    case SSL_R_TLSV1_ALERT_NO_APPLICATION_PROTOCOL:
      return TlsFailure::kAlpn;
    case SSL_R_CERTIFICATE_VERIFY_FAILED:
      return FailureOfVerification(verify_result);
    case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
      return TlsFailure::kUnknownCa;
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
    case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
      return TlsFailure::kBadCertificate;
    default:
      return TlsFailure::kOther;
  }
}

// A constant for every name we know; anything else was not offered by us.
std::string_view ProtocolConstant(std::string_view name) {
  if (name == "h2") return "h2";
  if (name == "http/1.1") return "http/1.1";
  return {};
}

std::string Lower(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
  return lower;
}

// A client can write any bytes but NUL there, and the name goes into logs and header fields.
std::string ServerNameOf(std::string_view asked) {
  const bool visible =
      std::all_of(asked.begin(), asked.end(), [](char c) { return c > ' ' && c < 0x7f; });
  return visible ? Lower(asked) : std::string();
}

std::string Hex(const unsigned char* bytes, size_t size) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (size_t i = 0; i < size; ++i) {
    text += kDigits[bytes[i] >> 4];
    text += kDigits[bytes[i] & 0xf];
  }
  return text;
}

std::string SerialOf(const X509* certificate) {
  BIGNUM* const number = ASN1_INTEGER_to_BN(X509_get0_serialNumber(certificate), nullptr);
  char* const digits = BN_bn2hex(number);
  std::string text = digits == nullptr ? std::string() : Lower(digits);
  OPENSSL_free(digits);
  BN_free(number);
  return text;
}

void DescribePeer(const SSL* ssl, const X509* certificate, TlsInfo* info) {
  const long result = SSL_get_verify_result(ssl);
  info->verification =
      result == X509_V_OK ? PeerVerification::kVerified : PeerVerification::kFailed;
  auto peer = std::make_shared<TlsPeerCertificate>();
  if (result != X509_V_OK) peer->verify_error = X509_verify_cert_error_string(result);
  peer->subject = TlsNameText(X509_get_subject_name(certificate));
  peer->issuer = TlsNameText(X509_get_issuer_name(certificate));
  peer->serial = SerialOf(certificate);
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  if (X509_digest(certificate, EVP_sha256(), digest, &size) == 1) {
    peer->fingerprint = Hex(digest, size);
  }
  const auto uris = TlsAlternativeNames(certificate, GEN_URI);
  if (!uris.empty()) peer->uri_san = uris.front();
  for (const std::string& name : TlsAlternativeNames(certificate, GEN_DNS)) {
    peer->dns_sans += (peer->dns_sans.empty() ? "" : ",") + name;
  }
  info->certificate = std::move(peer);
}

}  // namespace

std::string_view TlsFailureName(TlsFailure failure) {
  switch (failure) {
    case TlsFailure::kTimeout:
      return "timeout";
    case TlsFailure::kClosed:
      return "closed";
    case TlsFailure::kPlainHttp:
      return "plain_http";
    case TlsFailure::kVersion:
      return "protocol_version";
    case TlsFailure::kCipher:
      return "no_shared_cipher";
    case TlsFailure::kAlpn:
      return "no_alpn";
    case TlsFailure::kBadCertificate:
      return "bad_certificate";
    case TlsFailure::kUnknownCa:
      return "unknown_ca";
    case TlsFailure::kOther:
      return "other";
  }
  return "";
}

TlsFailureCause TakeTlsFailure(const SSL* ssl) {
  const unsigned long error = ERR_peek_error();  // the first one is the cause
  const long verified = SSL_get_verify_result(ssl);
  TlsFailureCause cause;
  if (ERR_GET_LIB(error) == ERR_LIB_SSL) {
    cause.failure = FailureOfReason(ERR_GET_REASON(error), verified);
  }
  const char* reason = ERR_reason_error_string(error);
  cause.detail = reason == nullptr ? "unknown error" : reason;
  if (ERR_GET_REASON(error) == SSL_R_CERTIFICATE_VERIFY_FAILED) {
    cause.detail += std::string(": ") + X509_verify_cert_error_string(verified);
  }
  ERR_clear_error();
  return cause;
}

TlsInfo MakeTlsInfo(const SSL* ssl) {
  TlsInfo info;
  info.version = SSL_version(ssl) == TLS1_3_VERSION ? "TLSv1.3" : "TLSv1.2";
  info.cipher = SSL_CIPHER_get_name(SSL_get_current_cipher(ssl));
  const unsigned char* alpn = nullptr;
  unsigned alpn_size = 0;
  SSL_get0_alpn_selected(ssl, &alpn, &alpn_size);
  info.alpn = ProtocolConstant({reinterpret_cast<const char*>(alpn), alpn_size});
  if (const char* name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name)) {
    info.server_name = ServerNameOf(name);
  }
  info.resumed = SSL_session_reused(ssl) == 1;
  if (const X509* peer = SSL_get0_peer_certificate(ssl)) DescribePeer(ssl, peer, &info);
  return info;
}

TlsHandshakeMetrics::TlsHandshakeMetrics(MetricShard& shard, const std::string& prefix,
                                         const std::string& label, const std::string& name) {
  for (size_t i = 0; i < done_.size(); ++i) {
    done_[i] = &shard.Counter(prefix + "_handshakes_total", "TLS handshakes that succeeded.",
                              {{label, name},
                               {"version", i < 2 ? "TLSv1.2" : "TLSv1.3"},
                               {"resumed", i % 2 == 1 ? "yes" : "no"}});
  }
  for (size_t i = 0; i < failed_.size(); ++i) {
    failed_[i] = &shard.Counter(
        prefix + "_handshake_failures_total", "TLS handshakes that failed, by reason.",
        {{label, name}, {"reason", std::string(TlsFailureName(static_cast<TlsFailure>(i)))}});
  }
}

TlsHandshakeMetrics TlsHandshakeMetrics::OfListener(MetricShard& shard, const std::string& name) {
  return {shard, "sluice_tls", "listener", name};
}

TlsHandshakeMetrics TlsHandshakeMetrics::OfCluster(MetricShard& shard, const std::string& name) {
  return {shard, "sluice_upstream_tls", "cluster", name};
}

void TlsHandshakeMetrics::CountDone(const TlsInfo& info) {
  const size_t version = info.version == "TLSv1.3" ? 2 : 0;
  done_[version + (info.resumed ? 1 : 0)]->Add();
}

}  // namespace sluice
