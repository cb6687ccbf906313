#include "base/metrics_wire.h"

#include <bit>
#include <cctype>
#include <cmath>
#include <cstdint>
#include <limits>
#include <utility>

#include "base/escape.h"

// The bytes, where a number is in LEB128, a text is its length and its bytes, and a double is the
// eight bytes of its bits, the lowest first:
//
//   bytes     = "sluice metrics 1\n" *family
//   family    = ("c" | "h") text(name) text(help) number(metrics) *metric
//   metric    = number(labels) *(text(name) text(value)) (counter | histogram)
//   counter   = double
//   histogram = double(sum) number(bounds) *double(bound) *number(count), the last one above all
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

void PutNumber(std::string& out, uint64_t number) {
  for (; number >= 0x80; number >>= 7) out += static_cast<char>(number | 0x80);
  out += static_cast<char>(number);
}

void PutText(std::string& out, std::string_view text) {
  PutNumber(out, text.size());
  out += text;
}

void PutDouble(std::string& out, double value) {
  const auto bits = std::bit_cast<uint64_t>(value);
  for (int shift = 0; shift < 64; shift += 8) out += static_cast<char>(bits >> shift);
}

void PutHistogram(std::string& out, const ClientMetric::Histogram& histogram) {
  PutDouble(out, histogram.sample_sum);
  PutNumber(out, histogram.bucket.size() - 1);
  for (size_t i = 0; i + 1 < histogram.bucket.size(); ++i) {
    PutDouble(out, histogram.bucket[i].upper_bound);
  }
  uint64_t below = 0;
  for (const auto& bucket : histogram.bucket) {
    PutNumber(out, bucket.cumulative_count - std::exchange(below, bucket.cumulative_count));
  }
}

void PutMetric(std::string& out, const ClientMetric& metric, MetricType type) {
  PutNumber(out, metric.label.size());
  for (const ClientMetric::Label& label : metric.label) {
    PutText(out, label.name);
    PutText(out, label.value);
  }
  if (type == MetricType::Counter) {
    PutDouble(out, metric.counter.value);
  } else {
    PutHistogram(out, metric.histogram);
  }
}

// False: it does not fit, and `out` ends with the last metric that did.
bool PutFamily(std::string& out, const MetricFamily& family, size_t max_bytes) {
  std::string metrics;
  uint64_t count = 0;
  std::string head(1, family.type == MetricType::Counter ? kCounterKind : kHistogramKind);
  PutText(head, family.name);
  PutText(head, family.help);
  constexpr size_t kMaxNumber = 10;
  bool fits = true;
  for (const ClientMetric& metric : family.metric) {
    if (!IsMetric(metric, family.type)) continue;
    const size_t before = metrics.size();
    PutMetric(metrics, metric, family.type);
    fits = out.size() + head.size() + kMaxNumber + metrics.size() <= max_bytes;
    if (!fits) {
      metrics.resize(before);
      break;
    }
    ++count;
  }
  if (count == 0) return fits;
  out += head;
  PutNumber(out, count);
  out += metrics;
  return fits;
}

// ---- reading ----

// Reads from the front; once something is missing or wrong, `ok` is false and stays so.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : left_(bytes) {}

  bool ok() const { return ok_; }
  bool more() const { return ok_ && !left_.empty(); }

  std::string_view Bytes(uint64_t count) {
    if (count > left_.size()) return Bad();
    const std::string_view bytes = left_.substr(0, count);
    left_.remove_prefix(count);
    return bytes;
  }

  uint64_t Number() {
    uint64_t number = 0;
    for (int shift = 0; shift < 63; shift += 7) {
      const std::string_view byte = Bytes(1);
      if (byte.empty()) return 0;
      const auto bits = static_cast<unsigned char>(byte[0]);
      number |= static_cast<uint64_t>(bits & 0x7f) << shift;
      if ((bits & 0x80) != 0) continue;
      if (bits == 0 && shift > 0) Bad();  // the same number in more bytes than it needs
      return number;
    }
    Bad();
    return 0;
  }

  std::string Text() { return std::string(Bytes(Number())); }

  double Double() {
    const std::string_view bytes = Bytes(8);
    uint64_t bits = 0;
    for (size_t i = bytes.size(); i > 0; --i) {
      bits = bits << 8 | static_cast<unsigned char>(bytes[i - 1]);
    }
    return std::bit_cast<double>(bits);
  }

 private:
  std::string_view Bad() {
    ok_ = false;
    left_ = {};
    return {};
  }

  std::string_view left_;
  bool ok_ = true;
};

ClientMetric::Histogram GetHistogram(Reader& reader) {
  ClientMetric::Histogram histogram;
  histogram.sample_sum = reader.Double();
  const uint64_t bounds = reader.Number();
  for (uint64_t i = 0; i < bounds && reader.ok(); ++i) {
    histogram.bucket.push_back({0, reader.Double()});
  }
  histogram.bucket.push_back({0, std::numeric_limits<double>::infinity()});
  for (auto& bucket : histogram.bucket) {
    const uint64_t count = reader.Number();
    // Beyond what IsHistogram allows, and far from where the sum would overflow.
    histogram.sample_count += count > kMaxCount ? kMaxCount + 1 : count;
    bucket.cumulative_count = histogram.sample_count;
    if (histogram.sample_count > kMaxCount) break;
  }
  return histogram;
}

ClientMetric GetMetric(Reader& reader, MetricType type) {
  ClientMetric metric;
  const uint64_t labels = reader.Number();
  for (uint64_t i = 0; i < labels && reader.ok(); ++i) {
    std::string name = reader.Text();
    metric.label.push_back({std::move(name), reader.Text()});
  }
  if (type == MetricType::Counter) {
    metric.counter.value = reader.Double();
  } else {
    metric.histogram = GetHistogram(reader);
  }
  return metric;
}

// Reads the next family to the end of `families`; false: there is something wrong with it.
bool GetFamily(Reader& reader, std::vector<MetricFamily>& families) {
  const std::string_view kind = reader.Bytes(1);
  if (kind[0] != kCounterKind && kind[0] != kHistogramKind) return false;
  MetricFamily family;
  family.type = kind[0] == kCounterKind ? MetricType::Counter : MetricType::Histogram;
  family.name = reader.Text();
  family.help = reader.Text();
  if (!IsName(family.name, true) || !IsHelp(family.help)) return false;
  if (!families.empty() && family.name <= families.back().name) return false;
  const uint64_t metrics = reader.Number();
  if (metrics == 0) return false;
  for (uint64_t i = 0; i < metrics; ++i) {
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
  Reader reader(bytes.substr(kMagic.size()));
  std::vector<MetricFamily> families;
  while (reader.more()) {
    if (GetFamily(reader, families)) continue;
    *error =
        "metrics that are cut short or malformed, in family " + std::to_string(families.size() + 1);
    return std::nullopt;
  }
  return families;
}

}  // namespace sluice
