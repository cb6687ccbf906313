#include "net/uv_loop.h"

#include <cstdlib>
#include <iterator>
#include <utility>

namespace sluice {
namespace {

// Timers that are due together: no turn fires more of them.
constexpr size_t kMostTimersPerTurn = 256;

// Posted work that has taken so long leaves the rest to the next turn: what is posted together, as
// at the beginning of a drain, need not be done together.
constexpr uint64_t kPostedSliceNs = 1'000'000;

}  // namespace

UvLoop::UvLoop(uint64_t seed)
    : Loop(seed), read_buffer_(std::make_unique_for_overwrite<char[]>(kReadBufferSize)) {
  // These fail only when the process is out of file descriptors or memory before it has begun.
  if (uv_loop_init(&loop_) != 0) std::abort();
  loop_.data = this;
  if (uv_async_init(&loop_, &wake_,
                    [](uv_async_t* h) { static_cast<UvLoop*>(h->loop->data)->RunPosted(); }) != 0) {
    std::abort();
  }
  uv_timer_init(&loop_, &timer_);
  uv_prepare_init(&loop_, &before_poll_);
  uv_prepare_start(&before_poll_,
                   [](uv_prepare_t* h) { static_cast<UvLoop*>(h->loop->data)->BeforePoll(); });
  Refresh();
}

UvLoop::~UvLoop() {
  EndDispatch();
  posted_.clear();
  taken_.clear();
  uv_close(reinterpret_cast<uv_handle_t*>(&wake_), nullptr);
  uv_close(reinterpret_cast<uv_handle_t*>(&timer_), nullptr);
  uv_close(reinterpret_cast<uv_handle_t*>(&before_poll_), nullptr);
  uv_run(&loop_, UV_RUN_DEFAULT);  // the close callbacks, and those of handles closed before
  if (uv_loop_close(&loop_) != 0) std::abort();  // somebody still watches: a bug
}

void UvLoop::Run() {
  uv_update_time(&loop_);
  uv_run(&loop_, UV_RUN_DEFAULT);
}

void UvLoop::Stop() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
  }
  uv_async_send(&wake_);
}

void UvLoop::Post(std::function<void()> work) {
  {
    std::lock_guard lock(mutex_);
    posted_.push_back(std::move(work));
  }
  uv_async_send(&wake_);
}

WallTime UvLoop::WallNow() const { return std::chrono::system_clock::now(); }

void UvLoop::ReportTurns(MetricCell& longest) {
  longest.Set(0);
  longest_turn_ = &longest;
  turn_began_ = 0;  // what this call belongs to is not counted
}

void UvLoop::Refresh() {
  if (turn_began_ == 0) turn_began_ = uv_hrtime();
  SetNow(TimePoint(std::chrono::milliseconds(uv_now(&loop_))));
}

void UvLoop::RunPosted() {
  {
    std::lock_guard lock(mutex_);
    taken_.insert(taken_.end(), std::make_move_iterator(posted_.begin()),
                  std::make_move_iterator(posted_.end()));
    posted_.clear();
  }
  const uint64_t began = uv_hrtime();
  while (!taken_.empty() && uv_hrtime() - began < kPostedSliceNs) {
    Dispatch dispatch(*this);
    const std::function<void()> item = std::move(taken_.front());  // dies inside its dispatch
    taken_.pop_front();
    item();
  }
  if (!taken_.empty()) {
    uv_async_send(&wake_);
    return;
  }
  std::lock_guard lock(mutex_);
  if (std::exchange(stop_, false)) uv_stop(&loop_);
}

void UvLoop::BeforePoll() {
  EndTurn();
  ArmTimer();
  const uint64_t began = std::exchange(turn_began_, 0);
  if (began == 0 || longest_turn_ == nullptr) return;
  const auto took = static_cast<int64_t>((uv_hrtime() - began) / 1000);
  if (took > longest_turn_->value()) longest_turn_->Set(took);
}

void UvLoop::ArmTimer() {
  const TimePoint next = timers().NextDeadline();
  if (next == armed_) return;
  armed_ = next;
  if (next == kNever) {
    uv_timer_stop(&timer_);
    return;
  }
  // Rounded up, so that the timer is due when libuv's clock of milliseconds says so.
  const auto at = std::chrono::ceil<std::chrono::milliseconds>(next.time_since_epoch()).count();
  const auto now = static_cast<int64_t>(uv_now(&loop_));
  uv_timer_start(
      &timer_, [](uv_timer_t* h) { static_cast<UvLoop*>(h->loop->data)->OnTimer(); },
      at > now ? static_cast<uint64_t>(at - now) : 0, 0);
}

void UvLoop::OnTimer() {
  armed_ = kNever;
  Dispatch dispatch(*this);
  timers().Advance(Now(), kMostTimersPerTurn);
}

}  // namespace sluice
