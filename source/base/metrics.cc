#include "base/metrics.h"

#include <prometheus/text_serializer.h>

#include <algorithm>
#include <sstream>

namespace sluice {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;

// The families of one collection, while they are added up.
class Sum {
 public:
  ClientMetric& At(const std::string& name, const std::string& help, prometheus::MetricType type,
                   const MetricLabels& labels) {
    Family& family = families_[name];
    if (family.metrics.empty()) {
      family.help = help;
      family.type = type;
    }
    const auto [at, is_new] = family.metrics.try_emplace(labels);
    if (is_new) {
      for (const auto& [key, value] : labels) at->second.label.push_back({key, value});
    }
    return at->second;
  }

  std::vector<MetricFamily> Families() {
    std::vector<MetricFamily> families;
    for (auto& [name, sum] : families_) {
      MetricFamily& family = families.emplace_back();
      family.name = name;
      family.help = sum.help;
      family.type = sum.type;
      for (auto& [labels, metric] : sum.metrics) family.metric.push_back(std::move(metric));
    }
    return families;
  }

 private:
  struct Family {
    std::string help;
    prometheus::MetricType type = prometheus::MetricType::Untyped;
    std::map<MetricLabels, ClientMetric> metrics;
  };
  std::map<std::string, Family> families_;
};

// Prometheus' buckets are cumulative. The count is taken from the buckets, so that a histogram read
// in the middle of an Observe still agrees with itself.
void AddHistogram(const MetricHistogram& from, ClientMetric::Histogram& to) {
  const std::vector<double>& bounds = from.bounds();
  if (to.bucket.empty()) {
    for (const double bound : bounds) to.bucket.push_back({0, bound});
    to.bucket.push_back({0, std::numeric_limits<double>::infinity()});
  }
  uint64_t cumulative = 0;
  for (size_t i = 0; i < to.bucket.size() && i <= bounds.size(); ++i) {
    cumulative += from.bucket(i);
    to.bucket[i].cumulative_count += cumulative;
  }
  to.sample_count += cumulative;
  to.sample_sum += from.sum();
}

}  // namespace

MetricHistogram::MetricHistogram(std::vector<double> bounds)
    : bounds_(std::move(bounds)), lines_(bounds_.size() / 8 + 1) {}

void MetricHistogram::Observe(double seconds) {
  const auto bound = std::lower_bound(bounds_.begin(), bounds_.end(), seconds);
  Bucket(static_cast<size_t>(bound - bounds_.begin())).Add();
  sum_.store(sum() + seconds, std::memory_order_relaxed);
}

uint64_t MetricHistogram::bucket(size_t index) const {
  return static_cast<uint64_t>(lines_[index / 8].cells[index % 8].value());
}

MetricCell& MetricShard::Counter(const std::string& name, const std::string& help,
                                 MetricLabels labels, double steps) {
  return Cell(MetricType::kCounter, name, help, std::move(labels), steps);
}

MetricCell& MetricShard::Gauge(const std::string& name, const std::string& help,
                               MetricLabels labels, double steps) {
  return Cell(MetricType::kGauge, name, help, std::move(labels), steps);
}

MetricHistogram& MetricShard::Histogram(const std::string& name, const std::string& help,
                                        MetricLabels labels, std::vector<double> bounds) {
  std::sort(labels.begin(), labels.end());
  const std::lock_guard lock(mutex_);
  const auto [at, is_new] =
      histograms_.try_emplace(Key(name, std::move(labels)), help, std::move(bounds));
  return at->second.histogram;
}

MetricCell& MetricShard::Cell(MetricType type, const std::string& name, const std::string& help,
                              MetricLabels labels, double steps) {
  std::sort(labels.begin(), labels.end());
  const std::lock_guard lock(mutex_);
  const auto [at, is_new] =
      cells_.try_emplace(Key(name, std::move(labels)), CellEntry{help, type, steps, nullptr});
  CellEntry& entry = at->second;
  if (is_new) {
    if (lines_.empty() || used_in_last_line_ == lines_.back().cells.size()) {
      lines_.emplace_back();
      used_in_last_line_ = 0;
    }
    entry.cell = &lines_.back().cells[used_in_last_line_++];
  }
  return *entry.cell;
}

std::vector<double> MetricShard::LatencyBounds() {
  return {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60};
}

MetricShard& Metrics::AddShard() {
  const std::lock_guard lock(mutex_);
  return shards_.emplace_back();
}

std::vector<MetricFamily> Metrics::Collect() const {
  Sum sum;
  const std::lock_guard lock(mutex_);
  for (const MetricShard& shard : shards_) {
    const std::lock_guard shard_lock(shard.mutex_);
    for (const auto& [key, entry] : shard.cells_) {
      const auto& [name, labels] = key;
      const double value = static_cast<double>(entry.cell->value()) / entry.steps;
      if (entry.type == MetricType::kCounter) {
        sum.At(name, entry.help, prometheus::MetricType::Counter, labels).counter.value += value;
      } else {
        sum.At(name, entry.help, prometheus::MetricType::Gauge, labels).gauge.value += value;
      }
    }
    for (const auto& [key, entry] : shard.histograms_) {
      const auto& [name, labels] = key;
      ClientMetric& metric = sum.At(name, entry.help, prometheus::MetricType::Histogram, labels);
      AddHistogram(entry.histogram, metric.histogram);
    }
  }
  return sum.Families();
}

std::string Metrics::Text() const {
  std::ostringstream text;
  prometheus::TextSerializer().Serialize(text, Collect());
  return std::move(text).str();
}

}  // namespace sluice
