// How many of something may be open at once, over all workers: connections, WebSockets. Touched
// only when one is opened or closed. All are counted, because a limit may be set later.
#pragma once

#include <atomic>
#include <cstdint>

namespace sluice {

// Thread safe.
class Budget {
 public:
  explicit Budget(uint32_t limit) : limit_(limit) {}  // 0: no limit

  // What is open beyond a lower limit stays.
  void SetLimit(uint32_t limit) { limit_.store(limit, std::memory_order_relaxed); }

  // True when one more may be opened; it is then counted.
  bool TryTake() {
    uint32_t open = open_.load(std::memory_order_relaxed);
    do {
      if (Reaches(open)) return false;
    } while (!open_.compare_exchange_weak(open, open + 1, std::memory_order_relaxed));
    return true;
  }

  void Return() { open_.fetch_sub(1, std::memory_order_relaxed); }

  bool exhausted() const { return Reaches(open_.load(std::memory_order_relaxed)); }

 private:
  bool Reaches(uint32_t open) const {
    const uint32_t limit = limit_.load(std::memory_order_relaxed);
    return limit != 0 && open >= limit;
  }

  std::atomic<uint32_t> limit_;
  std::atomic<uint32_t> open_{0};
};

}  // namespace sluice
