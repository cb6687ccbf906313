// Counters without locks: each worker has a MetricShard that only its thread writes; a reader adds
// the shards up when somebody looks. Handles are made at set-up and are valid as long as the shard.
//
// A name has one type, one help text and one set of label names, in every shard.
//
// A process that takes over from another goes on from its numbers: what one exports is the other's
// base, to which its own shards are added.
#pragma once

#include <prometheus/metric_family.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <deque>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sluice {

using MetricLabels = std::vector<std::pair<std::string, std::string>>;

// A number with one writing thread and any number of readers. Being the only writer, it needs no
// atomic read-modify-write: Add costs what it costs on a plain integer.
class MetricCell {
 public:
  void Add(int64_t delta = 1) {
    value_.store(value_.load(std::memory_order_relaxed) + delta, std::memory_order_relaxed);
  }
  void Set(int64_t value) { value_.store(value, std::memory_order_relaxed); }
  int64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<int64_t> value_{0};
};

// Cells that share a cache line only with each other, so that two threads never write to one line.
struct alignas(64) MetricCellLine {
  std::array<MetricCell, 8> cells;
};

// Observations in fixed buckets; unit: seconds. One writing thread, any number of readers.
class alignas(64) MetricHistogram {
 public:
  // `bounds` are ascending upper bounds, each inclusive (Prometheus' `le`).
  explicit MetricHistogram(std::vector<double> bounds);
  void Observe(double seconds);

  const std::vector<double>& bounds() const { return bounds_; }
  uint64_t bucket(size_t index) const;  // not cumulative; the last one is above all bounds
  double sum() const { return sum_.load(std::memory_order_relaxed); }

 private:
  MetricCell& Bucket(size_t index) { return lines_[index / 8].cells[index % 8]; }

  std::vector<double> bounds_;
  std::vector<MetricCellLine> lines_;
  std::atomic<double> sum_{0};
};

enum class MetricType : uint8_t { kCounter, kGauge };

// One thread's share. Handles of the same name and labels in several shards are summed. Registering
// takes a lock and searches: do it at set-up, not on the request path. Any thread may register, one
// thread at a time may write to a handle.
class MetricShard {
 public:
  // The same name and labels (in any order) give the same cell. `help` is one line. The value
  // shown is that of the cell divided by `steps`: 1e6 for microseconds that are shown in seconds.
  MetricCell& Counter(const std::string& name, const std::string& help, MetricLabels labels = {},
                      double steps = 1);
  MetricCell& Gauge(const std::string& name, const std::string& help, MetricLabels labels = {},
                    double steps = 1);
  // `bounds` must be the same wherever the same name is registered; they are ignored when the
  // histogram exists already in this shard.
  MetricHistogram& Histogram(const std::string& name, const std::string& help,
                             MetricLabels labels = {},
                             std::vector<double> bounds = LatencyBounds());

  // 1 ms to 60 s, two or three to a decade.
  static std::vector<double> LatencyBounds();

 private:
  friend class Metrics;
  using Key = std::pair<std::string, MetricLabels>;  // labels are in order of their names
  struct CellEntry {
    std::string help;
    MetricType type;
    double steps;
    MetricCell* cell;
  };
  struct HistogramEntry {
    HistogramEntry(const std::string& text, std::vector<double> bounds)
        : help(text), histogram(std::move(bounds)) {}
    std::string help;
    MetricHistogram histogram;
  };
  MetricCell& Cell(MetricType type, const std::string& name, const std::string& help,
                   MetricLabels labels, double steps);

  mutable std::mutex mutex_;  // guards what follows, not the numbers in it
  std::map<Key, CellEntry> cells_;
  std::map<Key, HistogramEntry> histograms_;
  std::deque<MetricCellLine> lines_;
  size_t used_in_last_line_ = 0;
};

// All shards of the process. Thread safe.
class Metrics {
 public:
  // A shard that lives as long as this object.
  MetricShard& AddShard();

  // Every family in order of name, every metric in order of labels, summed over the shards.
  std::vector<prometheus::MetricFamily> Collect() const;

  // `Collect` in the Prometheus text format.
  std::string Text() const;

  // Every counter and histogram as `Collect` has them now, the imported ones included, for the
  // process that takes over; never a gauge, which says what is, and not what was. At most
  // kMaxMetricsBytes (base/metrics_wire.h): the families that come last are left out beyond that.
  std::string Export() const;

  // Adds what another process has counted to what `Collect` shows from now on, whether it is
  // registered here, will be, or never is: no series that both know goes backwards. That process
  // may go on counting and export again: an import replaces the one before, series by series, where
  // it has more. A family that is of another type here is not shown. Observations of a histogram
  // that has other bounds here count below the next higher one, so that buckets which both have are
  // exact.
  //
  // Keeps nothing of `bytes`. When they are not from an Export nothing is changed, false is
  // returned, and `error` says why.
  bool Import(std::string_view bytes, std::string* error);

 private:
  mutable std::mutex mutex_;  // guards what follows; taken before that of a shard
  std::deque<MetricShard> shards_;
  std::vector<prometheus::MetricFamily> base_;  // imported
};

}  // namespace sluice
