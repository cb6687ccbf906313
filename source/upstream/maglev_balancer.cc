#include "upstream/maglev_balancer.h"

#include <algorithm>

#include "base/hash.h"
#include "upstream/weighted_draw.h"

namespace sluice {
namespace {

constexpr uint64_t kTableSize = 65'537;  // a prime, as the paper's small table
constexpr uint32_t kEmpty = UINT32_MAX;

// How often another entry is looked at when the endpoint of one is not usable.
constexpr int kMaxProbes = 64;

// The order in which an endpoint wants entries: every one of them once, as the table's size is
// prime. A light one waits longer between its turns.
struct Wish {
  uint32_t place;
  uint64_t identity;
  uint64_t weight;
  uint64_t next;  // entry
  uint64_t skip;
  uint64_t turns = 0;  // that it has had
};

// Whether `a` has its next turn after `b`: turn n of weight w comes at n/w. Whose comes first must
// not depend on who is listed first.
bool ComesLater(const Wish& a, const Wish& b) {
  const uint64_t at_a = (a.turns + 1) * b.weight;
  const uint64_t at_b = (b.turns + 1) * a.weight;
  return at_a != at_b ? at_a > at_b : a.identity > b.identity;
}

}  // namespace

void MaglevBalancer::Build(std::span<const EndpointLoad> endpoints) {
  std::vector<Wish> wishes;  // a heap: the next turn first
  for (size_t place = 0; place < endpoints.size(); ++place) {
    const EndpointLoad& endpoint = endpoints[place];
    if (endpoint.weight == 0) continue;
    wishes.push_back({static_cast<uint32_t>(place), endpoint.identity, endpoint.weight,
                      MixBits(endpoint.identity) % kTableSize,
                      MixBits(~endpoint.identity) % (kTableSize - 1) + 1});
  }
  if (wishes.empty()) return;
  std::make_heap(wishes.begin(), wishes.end(), ComesLater);
  table_.assign(kTableSize, kEmpty);
  for (uint64_t filled = 0; filled < kTableSize; ++filled) {
    std::pop_heap(wishes.begin(), wishes.end(), ComesLater);
    Wish& wish = wishes.back();
    while (table_[wish.next] != kEmpty) wish.next = (wish.next + wish.skip) % kTableSize;
    table_[wish.next] = wish.place;
    ++wish.turns;
    std::push_heap(wishes.begin(), wishes.end(), ComesLater);
  }
}

std::optional<size_t> MaglevBalancer::Pick(std::span<const EndpointLoad> endpoints,
                                           std::optional<uint64_t> hash, Random& random) {
  if (table_.empty()) Build(endpoints);
  if (!hash || table_.empty()) return DrawByWeight(endpoints, random);
  uint64_t at = *hash;
  for (int probe = 0; probe < kMaxProbes; ++probe, at = MixBits(at + 1)) {
    const uint32_t place = table_[at % kTableSize];
    if (Takes(endpoints[place])) return place;
  }
  return DrawByWeight(endpoints, random);
}

}  // namespace sluice
