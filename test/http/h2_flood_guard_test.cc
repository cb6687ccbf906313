#include "http/h2_flood_guard.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace sluice {
namespace {

using std::chrono::seconds;

constexpr TimePoint kBegin{std::chrono::hours(1)};

Http2Floods Allow(uint32_t pings) {
  Http2Floods floods;
  floods.ping = pings;
  return floods;
}

TEST(H2FloodGuard, ABurstPassesAndOneMoreDoesNot) {
  H2FloodGuard guard(Allow(5), kBegin);
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(guard.Take(H2Flood::kPing, kBegin)) << i;
  EXPECT_FALSE(guard.Take(H2Flood::kPing, kBegin));
}

TEST(H2FloodGuard, KindsAreCountedApart) {
  H2FloodGuard guard(Allow(1), kBegin);
  EXPECT_TRUE(guard.Take(H2Flood::kPing, kBegin));
  EXPECT_FALSE(guard.Take(H2Flood::kPing, kBegin));
  EXPECT_TRUE(guard.Take(H2Flood::kSettings, kBegin));
}

TEST(H2FloodGuard, AsManyAreEarnedInHalfAMinute) {
  H2FloodGuard guard(Allow(30), kBegin);
  while (guard.Take(H2Flood::kPing, kBegin)) {
  }
  EXPECT_FALSE(guard.Take(H2Flood::kPing, kBegin + std::chrono::milliseconds(900)));
  EXPECT_TRUE(guard.Take(H2Flood::kPing, kBegin + seconds(1)));
  EXPECT_FALSE(guard.Take(H2Flood::kPing, kBegin + seconds(1)));
  int taken = 0;
  while (guard.Take(H2Flood::kPing, kBegin + seconds(31))) ++taken;
  EXPECT_EQ(taken, 30);
}

TEST(H2FloodGuard, NobodySavesUpMoreThanTheAllowance) {
  H2FloodGuard guard(Allow(10), kBegin);
  int taken = 0;
  while (guard.Take(H2Flood::kPing, kBegin + std::chrono::hours(5))) ++taken;
  EXPECT_LE(taken, 20) << "what was left, and what was earned";
  EXPECT_FALSE(guard.Take(H2Flood::kPing, kBegin + std::chrono::hours(5)));
}

TEST(H2FloodGuard, WhatWeAskedForIsGivenBack) {
  H2FloodGuard guard(Allow(2), kBegin);
  for (int i = 0; i < 100; ++i) {
    EXPECT_TRUE(guard.Take(H2Flood::kPing, kBegin)) << i;
    guard.Grant(H2Flood::kPing, 1);
  }
  guard.Grant(H2Flood::kPing, 1000);
  EXPECT_TRUE(guard.Take(H2Flood::kPing, kBegin));
  EXPECT_TRUE(guard.Take(H2Flood::kPing, kBegin));
  EXPECT_FALSE(guard.Take(H2Flood::kPing, kBegin)) << "never above the allowance";
}

TEST(H2FloodGuard, AHeaderBlockFarTooLargeIsOneTooMany) {
  H2FloodGuard guard(Http2Floods{}, kBegin);
  EXPECT_FALSE(guard.Take(H2Flood::kHeaderBlock, kBegin + std::chrono::hours(1)));
}

TEST(H2FloodGuard, EveryKindHasANameOfItsOwn) {
  std::set<std::string> names;
  for (size_t i = 0; i < kH2FloodCount; ++i) {
    names.emplace(H2FloodName(static_cast<H2Flood>(i)));
  }
  EXPECT_EQ(names.size(), kH2FloodCount);
  EXPECT_EQ(names.count(""), 0U);
}

}  // namespace
}  // namespace sluice
