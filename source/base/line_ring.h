// A ring of bytes from one thread to another, for whole lines: the producer never waits, takes no
// lock and makes no system call; a line that does not fit is refused.
//
// One producing thread, one consuming thread; which functions belong to whom stands at each.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace sluice {

class LineRing {
 public:
  // Holds at least `capacity` bytes, rounded up to a power of two. The memory is not touched before
  // it is used.
  explicit LineRing(size_t capacity);
  LineRing(const LineRing&) = delete;
  LineRing& operator=(const LineRing&) = delete;

  // Producer: appends all of `line`, or nothing and returns false when it does not fit now.
  bool TryPush(std::string_view line);

  // Producer: bytes that the consumer has not taken, never too few.
  size_t used() const {
    return static_cast<size_t>(tail_.load(std::memory_order_relaxed) -
                               head_.load(std::memory_order_acquire));
  }

  // Consumer: moves everything pushed so far to the end of `out`: whole lines, in order. Returns
  // the number of bytes.
  size_t Pop(std::string& out);

  // Consumer: nothing to pop. Sequentially consistent with TryPush: a consumer that announces its
  // sleep, then finds the ring empty, and a producer that pushes, then looks for a sleeper, cannot
  // miss each other.
  bool empty() const { return tail_.load() == head_.load(std::memory_order_relaxed); }

  size_t capacity() const { return mask_ + 1; }

 private:
  static constexpr size_t kCacheLine = 64;

  const size_t mask_;
  const std::unique_ptr<char[]> bytes_;
  // Both count bytes since the beginning; their difference is what is in the ring.
  alignas(kCacheLine) std::atomic<uint64_t> tail_{0};  // written by the producer
  uint64_t known_head_ = 0;  // the producer's last sight of head_, which saves it most looks
  alignas(kCacheLine) std::atomic<uint64_t> head_{0};  // written by the consumer
};

}  // namespace sluice
