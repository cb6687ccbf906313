#include "base/byte_queue.h"

#include <algorithm>
#include <cstring>
#include <new>

namespace sluice {

void ByteQueue::Append(std::string_view bytes) {
  if (bytes.empty()) return;
  if (capacity_ - end_ < bytes.size()) {
    const size_t used = size();
    if (begin_ >= used && capacity_ - used >= bytes.size()) {
      // At least half of the block is spent: moving the rest down is cheaper than growing, and
      // its cost is paid for by the bytes consumed since the last move.
      std::memcpy(block_.get(), block_.get() + begin_, used);
    } else {
      const size_t capacity = std::max({size_t{512}, 2 * capacity_, used + bytes.size()});
      auto* block = static_cast<char*>(std::malloc(capacity));
      if (block == nullptr) throw std::bad_alloc();
      if (used > 0) std::memcpy(block, block_.get() + begin_, used);
      block_.reset(block);
      capacity_ = capacity;
    }
    begin_ = 0;
    end_ = used;
  }
  std::memcpy(block_.get() + end_, bytes.data(), bytes.size());
  end_ += bytes.size();
}

void ByteQueue::Consume(size_t count) {
  begin_ += count;
  if (begin_ == end_) Clear();
}

void ByteQueue::Clear() {
  block_.reset();
  capacity_ = begin_ = end_ = 0;
}

}  // namespace sluice
