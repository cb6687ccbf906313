#include "base/hash.h"

namespace sluice {

uint64_t MixBits(uint64_t bits) {
  bits ^= bits >> 33;
  bits *= 0xff51afd7ed558ccdU;
  bits ^= bits >> 33;
  bits *= 0xc4ceb9fe1a85ec53U;
  bits ^= bits >> 33;
  return bits;
}

uint64_t HashBytes(std::string_view text) {
  uint64_t hash = 0xcbf29ce484222325U;
  for (const char c : text) {
    hash ^= static_cast<unsigned char>(c);
    hash *= 0x100000001b3U;
  }
  return MixBits(hash);
}

}  // namespace sluice
