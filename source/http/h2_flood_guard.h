// Counts frames that cost a peer next to nothing and us some work, by kind. A peer may spend its
// allowance at once and earns as much again in half a minute (a token bucket for each kind), so
// that an honest burst passes and a flood does not.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "base/time.h"
#include "http/http_options.h"

namespace sluice {

// In the order of Http2Floods.
enum class H2Flood : uint8_t {
  kSettings,
  kPing,
  kEmptyData,
  kContinuation,
  kPriority,
  kWindowUpdate,
  kReset,
  kInduced,
  kHeaderBlock,  // a header block far above the limit: met once, and it is enough
};
inline constexpr size_t kH2FloodCount = 9;
std::string_view H2FloodName(H2Flood flood);  // "settings", "rapid_reset", ...

class H2FloodGuard {
 public:
  // `now`: when the connection began.
  H2FloodGuard(const Http2Floods& allowances, TimePoint now);

  // Counts one. False when the allowance is spent.
  bool Take(H2Flood flood, TimePoint now);

  // Gives some back: for frames that what we send asks for.
  void Grant(H2Flood flood, uint32_t count);

 private:
  static constexpr Duration kRefill = std::chrono::seconds(30);

  struct Bucket {
    uint32_t size = 0;
    uint32_t left = 0;
    TimePoint filled_at{};  // when what it has earned was last added up
  };
  std::array<Bucket, kH2FloodCount> buckets_;
};

}  // namespace sluice
