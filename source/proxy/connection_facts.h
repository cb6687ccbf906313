// What a client's connection tells about itself, by the names that the access log and the values of
// header rules know.
//
//   TLS_VERSION  TLS_CIPHER   of the connection; empty without TLS
//   TLS_SERVER_NAME           the name the client asked for (SNI)
//   TLS_RESUMED               yes or no
//   CLIENT_VERIFY             of the client's certificate: verified, failed, or none
//   CLIENT_SUBJECT  CLIENT_ISSUER  CLIENT_SERIAL  CLIENT_FINGERPRINT  CLIENT_URI  CLIENT_DNS
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "sluice/handler.h"

namespace sluice {

enum class ConnectionFact : uint8_t {
  kTlsVersion,
  kTlsCipher,
  kTlsServerName,
  kTlsResumed,
  kClientVerify,
  kClientSubject,
  kClientIssuer,
  kClientSerial,
  kClientFingerprint,
  kClientUri,
  kClientDns,
};
inline constexpr size_t kConnectionFactCount = 11;
std::string_view ConnectionFactName(ConnectionFact fact);  // "TLS_VERSION"

std::optional<ConnectionFact> FindConnectionFact(std::string_view name);

// Lives as long as the connection; empty when not known.
std::string_view ValueOf(ConnectionFact fact, const DownstreamInfo& downstream);

}  // namespace sluice
