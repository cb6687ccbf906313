#include "proxy/path.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

namespace sluice {
namespace {

constexpr std::string_view kRefused = "(refused)";

std::string Normalized(std::string_view path, Method method = Method::kGet) {
  RequestHead head;
  head.method = method;
  head.path = path;
  if (NormalizePath(head)) return std::string(head.path);
  EXPECT_EQ(head.path, path) << "a refused head must not be changed";
  return std::string(kRefused);
}

struct Case {
  std::string_view received;
  std::string_view normal;
};

class PathTest : public testing::TestWithParam<Case> {};

TEST_P(PathTest, IsPutInNormalForm) {
  const auto& [received, normal] = GetParam();
  EXPECT_EQ(Normalized(received), normal);
  if (normal == kRefused) return;
  EXPECT_EQ(Normalized(normal), normal) << "not idempotent";
}

INSTANTIATE_TEST_SUITE_P(Plain, PathTest,
                         testing::Values(Case{"/", "/"}, Case{"/a/b", "/a/b"},
                                         Case{"/a.b/c..d/e.", "/a.b/c..d/e."},
                                         Case{"/a?x=/../%zz", "/a?x=/../%zz"}, Case{"/?", "/?"},
                                         Case{"/.well-known/x", "/.well-known/x"},
                                         Case{"/...", "/..."}, Case{"/..a/.b", "/..a/.b"},
                                         Case{"/a;p=1/b", "/a;p=1/b"}));

// RFC 3986 5.2.4 and 5.4.
INSTANTIATE_TEST_SUITE_P(
    DotSegments, PathTest,
    testing::Values(Case{"/.", "/"}, Case{"/./", "/"}, Case{"/a/.", "/a/"}, Case{"/a/..", "/"},
                    Case{"/a/../", "/"}, Case{"/a/b/..", "/a/"}, Case{"/a/./b", "/a/b"},
                    Case{"/a/b/c/./../../g", "/a/g"}, Case{"/public/../admin", "/admin"},
                    Case{"/public/../admin?q=..", "/admin?q=.."}, Case{"/a/..?/..", "/?/.."}));

INSTANTIATE_TEST_SUITE_P(EmptySegments, PathTest,
                         testing::Values(Case{"//", "//"}, Case{"//a", "//a"},
                                         Case{"/a//b", "/a//b"}, Case{"/a//../b", "/a/b"},
                                         Case{"/.//a", "//a"}, Case{"/a/..//b", "//b"}));

INSTANTIATE_TEST_SUITE_P(PercentEncoding, PathTest,
                         testing::Values(Case{"/%61%5a%30%2d%5F%7e", "/aZ0-_~"},
                                         Case{"/%2e%2E/a", kRefused}, Case{"/a/%2e%2E/b", "/b"},
                                         Case{"/a/.%2e/b", "/b"}, Case{"/a/%2e/b", "/a/b"},
                                         Case{"/a%2fb", "/a%2Fb"}, Case{"/a%2Fb", "/a%2Fb"},
                                         Case{"/a%5cb", "/a%5Cb"}, Case{"/%3f%23%25", "/%3F%23%25"},
                                         Case{"/caf%c3%a9", "/caf%C3%A9"}, Case{"/%2541", "/%2541"},
                                         Case{"/%252e%252e/a", "/%252e%252e/a"},
                                         Case{"/%20", "/%20"}));

INSTANTIATE_TEST_SUITE_P(
    Refused, PathTest,
    testing::Values(Case{"/..", kRefused}, Case{"/../a", kRefused}, Case{"/a/../../b", kRefused},
                    Case{"/a/..%2fb", kRefused}, Case{"/a/..%5Cb", kRefused},
                    Case{"/a/b%2f..", kRefused}, Case{"/a/b%2F..%2Fc", kRefused},
                    Case{"/a/%2e%2e%2fb", kRefused}, Case{"/a/.%2Fb", kRefused},
                    Case{"/a/..;/b", kRefused}, Case{"/a/..;x=1/b", kRefused},
                    Case{"/a/.;/b", kRefused}, Case{"/a/%2e.;/b", kRefused},
                    Case{"/a\\..\\b", kRefused}, Case{"/a\\b", kRefused}, Case{"/a%", kRefused},
                    Case{"/a%4", kRefused}, Case{"/a%4/1", kRefused}, Case{"/a%zz", kRefused},
                    Case{"/a%0g", kRefused}, Case{"/a%00", kRefused}, Case{"/a#b", kRefused},
                    Case{"/a?b#c", kRefused}, Case{"/%61?b#c", kRefused}, Case{"", kRefused},
                    Case{"a", kRefused}, Case{"?a", kRefused}, Case{"http://a/", kRefused},
                    Case{"*", kRefused}));

TEST(NormalizePath, LeavesTheAsteriskOfOptionsAndTheTargetOfConnectAlone) {
  EXPECT_EQ(Normalized("*", Method::kOptions), "*");
  EXPECT_EQ(Normalized("example.com:443", Method::kConnect), "example.com:443");
}

TEST(NormalizePath, DoesNotCopyAPlainPath) {
  const std::string path = "/a/b.c?d=%41";
  RequestHead head;
  head.path = path;
  ASSERT_TRUE(NormalizePath(head));
  EXPECT_EQ(head.path.data(), path.data());
}

TEST(NormalizePath, ManyDotSegmentsTakeNoMoreThanTheirPlace) {
  std::string path;
  for (int i = 0; i < 1000; ++i) path += "/x";
  for (int i = 0; i < 1000; ++i) path += "/..";
  EXPECT_EQ(Normalized(path), "/");
  EXPECT_EQ(Normalized(path + "/.."), kRefused);
}

}  // namespace
}  // namespace sluice
