#include "upstream/wait_limiter.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace sluice {
namespace {

using Seconds = std::chrono::duration<double>;

constexpr Duration kMinWindow = std::chrono::milliseconds(1);

}  // namespace

bool WaitLimiter::Admits(TimePoint now) {
  LookAtWindow(now);
  return mean_wait_ <= config_.max_wait || static_cast<double>(waiting_) < Limit();
}

void WaitLimiter::OnAnswer(Duration waited, TimePoint now) {
  --waiting_;
  ++answers_;
  waited_ += waited;
  LookAtWindow(now);
}

// A window without answers has made those who wait older by its length.
void WaitLimiter::LookAtWindow(TimePoint now) {
  const Duration length = now - since_;
  if (length < std::max(kMinWindow, config_.max_wait / 2)) return;
  since_ = now;
  const uint64_t answers = std::exchange(answers_, 0);
  const Duration waited = std::exchange(waited_, {});
  if (answers > 0) {
    mean_wait_ = waited / static_cast<int64_t>(answers);
  } else if (waiting_ > config_.admit_always) {
    mean_wait_ += length;
  } else {
    mean_wait_ = {};
    return;  // next to nobody was there, or only long polls: that is no rate
  }
  rates_[next_rate_++ % kWindows] = static_cast<double>(answers) / Seconds(length).count();
}

double WaitLimiter::Limit() const {
  const double best = *std::max_element(rates_.begin(), rates_.end());
  return std::max<double>(config_.admit_always, best * Seconds(config_.max_wait).count());
}

}  // namespace sluice
