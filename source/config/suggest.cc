#include "config/suggest.h"

#include <algorithm>
#include <array>
#include <cstddef>

namespace sluice {
namespace {

constexpr size_t kMaxLength = 64;

char Fold(char c) {
  if (c >= 'A' && c <= 'Z') return static_cast<char>(c - 'A' + 'a');
  return c == '-' ? '_' : c;
}

// Optimal string alignment: insert, delete, replace, swap of neighbours; each costs one. Both are
// at most kMaxLength long.
size_t EditDistance(std::string_view a, std::string_view b) {
  std::array<std::array<size_t, kMaxLength + 1>, 3> rows;
  auto* before = &rows[0];
  auto* previous = &rows[1];
  auto* current = &rows[2];
  for (size_t j = 0; j <= b.size(); ++j) (*current)[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    std::swap(before, previous);
    std::swap(previous, current);
    (*current)[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const char x = Fold(a[i - 1]);
      const char y = Fold(b[j - 1]);
      size_t cost = (*previous)[j - 1] + (x == y ? 0 : 1);
      cost = std::min({cost, (*previous)[j] + 1, (*current)[j - 1] + 1});
      if (i > 1 && j > 1 && x == Fold(b[j - 2]) && Fold(a[i - 2]) == y) {
        cost = std::min(cost, (*before)[j - 2] + 1);
      }
      (*current)[j] = cost;
    }
  }
  return (*current)[b.size()];
}

}  // namespace

std::string NearestName(std::string_view name, const std::vector<std::string>& candidates) {
  if (name.empty() || name.size() > kMaxLength) return {};
  const std::string* nearest = nullptr;
  size_t best = 0;
  for (const std::string& candidate : candidates) {
    if (candidate.empty() || candidate.size() > kMaxLength) continue;
    // A third of the letters may be wrong; of a very short name, one, but not all of it.
    const size_t longer = std::max(name.size(), candidate.size());
    const size_t allowed = longer < 2 ? 0 : std::max<size_t>(1, longer / 3);
    const size_t distance = EditDistance(name, candidate);
    if (distance > allowed) continue;
    if (nearest == nullptr || distance < best) {
      nearest = &candidate;
      best = distance;
    }
  }
  return nearest == nullptr ? std::string() : *nearest;
}

}  // namespace sluice
