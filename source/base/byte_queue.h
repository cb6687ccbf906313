// A first-in-first-out queue of bytes in one block. An empty queue holds no memory, so an idle
// connection costs nothing here.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <string_view>

namespace sluice {

class ByteQueue {
 public:
  bool empty() const { return begin_ == end_; }
  size_t size() const { return end_ - begin_; }

  // Everything queued, valid until the next call that is not const.
  std::string_view view() const { return {block_.get() + begin_, size()}; }

  // `bytes` must not be part of this queue.
  void Append(std::string_view bytes);

  // Removes the first `count` bytes; `count` must not exceed size().
  void Consume(size_t count);

  void Clear();

 private:
  struct Free {
    void operator()(char* block) const { std::free(block); }
  };

  std::unique_ptr<char, Free> block_;
  size_t capacity_ = 0;
  size_t begin_ = 0;
  size_t end_ = 0;
};

}  // namespace sluice
