#include "lifecycle/self_check.h"

#include <utility>

#include "base/log.h"

namespace sluice {

SelfCheck::SelfCheck(Loop& loop, const SelfDrainConfig& config, MetricShard& shard,
                     std::function<void()> drain)
    : loop_(loop),
      config_(config),
      drain_(std::move(drain)),
      failed_(shard.Gauge("sluice_self_check_failed",
                          "1 while too many of the critical clusters are out of reach.")),
      timer_(loop.timers(), Delegate::Bind<&SelfCheck::OnTimer>(this)) {}

void SelfCheck::Begin() {
  begun_ = true;
  Judge();
}

void SelfCheck::SetConfig(const SelfDrainConfig& config) {
  const bool same_action = config.action == config_.action;
  config_ = config;
  Judge();
  if (state_ == State::kFailed && !same_action) Act();
}

void SelfCheck::OnReach(size_t critical, size_t out_of_reach) {
  critical_ = critical;
  out_of_reach_ = out_of_reach;
  Judge();
}

void SelfCheck::Judge() {
  if (!begun_) return;
  const bool bad = config_.action != SelfDrainAction::kOff && critical_ > 0 &&
                   out_of_reach_ * 100 >= critical_ * config_.percent;
  if (!bad) {
    if (state_ == State::kFailed) LogEvent(Level::kInfo, "self_check_recovered");
    state_ = State::kGood;
    failed_.Set(0);
    timer_.Stop();
  } else if (state_ == State::kGood) {
    state_ = State::kWorried;
    timer_.Set(loop_.Now() + config_.after);
  }
}

void SelfCheck::OnTimer() {
  state_ = State::kFailed;
  failed_.Set(1);
  Act();
}

void SelfCheck::Act() {
  LogEvent(Level::kWarning, "self_check_failed",
           {{"critical_clusters", critical_},
            {"out_of_reach", out_of_reach_},
            {"effect", config_.action == SelfDrainAction::kDrain ? "this process drains"
                                                                 : "/ready says 503"}});
  if (config_.action == SelfDrainAction::kDrain) drain_();
}

}  // namespace sluice
