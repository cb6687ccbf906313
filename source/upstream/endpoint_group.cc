#include "upstream/endpoint_group.h"

#include <algorithm>
#include <array>

#include "upstream/endpoint.h"

namespace sluice {
namespace {

// More endpoints than these are not avoided at once: a request is not tried that often.
constexpr size_t kMaxAvoided = 32;

}  // namespace

void EndpointGroup::Add(Endpoint& endpoint, const EndpointLoad& load) {
  endpoint.group = this;
  endpoint.place = endpoints_.size();
  endpoints_.push_back(&endpoint);
  loads_.push_back(load);
}

Endpoint* EndpointGroup::Pick(const PickRequest& request, Random& random) {
  std::array<size_t, kMaxAvoided> avoided;
  size_t count = 0;
  for (size_t i = 0; !request.not_these.empty() && i < endpoints_.size(); ++i) {
    const auto& pools = request.not_these;
    const bool refused =
        std::find(pools.begin(), pools.end(), endpoints_[i]->pool.get()) != pools.end();
    if (!refused || !loads_[i].usable || count == kMaxAvoided) continue;
    loads_[i].usable = false;
    avoided[count++] = i;
  }
  const std::optional<size_t> place = balancer_->Pick(loads_, request.hash, random);
  while (count > 0) loads_[avoided[--count]].usable = true;
  return place ? endpoints_[*place] : nullptr;
}

}  // namespace sluice
