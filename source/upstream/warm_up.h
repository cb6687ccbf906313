// Slow start: an endpoint that appears, or comes back, gets its share little by little, for caches
// and just-in-time compilers.
#pragma once

#include <cstdint>

#include "base/time.h"
#include "config/cluster_config.h"

namespace sluice {

// How much of its weight an endpoint has that began to warm up at `since`, in percent: rises evenly
// from min_percent to 100.
inline uint32_t WarmUpPercent(const SlowStartConfig& config, TimePoint since, TimePoint now) {
  const Duration passed = now - since;
  if (passed >= config.window) return 100;
  if (passed <= Duration::zero()) return config.min_percent;
  const double share =
      static_cast<double>(passed.count()) / static_cast<double>(config.window.count());
  return config.min_percent + static_cast<uint32_t>((100 - config.min_percent) * share);
}

}  // namespace sluice
