#include "upstream/ring_hash_balancer.h"

#include <algorithm>
#include <bit>
#include <numeric>
#include <tuple>
#include <utility>

#include "base/hash.h"
#include "upstream/weighted_draw.h"

namespace sluice {
namespace {

// Of an endpoint of weight 1, whoever the others are: if it depended on them, requests would move
// between those that stay when one goes. The shares of equal ones differ by some 6%.
constexpr uint64_t kPoints = 256;
// Over all of them. Beyond this they have half as many, a quarter, and so on: a change across one
// of these borders moves about half of the requests, so they lie far apart.
constexpr uint64_t kMaxRing = 131'072;

// How far along the ring somebody else is looked for. Beyond that so few are left that any will do.
constexpr size_t kMaxWalk = 1024;

}  // namespace

void RingHashBalancer::Build(std::span<const EndpointLoad> endpoints) {
  uint64_t all = 0;
  for (const EndpointLoad& endpoint : endpoints) all += kPoints * endpoint.weight;
  int halvings = 0;
  while (all >> halvings > kMaxRing) ++halvings;
  for (size_t place = 0; place < endpoints.size(); ++place) {
    const EndpointLoad& endpoint = endpoints[place];
    if (endpoint.weight == 0) continue;
    const uint64_t points = std::max<uint64_t>(1, kPoints * endpoint.weight >> halvings);
    for (uint64_t i = 0; i < points; ++i) {
      ring_.push_back({MixBits(endpoint.identity + MixBits(i + 1)), static_cast<uint32_t>(place)});
    }
  }
  Sort(endpoints);
}

// A worker does this between two requests, so it should not take long: the upper bits of a point
// say almost where it belongs, since all places are equally likely.
void RingHashBalancer::Sort(std::span<const EndpointLoad> endpoints) {
  const int bits = std::bit_width(ring_.size());
  const auto bucket = [=](const Point& point) { return point.at >> (64 - bits); };
  std::vector<uint32_t> begins((size_t{1} << bits) + 1);
  for (const Point& point : ring_) ++begins[bucket(point) + 1];
  std::partial_sum(begins.begin(), begins.end(), begins.begin());
  std::vector<Point> sorted(ring_.size());
  std::vector<uint32_t> next(begins.begin(), begins.end() - 1);
  for (const Point& point : ring_) sorted[next[bucket(point)]++] = point;
  // Points at the same place belong to the same endpoint in every process.
  const auto before = [&](const Point& a, const Point& b) {
    return std::tie(a.at, endpoints[a.place].identity) <
           std::tie(b.at, endpoints[b.place].identity);
  };
  for (size_t i = 0; i + 1 < begins.size(); ++i) {
    std::sort(sorted.begin() + begins[i], sorted.begin() + begins[i + 1], before);
  }
  ring_ = std::move(sorted);
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
