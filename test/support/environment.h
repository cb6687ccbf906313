// Numbers that the environment may change, such as how many seeds a random test tries.
#pragma once

#include <cstdint>
#include <cstdlib>

namespace sluice {

inline uint64_t FromEnvironment(const char* name, uint64_t otherwise) {
  const char* const value = std::getenv(name);
  return value == nullptr ? otherwise : std::strtoull(value, nullptr, 10);
}

}  // namespace sluice
