// The input is what another process calls its metrics. What is taken comes out again as it went in
// and makes a text that shows each series once; what is not taken changes nothing.

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/metrics.h"

namespace {

void Check(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "violated: %s\n", what);
  std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sluice;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  std::string error;
  Metrics metrics;
  const bool taken = metrics.Import(input, &error);
  Check(taken == error.empty(), "an error is explained, and nothing else is");
  if (!taken) {
    Check(metrics.Collect().empty(), "metrics are taken whole or not at all");
    return 0;
  }
  Check(metrics.Export() == input, "metrics have one form");

  // On top of some that are here: one of another type, one with other bounds, one that is the same.
  Metrics busy;
  MetricShard& shard = busy.AddShard();
  shard.Gauge("a_total", "A.").Set(1);
  shard.Histogram("b_seconds", "B.", {}, {0.3, 1, 7}).Observe(1);
  shard.Counter("c_total", "C.").Add(1);
  Check(busy.Import(input, &error) && busy.Import(input, &error), "what is taken is taken again");
  for (const auto& family : busy.Collect()) {
    for (const auto& metric : family.metric) {
      const auto& buckets = metric.histogram.bucket;
      for (size_t i = 1; i < buckets.size(); ++i) {
        Check(buckets[i - 1].upper_bound < buckets[i].upper_bound, "bounds ascend");
        Check(buckets[i - 1].cumulative_count <= buckets[i].cumulative_count, "so do counts");
      }
      Check(buckets.empty() || buckets.back().cumulative_count == metric.histogram.sample_count,
            "no observation is lost");
    }
  }
  return 0;
}
