#include "base/arena.h"

#include <algorithm>

namespace sluice {

std::string_view Arena::Append(std::string_view text, std::string_view more) {
  const bool newest = !text.empty() && text.data() + text.size() == next_;
  if (newest && static_cast<size_t>(limit_ - next_) >= more.size()) {
    next_ = Put(next_, more);
    return {text.data(), text.size() + more.size()};
  }
  return Concat(text, more);
}

void Arena::Reset() {
  if (blocks_.empty()) return;
  if (first_size_ > 4 * kFirstBlock) {  // one large head must not stay in every recycled arena
    blocks_.clear();
    next_ = limit_ = nullptr;
    return;
  }
  blocks_.resize(1);
  next_ = blocks_.front().get();
  limit_ = next_ + first_size_;
}

void Arena::AddBlock(size_t at_least) {
  // Doubling keeps a value that grows piece by piece (Append) linear in its final size.
  const size_t size = std::max(kFirstBlock << std::min<size_t>(blocks_.size(), 6), 2 * at_least);
  blocks_.push_back(std::make_unique_for_overwrite<char[]>(size));
  if (blocks_.size() == 1) first_size_ = size;
  next_ = blocks_.back().get();
  limit_ = next_ + size;
}

}  // namespace sluice
