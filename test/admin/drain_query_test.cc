#include "admin/drain_query.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace sluice {
namespace {

using testing::HasSubstr;

Part PartIn(const std::string& path) {
  const auto query = ParseDrainQuery(path);
  return query && query->part ? *query->part : Part{PartKind::kListener, "none"};
}

std::string ErrorOf(const std::string& path) {
  const auto query = ParseDrainQuery(path);
  return query ? "none" : query.error().message;
}

TEST(DrainQueryTest, TheProcess) {
  for (const char* path : {"/drain", "/drain?", "/drain?&", "/drain?trigger=admin"}) {
    const auto query = ParseDrainQuery(path);
    ASSERT_TRUE(query) << path;
    EXPECT_FALSE(query->part) << path;
    EXPECT_FALSE(query->from_command_line) << path;
  }
  EXPECT_TRUE(ParseDrainQuery("/drain?trigger=cli")->from_command_line);
}

TEST(DrainQueryTest, OnePart) {
  EXPECT_EQ(PartIn("/drain?listener=in"), (Part{PartKind::kListener, "in"}));
  EXPECT_EQ(PartIn("/drain?route=default/0"), (Part{PartKind::kRoute, "default/0"}));
  EXPECT_EQ(PartIn("/drain?trigger=cli&cluster=a%20b%2fc"), (Part{PartKind::kCluster, "a b/c"}));
  EXPECT_EQ(PartIn("/drain?endpoint=[::1]:80"), (Part{PartKind::kEndpoint, "[::1]:80"}));
  EXPECT_EQ(PartIn("/drain?route=a=b+c"), (Part{PartKind::kRoute, "a=b+c"}));
}

TEST(DrainQueryTest, WhatIsNotUnderstoodIsRefused) {
  EXPECT_THAT(ErrorOf("/drain?lisener=in"), HasSubstr("\"lisener\" is no parameter"));
  EXPECT_THAT(ErrorOf("/drain?in"), HasSubstr("there are: listener, route, cluster, endpoint"));
  EXPECT_THAT(ErrorOf("/drain?route=a&route=b"), HasSubstr("not several"));
  EXPECT_THAT(ErrorOf("/drain?route=a&listener=b"), HasSubstr("not several"));
  for (const char* path : {"/drain?route", "/drain?route=", "/drain?route=%", "/drain?route=%4",
                           "/drain?route=%zz", "/drain?route=%+1"}) {
    EXPECT_THAT(ErrorOf(path), HasSubstr("names nothing")) << path;
  }
}

}  // namespace
}  // namespace sluice
