// Whether this process should still be there: when too many of the clusters that matter have been
// out of reach for long enough, it may say that it is not ready, or drain itself.
//
//   kGood --too many are out of reach--> kWorried --for `after`--> kFailed
//     ^---------- fewer are -----------------+-----------------------------+
//
// It begins when the process is ready: what nobody has heard of yet is not out of reach.
// Control thread only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

#include "base/metrics.h"
#include "base/timer_queue.h"
#include "config/config.h"
#include "sluice/loop.h"

namespace sluice {

class SelfCheck {
 public:
  // `drain` is called each time it fails, if the configuration wants that, and also when a drain is
  // under way already. Loop and shard must outlive it.
  SelfCheck(Loop& loop, const SelfDrainConfig& config, MetricShard& shard,
            std::function<void()> drain);
  SelfCheck(const SelfCheck&) = delete;

  // The process is ready: from here on it judges.
  void Begin();

  // A new configuration is in force. Another action counts at once, if it has failed.
  void SetConfig(const SelfDrainConfig& config);

  // Of `critical` clusters so many are out of reach now.
  void OnReach(size_t critical, size_t out_of_reach);

  // It has failed, and the configuration says that this makes the process unready.
  bool unready() const {
    return state_ == State::kFailed && config_.action == SelfDrainAction::kUnready;
  }

 private:
  enum class State : uint8_t { kGood, kWorried, kFailed };

  void Judge();
  void OnTimer();
  void Act();

  Loop& loop_;
  SelfDrainConfig config_;
  const std::function<void()> drain_;
  MetricCell& failed_;
  Timer timer_;
  size_t critical_ = 0;
  size_t out_of_reach_ = 0;
  State state_ = State::kGood;
  bool begun_ = false;
};

}  // namespace sluice
