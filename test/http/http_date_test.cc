#include "http/http_date.h"

#include <gtest/gtest.h>

#include <string>

namespace sluice {
namespace {

std::string At(int64_t seconds) {
  char date[kHttpDateLength];
  return std::string(HttpDate(WallTime(std::chrono::seconds(seconds)), date));
}

TEST(HttpDateTest, WritesTheExampleOfTheRfc) {
  EXPECT_EQ(At(784'111'777), "Sun, 06 Nov 1994 08:49:37 GMT");
  EXPECT_EQ(At(0), "Thu, 01 Jan 1970 00:00:00 GMT");
  EXPECT_EQ(At(951'782'400), "Tue, 29 Feb 2000 00:00:00 GMT");
  EXPECT_EQ(At(1'798'761'599), "Thu, 31 Dec 2026 23:59:59 GMT");
}

}  // namespace
}  // namespace sluice
