#include "base/line_ring.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace sluice {

LineRing::LineRing(size_t capacity)
    : mask_(std::bit_ceil(std::max<size_t>(capacity, 2)) - 1),
      bytes_(std::make_unique_for_overwrite<char[]>(mask_ + 1)) {}

bool LineRing::TryPush(std::string_view line) {
  if (line.empty()) return true;
  const uint64_t tail = tail_.load(std::memory_order_relaxed);
  if (capacity() - static_cast<size_t>(tail - known_head_) < line.size()) {
    // Acquire: the consumer has copied out what it released before we write over it.
    known_head_ = head_.load(std::memory_order_acquire);
    if (capacity() - static_cast<size_t>(tail - known_head_) < line.size()) return false;
  }
  const size_t at = static_cast<size_t>(tail) & mask_;
  const size_t before_wrap = std::min(line.size(), capacity() - at);
  std::memcpy(bytes_.get() + at, line.data(), before_wrap);
  std::memcpy(bytes_.get(), line.data() + before_wrap, line.size() - before_wrap);
  tail_.store(tail + line.size());
  return true;
}

size_t LineRing::Pop(std::string& out) {
  const uint64_t head = head_.load(std::memory_order_relaxed);
  const auto count = static_cast<size_t>(tail_.load(std::memory_order_acquire) - head);
  const size_t at = static_cast<size_t>(head) & mask_;
  const size_t before_wrap = std::min(count, capacity() - at);
  out.append(bytes_.get() + at, before_wrap);
  out.append(bytes_.get(), count - before_wrap);
  head_.store(head + count, std::memory_order_release);
  return count;
}

}  // namespace sluice
