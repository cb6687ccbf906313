#include "proxy/connection_facts.h"

#include <algorithm>
#include <array>

namespace sluice {
namespace {

// In the order of ConnectionFact.
constexpr std::array<std::string_view, kConnectionFactCount> kNames = {
    "TLS_VERSION",        "TLS_CIPHER",     "TLS_SERVER_NAME", "TLS_RESUMED",
    "CLIENT_VERIFY",      "CLIENT_SUBJECT", "CLIENT_ISSUER",   "CLIENT_SERIAL",
    "CLIENT_FINGERPRINT", "CLIENT_URI",     "CLIENT_DNS"};

std::string_view Named(PeerVerification verification) {
  switch (verification) {
    case PeerVerification::kNone:
      return "none";
    case PeerVerification::kVerified:
      return "verified";
    case PeerVerification::kFailed:
      return "failed";
  }
  return "";
}

}  // namespace

std::string_view ConnectionFactName(ConnectionFact fact) {
  return kNames[static_cast<size_t>(fact)];
}

std::optional<ConnectionFact> FindConnectionFact(std::string_view name) {
  const auto found = std::find(kNames.begin(), kNames.end(), name);
  if (found == kNames.end()) return std::nullopt;
  return static_cast<ConnectionFact>(found - kNames.begin());
}

std::string_view ValueOf(ConnectionFact fact, const DownstreamInfo& downstream) {
  if (downstream.tls_info == nullptr) return {};
  const TlsInfo& tls = *downstream.tls_info;
  switch (fact) {
    case ConnectionFact::kTlsVersion:
      return tls.version;
    case ConnectionFact::kTlsCipher:
      return tls.cipher;
    case ConnectionFact::kTlsServerName:
      return tls.server_name;
    case ConnectionFact::kTlsResumed:
      return tls.resumed ? "yes" : "no";
    case ConnectionFact::kClientVerify:
      return Named(tls.verification);
    case ConnectionFact::kClientSubject:
      return tls.peer().subject;
    case ConnectionFact::kClientIssuer:
      return tls.peer().issuer;
    case ConnectionFact::kClientSerial:
      return tls.peer().serial;
    case ConnectionFact::kClientFingerprint:
      return tls.peer().fingerprint;
    case ConnectionFact::kClientUri:
      return tls.peer().uri_san;
    case ConnectionFact::kClientDns:
      return tls.peer().dns_sans;
  }
  return {};
}

}  // namespace sluice
