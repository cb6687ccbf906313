// Numbers and text as bytes, and back, for what one process tells another: little-endian, of fixed
// width, text behind its length. A reader never reads beyond its bytes: it remembers that something
// was missing, and gives zeros from there on. Durations are those of waits and ages: below nothing,
// or above ten years, they are cut.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "base/time.h"

namespace sluice {

inline constexpr Duration kLongestOnWire = std::chrono::hours(24 * 365 * 10);

class WireWriter {
 public:
  template <typename T>
  requires std::is_unsigned_v<T>
  void Number(T value) {
    for (size_t i = 0; i < sizeof(T); ++i) bytes_ += static_cast<char>((value >> (8 * i)) & 0xff);
  }
  // Below 4 GiB.
  void Text(std::string_view text) {
    Number(static_cast<uint32_t>(text.size()));
    bytes_ += text;
  }
  void Span(Duration span) {
    Number(static_cast<uint64_t>(std::clamp(span, Duration::zero(), kLongestOnWire).count()));
  }
  std::string Take() { return std::move(bytes_); }

 private:
  std::string bytes_;
};

class WireReader {
 public:
  // `bytes` is lent for the reader's life.
  explicit WireReader(std::string_view bytes) : bytes_(bytes) {}

  template <typename T>
  requires std::is_unsigned_v<T> T Number() {
    const std::string_view from = Bytes(sizeof(T));
    T value = 0;
    for (size_t i = 0; i < from.size(); ++i) {
      value = static_cast<T>(
          value | static_cast<T>(static_cast<T>(static_cast<unsigned char>(from[i])) << (8 * i)));
    }
    return value;
  }
  Duration Span() {
    const auto most = static_cast<uint64_t>(kLongestOnWire.count());
    return Duration(static_cast<Duration::rep>(std::min(Number<uint64_t>(), most)));
  }
  // A slice of the bytes.
  std::string_view Text() { return Bytes(Number<uint32_t>()); }

  // Nothing was missing so far.
  bool ok() const { return ok_; }
  // ... and nothing is left.
  bool finished() const { return ok_ && bytes_.empty(); }

 private:
  std::string_view Bytes(size_t count) {
    if (!ok_ || bytes_.size() < count) {
      ok_ = false;
      return {};
    }
    const std::string_view taken = bytes_.substr(0, count);
    bytes_.remove_prefix(count);
    return taken;
  }

  std::string_view bytes_;
  bool ok_ = true;
};

}  // namespace sluice
