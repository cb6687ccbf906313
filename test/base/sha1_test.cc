#include "base/sha1.h"

#include <gtest/gtest.h>
#include <openssl/sha.h>

#include <array>
#include <string>
#include <string_view>

namespace sluice {
namespace {

std::string Hex(std::string_view text) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string hex;
  for (const uint8_t byte : Sha1(text)) {
    hex += kDigits[byte >> 4];
    hex += kDigits[byte & 0xf];
  }
  return hex;
}

// RFC 3174 7.3, and the examples of FIPS 180.
TEST(Sha1, HasTheValuesOfTheStandard) {
  EXPECT_EQ(Hex(""), "da39a3ee5e6b4b0d3255bfef95601890afd80709");
  EXPECT_EQ(Hex("abc"), "a9993e364706816aba3e25717850c26c9cd0d89d");
  EXPECT_EQ(Hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "84983e441c3bd26ebaae4aa1f95129e5e54670f1");
  EXPECT_EQ(Hex(std::string(1000000, 'a')), "34aa973cd4c4daa4f61eeb2bdbad27316534016f");
}

TEST(Sha1, IsTheSameAsOpenSslsAtEveryLength) {
  std::string text;
  for (size_t size = 0; size <= 200; ++size) {
    std::array<uint8_t, 20> expected;
    SHA1(reinterpret_cast<const uint8_t*>(text.data()), text.size(), expected.data());
    EXPECT_EQ(Sha1(text), expected) << size;
    text += static_cast<char>(size * 37);
  }
}

}  // namespace
}  // namespace sluice
