#include "upstream/outlier_detector.h"

#include <algorithm>

namespace sluice {
namespace {

constexpr size_t kMinJudged = 3;

// Counts one more; true when that makes as many as the rule wants.
bool Reaches(uint32_t& count, uint32_t limit) {
  if (++count < limit || limit == 0) return false;
  count = 0;
  return true;
}

}  // namespace

std::string_view OutlierDetector::OnResult(OutlierRecord& record, Outcome outcome) {
  ++record.results_of_interval;
  if (outcome == Outcome::kSuccess) {
    ++record.successes_of_interval;
    record.connect_failures = record.gateway_failures = record.failures = 0;
    return {};
  }
  std::string_view reason;
  if (Reaches(record.failures, config_.consecutive_5xx)) reason = "consecutive_5xx";
  if (outcome == Outcome::k5xx) {
    record.gateway_failures = record.connect_failures = 0;
    return reason;
  }
  if (Reaches(record.gateway_failures, config_.consecutive_gateway_failures)) {
    reason = "consecutive_gateway_failures";
  }
  if (outcome != Outcome::kConnectFailure) {
    record.connect_failures = 0;
  } else if (Reaches(record.connect_failures, config_.consecutive_connect_failures)) {
    reason = "consecutive_connect_failures";
  }
  return reason;
}

std::vector<size_t> OutlierDetector::Judge(std::span<OutlierRecord* const> records, TimePoint now) {
  const std::vector<size_t> outliers = FindOutliers(records);
  auto outlier = outliers.begin();
  for (size_t i = 0; i < records.size(); ++i) {
    OutlierRecord& record = *records[i];
    record.successes_of_interval = record.results_of_interval = 0;
    if (outlier != outliers.end() && *outlier == i) {
      ++outlier;  // about to be ejected once more: nothing is forgotten
    } else if (record.ejections > 0 && record.ejected_until <= now - config_.interval) {
      --record.ejections;
    }
  }
  return outliers;
}

std::vector<size_t> OutlierDetector::FindOutliers(std::span<OutlierRecord* const> records) const {
  struct Judged {
    size_t place;
    double percent;
  };
  std::vector<Judged> judged;
  double sum = 0;
  for (size_t i = 0; i < records.size(); ++i) {
    const OutlierRecord& record = *records[i];
    if (record.results_of_interval < config_.success_rate_requests) continue;
    judged.push_back({i, 100.0 * record.successes_of_interval / record.results_of_interval});
    sum += judged.back().percent;
  }
  std::vector<size_t> outliers;
  if (config_.success_rate_margin == 0 || judged.size() < kMinJudged) return outliers;
  for (const Judged& one : judged) {
    const double others = (sum - one.percent) / static_cast<double>(judged.size() - 1);
    if (one.percent < others - config_.success_rate_margin) outliers.push_back(one.place);
  }
  return outliers;
}

bool OutlierDetector::MayEject(size_t ejected, size_t all) const {
  if (config_.max_ejected_percent == 0 || all < 2) return false;
  return ejected < std::max<size_t>(1, all * config_.max_ejected_percent / 100);
}

bool OutlierDetector::Eject(OutlierRecord& record, TimePoint now, size_t ejected, size_t all) {
  if (!MayEject(ejected, all)) return false;
  constexpr uint32_t kMostCounted = 1'000'000;
  record.ejections = std::min(record.ejections + 1, kMostCounted);
  // Whatever the base is, it does not overflow.
  const auto times = config_.max_ejection / config_.base_ejection;
  record.ejected_until =
      now + (record.ejections > times ? config_.max_ejection
                                      : config_.base_ejection * int64_t{record.ejections});
  return true;
}

}  // namespace sluice
