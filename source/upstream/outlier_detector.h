// Passive health: which endpoints of a cluster are set aside, and for how long, by what the
// requests of one worker met there.
//
// Success rates are compared by a margin, not by standard deviations: among a few endpoints none
// can lie far out (the largest z-score of n values is (n-1)/sqrt(n), 1.15 of three), so a factor
// that suits fifty never ejects one of three.
//
// One worker thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "config/cluster_config.h"

namespace sluice {

// What came of an attempt.
enum class Outcome : uint8_t {
  kSuccess,         // any answer below 500
  k5xx,             // one above, but for those of a gateway
  kGatewayFailure,  // 502, 503, 504, a reset, no answer in time
  kConnectFailure,  // no connection
};

// What is remembered of an endpoint.
struct OutlierRecord {
  uint32_t connect_failures = 0;  // in a row
  uint32_t gateway_failures = 0;
  uint32_t failures = 0;
  uint32_t successes_of_interval = 0;
  uint32_t results_of_interval = 0;
  uint32_t ejections = 0;  // that are not forgotten yet
  TimePoint ejected_until{};
};

class OutlierDetector {
 public:
  // `config` must outlive it.
  explicit OutlierDetector(const OutlierConfig& config) : config_(config) {}

  // Counts a result. Returns the rule by which the endpoint is to be ejected, a constant such as
  // "consecutive_5xx", or nothing.
  std::string_view OnResult(OutlierRecord& record, Outcome outcome);
  // Connecting has succeeded.
  void OnConnected(OutlierRecord& record) { record.connect_failures = 0; }

  // An interval is over: the places of those whose share of successes is too far below the mean of
  // the others', which needs three that had enough requests. Begins the next interval, and forgets
  // one ejection of each that was not set aside at any time of this one and is not an outlier now:
  // otherwise an ejection shorter than the interval would always be forgotten before the next.
  std::vector<size_t> Judge(std::span<OutlierRecord* const> records, TimePoint now);

  // Whether one more may be set aside, when so many are now: not the only endpoint there is, and no
  // more than the percentage allowed, of which at least one always is.
  bool MayEject(size_t ejected, size_t all) const;

  // Sets an endpoint aside, if that may be.
  bool Eject(OutlierRecord& record, TimePoint now, size_t ejected, size_t all);

  // Whether intervals mean anything: there are rates to compare, or ejections to forget.
  bool judges(const OutlierRecord& record) const {
    return config_.success_rate_margin > 0 || record.ejections > 0;
  }

 private:
  // Their places, the lowest first.
  std::vector<size_t> FindOutliers(std::span<OutlierRecord* const> records) const;

  const OutlierConfig& config_;
};

}  // namespace sluice
