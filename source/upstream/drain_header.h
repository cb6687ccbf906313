// How an upstream says in a response that it is about to go: "x-sluice-drain: true".
#pragma once

#include <string_view>

namespace sluice {

inline constexpr std::string_view kDrainHeader = "x-sluice-drain";

}  // namespace sluice
