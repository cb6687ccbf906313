#include "upstream/ring_hash_balancer.h"

#include <algorithm>
#include <tuple>

#include "base/hash.h"
#include "upstream/weighted_draw.h"

namespace sluice {
namespace {

// Of the endpoint with the largest weight, where there are few; a light one beside it must have
// some, too. The shares of equal ones then differ by some 3%.
constexpr uint64_t kPoints = 1024;
constexpr uint64_t kMaxRing = 65'536;  // over all of them, if they are no more than that

// How far along the ring somebody else is looked for. Beyond that so few are left that any will do.
constexpr size_t kMaxWalk = 1024;

}  // namespace

void RingHashBalancer::Build(std::span<const EndpointLoad> endpoints) {
  uint64_t largest = 1;
  for (const EndpointLoad& endpoint : endpoints) {
    largest = std::max<uint64_t>(largest, endpoint.weight);
  }
  const uint64_t most =
      std::clamp<uint64_t>(kMaxRing / std::max<size_t>(1, endpoints.size()), 1, kPoints);
  for (size_t place = 0; place < endpoints.size(); ++place) {
    const EndpointLoad& endpoint = endpoints[place];
    if (endpoint.weight == 0) continue;
    const uint64_t points = std::max<uint64_t>(1, most * endpoint.weight / largest);
    for (uint64_t i = 0; i < points; ++i) {
      ring_.push_back({MixBits(endpoint.identity + MixBits(i + 1)), static_cast<uint32_t>(place)});
    }
  }
  // Points at the same place belong to the same endpoint in every process.
  std::sort(ring_.begin(), ring_.end(), [&](const Point& a, const Point& b) {
    return std::tie(a.at, endpoints[a.place].identity) <
           std::tie(b.at, endpoints[b.place].identity);
  });
}

std::optional<size_t> RingHashBalancer::Pick(std::span<const EndpointLoad> endpoints,
                                             std::optional<uint64_t> hash, Random& random) {
  if (ring_.empty()) Build(endpoints);
  if (!hash || ring_.empty()) return DrawByWeight(endpoints, random);
  auto point = std::lower_bound(ring_.begin(), ring_.end(), *hash,
                                [](const Point& a, uint64_t at) { return a.at < at; });
  for (size_t looked = 0; looked < std::min(ring_.size(), kMaxWalk); ++looked, ++point) {
    if (point == ring_.end()) point = ring_.begin();
    if (Takes(endpoints[point->place])) return point->place;
  }
  return DrawByWeight(endpoints, random);
}

}  // namespace sluice
