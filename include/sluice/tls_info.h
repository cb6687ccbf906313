// What is known of a TLS connection once its handshake is over. Filled in by the transport
// (net/tls_transport.h), read by codecs, forwarded fields and the access log; lives as long as the
// transport.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace sluice {

// What became of the peer's certificate.
enum class PeerVerification : uint8_t {
  kNone,      // it sent none, or was not asked for one
  kVerified,  // it chains to a trusted CA (towards an upstream: and names the host)
  kFailed,    // it does not, and the configuration lets that pass
};

// Of the peer's certificate.
struct TlsPeerCertificate {
  std::string subject;       // RFC 2253: "CN=client,O=Example"
  std::string issuer;        // the same form
  std::string serial;        // hexadecimal
  std::string fingerprint;   // SHA-256 of the certificate, lower-case hexadecimal
  std::string uri_san;       // its first URI name, such as a SPIFFE id
  std::string dns_sans;      // its DNS names, separated by commas
  std::string verify_error;  // why it was not verified, in words
};

struct TlsInfo {
  std::string_view version;  // "TLSv1.2", "TLSv1.3": a constant
  std::string_view cipher;   // "TLS_AES_256_GCM_SHA384": a constant
  std::string_view alpn;     // the protocol agreed on, "h2" or "http/1.1"; empty: none was
  std::string server_name;   // the name the client asked for (SNI), in lower case; may be empty
  bool resumed = false;

  PeerVerification verification = PeerVerification::kNone;
  // Null without one, as on nearly every connection from a client, which then holds no room for it.
  std::shared_ptr<const TlsPeerCertificate> certificate;

  // `certificate`, or one of which everything is empty.
  const TlsPeerCertificate& peer() const;
};

}  // namespace sluice
