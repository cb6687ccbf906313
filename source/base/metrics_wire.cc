#include "base/metrics_wire.h"

#include <bit>
#include <cctype>
#include <cmath>
#include <cstdint>
#include <limits>
#include <utility>

#include "base/escape.h"
#include "base/wire.h"

// The bytes, in the words of base/wire.h; a double is the u64 of its bits:
//
//   bytes     = "sluice metrics 1\n" *family
//   family    = u8("c" | "h") text(name) text(help) u32(metrics) *metric
//   metric    = u32(labels) *(text(name) text(value)) (counter | histogram)
//   counter   = double
//   histogram = double(sum) u32(bounds) *double(bound) *u64(count), the last one above all
//
// One document has one form: families, metrics and labels are in order, and none is there twice.

namespace sluice {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

constexpr std::string_view kMagic = "sluice metrics 1\n";
constexpr char kCounterKind = 'c';
constexpr char kHistogramKind = 'h';

// What a double still counts exactly. Sums of such numbers overflow nothing.
constexpr uint64_t kMaxCount = uint64_t{1} << 53;
constexpr double kMaxValue = 1e18;

// ---- what a metric is (the exposition formats of Prometheus) ----

bool IsName(std::string_view text, bool colons) {
  if (text.empty() || std::isdigit(static_cast<unsigned char>(text[0])) != 0) return false;
  for (const char c : text) {
    if (std::isalnum(static_cast<unsigned char>(c)) == 0 && c != '_' && !(colons && c == ':')) {
      return false;
    }
  }
  return true;
}

bool IsUtf8(std::string_view text) {
  while (!text.empty()) {
    const size_t size = Utf8SequenceLength(text);
    if (size == 0) return false;
    text.remove_prefix(size);
  }
  return true;
}

// The writer of the text format does not escape it.
bool IsHelp(std::string_view text) {
  return IsUtf8(text) && text.find_first_of("\n\r\\") == std::string_view::npos;
}

// Neither for a NaN nor for -0, which would not stay itself in a sum.
bool IsValue(double value) { return !std::signbit(value) && value <= kMaxValue; }

bool AreLabels(const std::vector<ClientMetric::Label>& labels) {
  const std::string* before = nullptr;
  for (const ClientMetric::Label& label : labels) {
    // `le` belongs to the buckets of a histogram.
    if (!IsName(label.name, false) || label.name == "le" || !IsUtf8(label.value)) return false;
    if (before != nullptr && label.name <= *before) return false;
    before = &label.name;
  }
  return true;
}

// The last bucket is the one above all bounds.
bool IsHistogram(const ClientMetric::Histogram& histogram) {
  const auto& buckets = histogram.bucket;
  if (!IsValue(histogram.sample_sum) || buckets.empty() ||
      buckets.back().upper_bound != std::numeric_limits<double>::infinity() ||
      buckets.back().cumulative_count > kMaxCount) {
    return false;
  }
  for (size_t i = 0; i + 1 < buckets.size(); ++i) {
    if (!(buckets[i].upper_bound < buckets[i + 1].upper_bound) ||
        buckets[i].cumulative_count > buckets[i + 1].cumulative_count) {
      return false;
    }
  }
  return std::isfinite(buckets[0].upper_bound) || buckets.size() == 1;
}

bool IsMetric(const ClientMetric& metric, MetricType type) {
  return AreLabels(metric.label) && (type == MetricType::Counter ? IsValue(metric.counter.value)
                                                                 : IsHistogram(metric.histogram));
}

// ---- writing ----

void PutDouble(WireWriter& out, double value) { out.Number(std::bit_cast<uint64_t>(value)); }

void PutSize(WireWriter& out, size_t size) { out.Number(static_cast<uint32_t>(size)); }

void PutHistogram(WireWriter& out, const ClientMetric::Histogram& histogram) {
  PutDouble(out, histogram.sample_sum);
  PutSize(out, histogram.bucket.size() - 1);
  for (size_t i = 0; i + 1 < histogram.bucket.size(); ++i) {
    PutDouble(out, histogram.bucket[i].upper_bound);
  }
  uint64_t below = 0;
  for (const auto& bucket : histogram.bucket) {
    out.Number(bucket.cumulative_count - std::exchange(below, bucket.cumulative_count));
  }
}

std::string MetricBytes(const ClientMetric& metric, MetricType type) {
  WireWriter out;
  PutSize(out, metric.label.size());
  for (const ClientMetric::Label& label : metric.label) {
    out.Text(label.name);
    out.Text(label.value);
  }
  if (type == MetricType::Counter) {
    PutDouble(out, metric.counter.value);
  } else {
    PutHistogram(out, metric.histogram);
  }
  return out.Take();
}

// Without its metrics, of which there are `count`.
std::string FamilyHead(const MetricFamily& family, size_t count) {
  WireWriter out;
  const char kind = family.type == MetricType::Counter ? kCounterKind : kHistogramKind;
  out.Number(static_cast<uint8_t>(kind));
  out.Text(family.name);
  out.Text(family.help);
  PutSize(out, count);
  return out.Take();
}

// False: it does not fit, and `out` ends with the last metric that did.
bool PutFamily(std::string& out, const MetricFamily& family, size_t max_bytes) {
  const size_t taken = out.size() + FamilyHead(family, 0).size();
  std::string metrics;
  size_t count = 0;
  bool fits = true;
  for (const ClientMetric& metric : family.metric) {
    if (!IsMetric(metric, family.type)) continue;
    const std::string bytes = MetricBytes(metric, family.type);
    fits = taken + metrics.size() + bytes.size() <= max_bytes;
    if (!fits) break;
    metrics += bytes;
    ++count;
  }
  if (count > 0) out += FamilyHead(family, count) + metrics;
  return fits;
}

// ---- reading ----

double GetDouble(WireReader& reader) { return std::bit_cast<double>(reader.Number<uint64_t>()); }

ClientMetric::Histogram GetHistogram(WireReader& reader) {
  ClientMetric::Histogram histogram;
  histogram.sample_sum = GetDouble(reader);
  const auto bounds = reader.Number<uint32_t>();
  for (uint32_t i = 0; i < bounds && reader.ok(); ++i) {
    histogram.bucket.push_back({0, GetDouble(reader)});
  }
  histogram.bucket.push_back({0, std::numeric_limits<double>::infinity()});
  for (auto& bucket : histogram.bucket) {
    const auto count = reader.Number<uint64_t>();
    // Beyond what IsHistogram allows, and far from where the sum would overflow.
    histogram.sample_count += count > kMaxCount ? kMaxCount + 1 : count;
    bucket.cumulative_count = histogram.sample_count;
    if (histogram.sample_count > kMaxCount) break;
  }
  return histogram;
}

ClientMetric GetMetric(WireReader& reader, MetricType type) {
  ClientMetric metric;
  const auto labels = reader.Number<uint32_t>();
  for (uint32_t i = 0; i < labels && reader.ok(); ++i) {
    const std::string_view name = reader.Text();
    metric.label.push_back({std::string(name), std::string(reader.Text())});
  }
  if (type == MetricType::Counter) {
    metric.counter.value = GetDouble(reader);
  } else {
    metric.histogram = GetHistogram(reader);
  }
  return metric;
}

// Reads the next family to the end of `families`; false: there is something wrong with it.
bool GetFamily(WireReader& reader, std::vector<MetricFamily>& families) {
  const auto kind = static_cast<char>(reader.Number<uint8_t>());
  if (kind != kCounterKind && kind != kHistogramKind) return false;
  MetricFamily family;
  family.type = kind == kCounterKind ? MetricType::Counter : MetricType::Histogram;
  family.name = reader.Text();
  family.help = reader.Text();
  if (!IsName(family.name, true) || !IsHelp(family.help)) return false;
  if (!families.empty() && family.name <= families.back().name) return false;
  const auto metrics = reader.Number<uint32_t>();
  if (metrics == 0) return false;
  for (uint32_t i = 0; i < metrics; ++i) {
    ClientMetric metric = GetMetric(reader, family.type);
    if (!reader.ok() || !IsMetric(metric, family.type)) return false;
    if (i > 0 && !(family.metric.back().label < metric.label)) return false;
    family.metric.push_back(std::move(metric));
  }
  families.push_back(std::move(family));
  return true;
}

}  // namespace

std::string WriteMetrics(const std::vector<MetricFamily>& families, size_t max_bytes) {
  std::string out(kMagic);
  for (const MetricFamily& family : families) {
    if (family.type != MetricType::Counter && family.type != MetricType::Histogram) continue;
    if (!IsName(family.name, true) || !IsHelp(family.help)) continue;
    if (!PutFamily(out, family, max_bytes)) break;
  }
  return out;
}

std::optional<std::vector<MetricFamily>> ReadMetrics(std::string_view bytes, std::string* error) {
  if (bytes.size() > kMaxMetricsBytes) {
    *error = "metrics of " + std::to_string(bytes.size()) + " bytes; at most " +
             std::to_string(kMaxMetricsBytes) + " are taken";
    return std::nullopt;
  }
  if (bytes.substr(0, kMagic.size()) != kMagic) {
    *error = "metrics of an unknown version";
    return std::nullopt;
  }
  WireReader reader(bytes.substr(kMagic.size()));
  std::vector<MetricFamily> families;
  while (!reader.finished()) {
    if (GetFamily(reader, families)) continue;
    *error =
        "metrics that are cut short or malformed, in family " + std::to_string(families.size() + 1);
    return std::nullopt;
  }
  return families;
}

}  // namespace sluice
