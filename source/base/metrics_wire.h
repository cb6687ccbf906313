// Metrics as bytes, for another process that goes on counting where this one ends. The bytes are
// versioned, bounded, and taken whole or not at all, whoever wrote them.
#pragma once

#include <prometheus/metric_family.h>

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sluice {

// Tens of thousands of series. In memory they take some thirty times as much at worst.
inline constexpr size_t kMaxMetricsBytes = size_t{4} << 20;

// The counters and histograms of `families`, which are in order of name, and in each the metrics in
// order of labels, as Metrics::Collect gives them. Left out is what ReadMetrics would refuse (a
// value that is negative or not finite, text that is not UTF-8), and from there on all that does
// not fit into `max_bytes`.
std::string WriteMetrics(const std::vector<prometheus::MetricFamily>& families,
                         size_t max_bytes = kMaxMetricsBytes);

// The way back. Nothing when `bytes` are not whole, are too many, are of another version, or say
// what no metric is: `error` then says what is wrong. Thread safe, like the other.
std::optional<std::vector<prometheus::MetricFamily>> ReadMetrics(std::string_view bytes,
                                                                 std::string* error);

}  // namespace sluice
