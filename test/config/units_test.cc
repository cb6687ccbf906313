// Durations, sizes, addresses, and the nearest name: the small words of the configuration.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "config/address.h"
#include "config/byte_size.h"
#include "config/duration.h"
#include "config/suggest.h"

namespace sluice {
namespace {

using std::chrono::hours;
using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using testing::HasSubstr;

struct GoodDuration {
  std::string text;
  Duration value;
  std::string shortest;
};

TEST(Duration, ReadsAndWrites) {
  const std::vector<GoodDuration> cases = {
      {"0s", seconds(0), "0s"},
      {"0h", seconds(0), "0s"},
      {"500ms", milliseconds(500), "500ms"},
      {"1500ms", milliseconds(1500), "1500ms"},
      {"1.5s", milliseconds(1500), "1500ms"},
      {"10s", seconds(10), "10s"},
      {"60s", minutes(1), "1m"},
      {"1m30s", seconds(90), "1m30s"},
      {"1h0m1s", seconds(3601), "1h1s"},
      {"250us", microseconds(250), "250us"},
      {"0.25ms", microseconds(250), "250us"},
      {"8760h", hours(8760), "8760h"},
  };
  for (const GoodDuration& one : cases) {
    const auto parsed = ParseDuration(one.text);
    ASSERT_TRUE(parsed) << one.text << ": " << parsed.error().message;
    EXPECT_EQ(*parsed, one.value) << one.text;
    EXPECT_EQ(FormatDuration(*parsed), one.shortest) << one.text;
    EXPECT_EQ(ParseDuration(one.shortest).value(), one.value) << one.shortest;
  }
}

TEST(Duration, RefusesAndSaysWhy) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"", "expected a duration"},
      {"10", "'10' has no unit; expected a duration such as 500ms, 10s or 1m30s; did you mean 10s"},
      {"0", "did you mean 0s"},
      {"1m30", "has no unit"},
      {"10 s", "unknown unit ' s'"},
      {"5sec", "unknown unit 'sec'"},
      {"1d", "unknown unit 'd'"},
      {"10S", "unknown unit 'S'"},
      {"-1s", "not a duration"},
      {"s", "not a duration"},
      {"1.s", "not a duration"},
      {".5s", "not a duration"},
      {"1.0000000s", "not a duration"},
      {"30s1m", "the largest first"},
      {"1s1s", "the largest first"},
      {"0.1us", "finer than a microsecond"},
      {"8761h", "longer than 8760h"},
      {"8760h1us", "longer than 8760h"},
      {"99999999999999999999s", "longer than 8760h"},
      {std::string(100, '1') + "s", "too long"},
  };
  for (const auto& [text, expected] : cases) {
    const auto parsed = ParseDuration(text);
    ASSERT_FALSE(parsed) << text;
    EXPECT_THAT(parsed.error().message, HasSubstr(expected)) << text;
  }
}

TEST(ByteSize, ReadsAndWrites) {
  const std::vector<std::pair<std::string, uint64_t>> cases = {{"0", 0},
                                                               {"1", 1},
                                                               {"1023", 1023},
                                                               {"1KiB", 1024},
                                                               {"64KiB", 65536},
                                                               {"10MiB", 10 << 20},
                                                               {"1GiB", 1 << 30},
                                                               {"1TiB", uint64_t{1} << 40},
                                                               {"1025KiB", 1025 << 10}};
  for (const auto& [text, value] : cases) {
    const auto parsed = ParseByteSize(text);
    ASSERT_TRUE(parsed) << text << ": " << parsed.error().message;
    EXPECT_EQ(*parsed, value) << text;
    EXPECT_EQ(FormatByteSize(value), text);
  }
  EXPECT_EQ(ParseByteSize("12B").value(), 12U);
  EXPECT_EQ(ParseByteSize("1024").value(), 1024U);
  EXPECT_EQ(FormatByteSize(UINT64_MAX), "18446744073709551615");
}

TEST(ByteSize, RefusesAndSaysWhy) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"", "not a size"},
      {"KiB", "not a size"},
      {"-1", "not a size"},
      {"10KB",
       "unknown unit (known are B, KiB, MiB, GiB, TiB); expected a size such as 16384, "
       "64KiB or 1MiB; did you mean 10KiB"},
      {"10m", "did you mean 10MiB"},
      {"1.5MiB", "unknown unit"},
      {"18446744073709551616", "too large"},
      {"16777216TiB", "too large"},
  };
  for (const auto& [text, expected] : cases) {
    const auto parsed = ParseByteSize(text);
    ASSERT_FALSE(parsed) << text;
    EXPECT_THAT(parsed.error().message, HasSubstr(expected)) << text;
  }
}

TEST(Address, ReadsIntoOneSpelling) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"127.0.0.1:8080", "127.0.0.1:8080"},
      {"localhost:80", "127.0.0.1:80"},
      {"0.0.0.0:0", "0.0.0.0:0"},
      {"[::1]:080", "[::1]:80"},
      {"[0:0:0:0:0:0:0:1]:1", "[::1]:1"},
      {"[2001:DB8::A]:65535", "[2001:db8::a]:65535"},
      {"unix:/run/a.sock", "unix:/run/a.sock"}};
  for (const auto& [text, canonical] : cases) {
    const auto address = ParseConfigAddress(text);
    ASSERT_TRUE(address) << text << ": " << address.error().message;
    EXPECT_EQ(address->ToString(), canonical);
  }
}

TEST(Address, RefusesAndSaysWhy) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"", "has no port"},
      {"127.0.0.1", "has no port; expected IP:PORT, [IPv6]:PORT or unix:/PATH"},
      {"8080", "has no port"},
      {":8080", "did you mean 0.0.0.0:8080"},
      {"*:8080", "did you mean 0.0.0.0:8080"},
      {"127.0.0.1:http", "no port from 0 to 65535"},
      {"127.0.0.1:65536", "no port from 0 to 65535"},
      {"127.0.0.1:-1", "no port from 0 to 65535"},
      {"127.0.0.256:1", "not an IPv4 address"},
      {"127.1:1", "not an IPv4 address"},
      {"app.internal:80", "names are not resolved"},
      {"http://127.0.0.1:80", "is a URL"},
      {"::1:80", "without brackets"},
      {"[::1]", "has no port"},
      {"[::1]x:80", "has no port"},
      {"[::1:80", "without brackets"},
      {"[]:80", "not an IPv6 address"},
      {"[fe80::1%eth0]:80", "has a zone"},
      {"unix:", "absolute path"},
      {"unix:run.sock", "absolute path"},
      {"unix:/" + std::string(107, 'x'), "at most 107 bytes"},
      {std::string("127.0.0.1\0:80", 13), "NUL"}};
  for (const auto& [text, expected] : cases) {
    const auto address = ParseConfigAddress(text);
    ASSERT_FALSE(address) << text;
    EXPECT_THAT(address.error().message, HasSubstr(expected)) << text;
  }
}

TEST(Address, KnowsWhoCanReachIt) {
  const auto address = [](const char* text) { return ParseConfigAddress(text).value(); };
  for (const char* text :
       {"127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "[::ffff:127.0.0.1]:1", "unix:/a"}) {
    EXPECT_TRUE(address(text).IsLoopback()) << text;
    EXPECT_FALSE(address(text).IsWildcard()) << text;
  }
  for (const char* text : {"0.0.0.0:1", "[::]:1"}) {
    EXPECT_FALSE(address(text).IsLoopback()) << text;
    EXPECT_TRUE(address(text).IsWildcard()) << text;
  }
  EXPECT_FALSE(address("10.0.0.1:1").IsLoopback());
  EXPECT_FALSE(address("10.0.0.1:1").IsWildcard());
}

TEST(NearestName, FindsWhatWasMeant) {
  const std::vector<std::string> keys = {"listeners", "clusters", "drain", "admin", "id"};
  EXPECT_EQ(NearestName("listners", keys), "listeners");
  EXPECT_EQ(NearestName("lisetners", keys), "listeners");
  EXPECT_EQ(NearestName("Drain", keys), "drain");
  EXPECT_EQ(NearestName("drian", keys), "drain");
  EXPECT_EQ(NearestName("cluster", keys), "clusters");
  EXPECT_EQ(NearestName("di", keys), "id");
  EXPECT_EQ(NearestName("idle-timeout", {"idle_timeout", "idle_timeouts"}), "idle_timeout");
}

TEST(NearestName, StaysSilentWhenNothingIsNear) {
  EXPECT_EQ(NearestName("upstreams", {"listeners", "drain"}), "");
  EXPECT_EQ(NearestName("xy", {"id", "on"}), "");
  EXPECT_EQ(NearestName("a", {"b"}), "");
  EXPECT_EQ(NearestName("", {"b", ""}), "");
  EXPECT_EQ(NearestName("drain", {}), "");
  EXPECT_EQ(NearestName(std::string(65, 'a'), {std::string(65, 'a')}), "");
}

}  // namespace
}  // namespace sluice
