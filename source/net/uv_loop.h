// The Loop of production, on libuv. One thread creates it, runs it and destroys it; Post and Stop
// may be called from any thread.
#pragma once

#include <uv.h>

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "base/metrics.h"
#include "base/object_pool.h"
#include "net/output_queue.h"
#include "sluice/loop.h"

namespace sluice {

class UvLoop final : public Loop {
 public:
  explicit UvLoop(uint64_t seed);
  // Everything that watches this loop must be gone before.
  ~UvLoop() override;

  // Runs until Stop. May be called again.
  void Run();

  // Makes Run return once all that was posted before has run. Thread safe.
  void Stop();

  void Post(std::function<void()> work) override;
  WallTime WallNow() const override;

  // Keeps in `longest`, in microseconds, how long the longest turn took; from now on, when it is
  // called again. A turn is all that is done between two waits. On the loop's thread.
  void ReportTurns(MetricCell& longest);

  // For the handles of this folder and lifecycle/signals.
  uv_loop_t* uv() { return &loop_; }

  // Lent to one read at a time, so that an idle connection holds no buffer.
  static constexpr size_t kReadBufferSize = 128 * 1024;
  char* read_buffer() { return read_buffer_.get(); }

  // For transports that have something to write; returned empty.
  ObjectPool<OutputQueue>& output_queues() { return output_queues_; }

  // Brackets every callback from libuv: sets the time, and ends the dispatch.
  class Dispatch {
   public:
    explicit Dispatch(UvLoop& loop) : loop_(loop) { loop.Refresh(); }
    ~Dispatch() { loop_.EndDispatch(); }
    Dispatch(const Dispatch&) = delete;
    Dispatch& operator=(const Dispatch&) = delete;

   private:
    UvLoop& loop_;
  };

 private:
  void Refresh();
  void RunPosted();
  void BeforePoll();
  void ArmTimer();
  void OnTimer();

  uv_loop_t loop_;
  uv_async_t wake_;
  uv_timer_t timer_;
  uv_prepare_t before_poll_;
  TimePoint armed_ = kNever;
  MetricCell* longest_turn_ = nullptr;
  uint64_t turn_began_ = 0;  // in nanoseconds; 0 while waiting
  std::unique_ptr<char[]> read_buffer_;
  ObjectPool<OutputQueue> output_queues_{64};

  std::deque<std::function<void()>> taken_;  // posted, and not run yet

  std::mutex mutex_;  // guards the two below
  std::vector<std::function<void()>> posted_;
  bool stop_ = false;
};

}  // namespace sluice
