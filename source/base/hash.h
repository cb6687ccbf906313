// A hash of text that is the same in every process and on every machine, today and in the next
// release: for what has to be agreed on without talking, such as which endpoint a key belongs to.
// Not for hostile keys in a hash table.
#pragma once

#include <cstdint>
#include <string_view>

namespace sluice {

// FNV-1a of 64 bits with the finaliser of MurmurHash3, without which similar texts lie close
// together.
uint64_t HashBytes(std::string_view text);

// The finaliser alone: a permutation of all numbers in which every bit depends on every other.
uint64_t MixBits(uint64_t bits);

}  // namespace sluice
