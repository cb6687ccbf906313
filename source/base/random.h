// A small seedable generator (xoshiro256**, Blackman and Vigna 2018), so that every choice a test
// sees can be replayed from its seed. Not for secrets.
#pragma once

#include <cstdint>

namespace sluice {

class Random {
 public:
  explicit Random(uint64_t seed);

  uint64_t Next();

  // Uniform in [0, bound); `bound` must not be 0.
  uint64_t Below(uint64_t bound);

  // Uniform in [0, 1).
  double Fraction() { return static_cast<double>(Next() >> 11) * 0x1.0p-53; }

  // True with this probability.
  bool Chance(double probability) { return Fraction() < probability; }

 private:
  uint64_t state_[4];
};

}  // namespace sluice
