// Bump allocation of strings that live as long as one message head. Views into an arena stay valid
// until Reset: blocks never move. The first block is kept across Reset, so a recycled head
// allocates nothing.
#pragma once

#include <cstddef>
#include <cstring>
#include <memory>
#include <string_view>
#include <vector>

namespace sluice {

class Arena {
 public:
  // Uninitialised bytes, not aligned.
  char* Allocate(size_t count) {
    if (static_cast<size_t>(limit_ - next_) < count) AddBlock(count);
    char* bytes = next_;
    next_ += count;
    return bytes;
  }

  std::string_view Copy(std::string_view text) {
    if (text.empty()) return {};
    char* bytes = Allocate(text.size());
    std::memcpy(bytes, text.data(), text.size());
    return {bytes, text.size()};
  }

  // All of `parts` as one string.
  template <typename... Parts>
  std::string_view Concat(const Parts&... parts) {
    const size_t count = (std::string_view(parts).size() + ... + 0);
    char* bytes = Allocate(count);
    char* at = bytes;
    ((at = Put(at, std::string_view(parts))), ...);
    return {bytes, count};
  }

  // `text` followed by `more`; extends in place when `text` is the newest allocation, which is how
  // a name or value that arrives in pieces is put together.
  std::string_view Append(std::string_view text, std::string_view more);

  // Invalidates every view; keeps the first block.
  void Reset();

 private:
  static constexpr size_t kFirstBlock = 2048;

  static char* Put(char* at, std::string_view text) {
    if (!text.empty()) std::memcpy(at, text.data(), text.size());
    return at + text.size();
  }
  void AddBlock(size_t at_least);

  std::vector<std::unique_ptr<char[]>> blocks_;
  size_t first_size_ = 0;
  char* next_ = nullptr;
  char* limit_ = nullptr;
};

}  // namespace sluice
