// "Did you mean ...": the nearest of some names, for errors that people read.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace sluice {

// The candidate that `name` most likely meant, or "" when none is near enough to be meant. Letter
// case and '-' for '_' do not count; a swap of two neighbours counts as one edit. Names longer than
// 64 bytes have no nearest: the cost grows with the product of the lengths.
std::string NearestName(std::string_view name, const std::vector<std::string>& candidates);

}  // namespace sluice
