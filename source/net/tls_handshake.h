// How TLS handshakes end: what is known of the peer when they succeed, why they fail, and both
// counted.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/metrics.h"
#include "net/tls_handles.h"
#include "sluice/tls_info.h"

namespace sluice {

// Why a handshake failed: the `reason` label of the counters.
enum class TlsFailure : uint8_t {
  kTimeout,         // it took too long, and was given up
  kClosed,          // the peer closed or reset
  kPlainHttp,       // the client does not speak TLS but HTTP
  kVersion,         // no version in common
  kCipher,          // no cipher in common
  kAlpn,            // no application protocol in common
  kBadCertificate,  // missing, expired, for another name, ...
  kUnknownCa,       // made out by nobody we trust, or nobody the peer trusts
  kOther,
};
inline constexpr size_t kTlsFailureCount = 9;
std::string_view TlsFailureName(TlsFailure failure);  // "timeout", "no_alpn", ...

struct TlsFailureCause {
  TlsFailure failure = TlsFailure::kOther;
  std::string detail;  // for the log, in words
};

// Why SSL_do_handshake or SSL_read failed with SSL_ERROR_SSL; forgets OpenSSL's errors.
TlsFailureCause TakeTlsFailure(const SSL* ssl);

// Of a connection whose handshake is over.
TlsInfo MakeTlsInfo(const SSL* ssl);

// Counters of one listener, or one cluster, on one worker.
class TlsHandshakeMetrics {
 public:
  static TlsHandshakeMetrics OfListener(MetricShard& shard, const std::string& name);
  static TlsHandshakeMetrics OfCluster(MetricShard& shard, const std::string& name);

  void CountDone(const TlsInfo& info);
  void CountFailed(TlsFailure failure) { failed_[static_cast<size_t>(failure)]->Add(); }

 private:
  TlsHandshakeMetrics(MetricShard& shard, const std::string& prefix, const std::string& label,
                      const std::string& name);

  std::array<MetricCell*, 4> done_;  // TLS 1.2, 1.2 resumed, 1.3, 1.3 resumed
  std::array<MetricCell*, kTlsFailureCount> failed_;
};

}  // namespace sluice
