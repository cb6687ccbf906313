// Recycles objects that are needed by every request but by no idle connection. One thread only.
#pragma once

#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

namespace sluice {

template <typename T>
class ObjectPool {
 public:
  // Keeps at most `max_free` objects that nobody uses.
  explicit ObjectPool(size_t max_free) : max_free_(max_free) {}

  // A recycled object as Release left it, or a new one made from `args`.
  template <typename... Args>
  std::unique_ptr<T> Acquire(Args&&... args) {
    if (free_.empty()) return std::make_unique<T>(std::forward<Args>(args)...);
    std::unique_ptr<T> object = std::move(free_.back());
    free_.pop_back();
    return object;
  }

  // `object` must be in the state in which the next user expects it. One above the limit dies here.
  void Release(std::unique_ptr<T> object) {
    if (free_.size() < max_free_) free_.push_back(std::move(object));
  }

 private:
  size_t max_free_;
  std::vector<std::unique_ptr<T>> free_;
};

}  // namespace sluice
