// How many of something may be open at once, over all workers: connections, WebSockets. Touched
// only when one is opened or closed, and only where a limit is configured.
#pragma once

#include <atomic>
#include <cstdint>

namespace sluice {

// Thread safe.
class Budget {
 public:
  explicit Budget(uint32_t limit) : limit_(limit) {}  // 0: no limit

  // True when one more may be opened; it is then counted.
  bool TryTake() {
    if (limit_ == 0) return true;
    uint32_t open = open_.load(std::memory_order_relaxed);
    do {
      if (open >= limit_) return false;
    } while (!open_.compare_exchange_weak(open, open + 1, std::memory_order_relaxed));
    return true;
  }

  void Return() {
    if (limit_ != 0) open_.fetch_sub(1, std::memory_order_relaxed);
  }

  bool exhausted() const { return limit_ != 0 && open_.load(std::memory_order_relaxed) >= limit_; }

 private:
  const uint32_t limit_;
  std::atomic<uint32_t> open_{0};
};

}  // namespace sluice
