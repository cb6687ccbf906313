#include "base/sha1.h"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstring>

namespace sluice {
namespace {

constexpr size_t kBlock = 64;
constexpr size_t kLengthBytes = sizeof(uint64_t);  // at the end of the last block

using Hash = std::array<uint32_t, 5>;

// FIPS 180-4 6.1.2.
void AddBlock(const uint8_t* block, Hash& hash) {
  std::array<uint32_t, 80> w;
  for (size_t t = 0; t < 16; ++t) {
    w[t] = uint32_t{block[4 * t]} << 24 | uint32_t{block[4 * t + 1]} << 16 |
           uint32_t{block[4 * t + 2]} << 8 | block[4 * t + 3];
  }
  for (size_t t = 16; t < w.size(); ++t) {
    w[t] = std::rotl(w[t - 3] ^ w[t - 8] ^ w[t - 14] ^ w[t - 16], 1);
  }
  auto [a, b, c, d, e] = hash;
  for (size_t t = 0; t < w.size(); ++t) {
    uint32_t mixed = 0;
    if (t < 20) {
      mixed = ((b & c) | (~b & d)) + 0x5a827999;
    } else if (t < 40) {
      mixed = (b ^ c ^ d) + 0x6ed9eba1;
    } else if (t < 60) {
      mixed = ((b & c) | (b & d) | (c & d)) + 0x8f1bbcdc;
    } else {
      mixed = (b ^ c ^ d) + 0xca62c1d6;
    }
    const uint32_t next = std::rotl(a, 5) + mixed + e + w[t];
    e = d;
    d = c;
    c = std::rotl(b, 30);
    b = a;
    a = next;
  }
  hash[0] += a;
  hash[1] += b;
  hash[2] += c;
  hash[3] += d;
  hash[4] += e;
}

}  // namespace

std::array<uint8_t, 20> Sha1(std::string_view text) {
  Hash hash = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
  const size_t whole = text.size() - text.size() % kBlock;
  for (size_t at = 0; at < whole; at += kBlock) {
    AddBlock(reinterpret_cast<const uint8_t*>(text.data()) + at, hash);
  }
  // What is left, a 1 bit, zeros, and the length: in one block, or in two (5.1.1).
  const std::string_view rest = text.substr(whole);
  const uint64_t bits = uint64_t{text.size()} * 8;
  std::array<uint8_t, 2 * kBlock> tail = {};
  *std::copy(rest.begin(), rest.end(), tail.begin()) = 0x80;
  const size_t size = rest.size() + 1 + kLengthBytes <= kBlock ? kBlock : 2 * kBlock;
  for (size_t i = 0; i < kLengthBytes; ++i) {
    tail[size - 1 - i] = static_cast<uint8_t>(bits >> (8 * i));
  }
  for (size_t at = 0; at < size; at += kBlock) AddBlock(tail.data() + at, hash);

  std::array<uint8_t, 20> digest;
  for (size_t i = 0; i < digest.size(); ++i) {
    digest[i] = static_cast<uint8_t>(hash[i / 4] >> (24 - 8 * (i % 4)));
  }
  return digest;
}

}  // namespace sluice
