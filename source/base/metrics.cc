#include "base/metrics.h"

#include <prometheus/text_serializer.h>

#include <algorithm>
#include <limits>
#include <sstream>

#include "base/metrics_wire.h"

namespace sluice {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;

// Adds what another process counted. Where the bounds differ, a bucket goes to the first that has
// room for all of it: what is counted below a bound that both have stays the same.
void AddHistogram(const ClientMetric::Histogram& from, ClientMetric::Histogram& to) {
  if (to.bucket.empty()) {
    to = from;
    return;
  }
  uint64_t below = 0;  // in `from`, up to the bound of `bucket`
  auto next = from.bucket.begin();
  for (auto& bucket : to.bucket) {
    for (; next != from.bucket.end() && next->upper_bound <= bucket.upper_bound; ++next) {
      below = next->cumulative_count;
    }
    bucket.cumulative_count += below;
  }
  to.sample_count += from.sample_count;
  to.sample_sum += from.sample_sum;
}

// Prometheus' buckets are cumulative. The count is taken from the buckets, so that a histogram read
// in the middle of an Observe still agrees with itself.
void AddHistogram(const MetricHistogram& from, ClientMetric::Histogram& to) {
  ClientMetric::Histogram read;
  for (size_t i = 0; i <= from.bounds().size(); ++i) {
    read.sample_count += from.bucket(i);
    const bool last = i == from.bounds().size();
    read.bucket.push_back(
        {read.sample_count, last ? std::numeric_limits<double>::infinity() : from.bounds()[i]});
  }
  read.sample_sum = from.sum();
  AddHistogram(read, to);
}

// The families of one collection, while they are added up.
class Sum {
 public:
  // Null: the family is of another type.
  ClientMetric* At(const std::string& name, const std::string& help, prometheus::MetricType type,
                   const MetricLabels& labels) {
    Family& family = families_[name];
    if (family.metrics.empty()) {
      family.help = help;
      family.type = type;
    }
    if (family.type != type) return nullptr;
    const auto [at, is_new] = family.metrics.try_emplace(labels);
    if (is_new) {
      for (const auto& [key, value] : labels) at->second.label.push_back({key, value});
    }
    return &at->second;
  }

  // Families that are of another type here are left out.
  void Add(const std::vector<MetricFamily>& families) {
    ForEach(families, [](const ClientMetric& from, ClientMetric& to) {
      to.counter.value += from.counter.value;
      AddHistogram(from.histogram, to.histogram);
    });
  }

  // The same, but what is there already is replaced, where there is more.
  void Raise(const std::vector<MetricFamily>& families) {
    ForEach(families, [](const ClientMetric& from, ClientMetric& to) {
      to.counter.value = std::max(to.counter.value, from.counter.value);
      if (from.histogram.sample_count >= to.histogram.sample_count) to.histogram = from.histogram;
    });
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

  template <typename Combine>
  void ForEach(const std::vector<MetricFamily>& families, Combine combine) {
    for (const MetricFamily& family : families) {
      for (const ClientMetric& metric : family.metric) {
        MetricLabels labels;
        for (const auto& label : metric.label) labels.emplace_back(label.name, label.value);
        ClientMetric* const to = At(family.name, family.help, family.type, labels);
        if (to == nullptr) break;
        combine(metric, *to);
      }
    }
  }

  std::map<std::string, Family> families_;
};

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
      const bool counter = entry.type == MetricType::kCounter;
      const auto type = counter ? prometheus::MetricType::Counter : prometheus::MetricType::Gauge;
      ClientMetric* const metric = sum.At(name, entry.help, type, labels);
      if (metric == nullptr) continue;
      (counter ? metric->counter.value : metric->gauge.value) += value;
    }
    for (const auto& [key, entry] : shard.histograms_) {
      const auto& [name, labels] = key;
      ClientMetric* const metric =
          sum.At(name, entry.help, prometheus::MetricType::Histogram, labels);
      if (metric != nullptr) AddHistogram(entry.histogram, metric->histogram);
    }
  }
  sum.Add(base_);
  return sum.Families();
}

std::string Metrics::Text() const {
  std::ostringstream text;
  prometheus::TextSerializer().Serialize(text, Collect());
  return std::move(text).str();
}

std::string Metrics::Export() const { return WriteMetrics(Collect()); }

bool Metrics::Import(std::string_view bytes, std::string* error) {
  const auto families = ReadMetrics(bytes, error);
  if (!families) return false;
  Sum sum;
  const std::lock_guard lock(mutex_);
  sum.Raise(base_);
  sum.Raise(*families);
  base_ = sum.Families();
  return true;
}

}  // namespace sluice
