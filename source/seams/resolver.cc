#include "sluice/resolver.h"

#include <algorithm>
#include <tuple>

namespace sluice {

void TidyDnsTargets(std::vector<DnsAnswer::Target>* targets) {
  using Target = DnsAnswer::Target;
  std::sort(targets->begin(), targets->end(), [](const Target& a, const Target& b) {
    return std::tie(a.address, a.priority, b.weight, a.host) <
           std::tie(b.address, b.priority, a.weight, b.host);
  });
  const auto same = [](const Target& a, const Target& b) { return a.address == b.address; };
  targets->erase(std::unique(targets->begin(), targets->end(), same), targets->end());
  if (targets->size() <= kMaxDnsTargets) return;
  // Stable: by address within a priority.
  std::stable_sort(targets->begin(), targets->end(),
                   [](const Target& a, const Target& b) { return a.priority < b.priority; });
  targets->resize(kMaxDnsTargets);
  std::sort(targets->begin(), targets->end(),
            [](const Target& a, const Target& b) { return a.address < b.address; });
}

}  // namespace sluice
