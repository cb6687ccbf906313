#include "proxy/route.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <string>
#include <string_view>
#include <utility>

namespace sluice {
namespace {

using testing::HasSubstr;

RouteConfig ToCluster() {
  RouteConfig config;
  config.clusters = {{"c", 1}};
  return config;
}

std::unique_ptr<const Route> Build(const RouteConfig& config) {
  auto route = Route::Build(config, "test/0");
  EXPECT_TRUE(route) << route.error().message;
  return *std::move(route);
}

std::string BuildError(const RouteConfig& config) {
  auto route = Route::Build(config, "test/0");
  return route ? "(built)" : route.error().message;
}

std::string FieldsOf(const HeaderList& headers) {
  std::string text;
  for (const HeaderField& field : headers) {
    text += std::string(field.name) + ": " + std::string(field.value) + "\n";
  }
  return text;
}

TEST(RouteTest, KeepsItsNameAndTimeout) {
  RouteConfig config = ToCluster();
  config.timeout = std::chrono::seconds(3);
  auto route = Build(config);
  EXPECT_EQ(route->name(), "test/0");
  EXPECT_EQ(route->timeout(), std::chrono::seconds(3));
  EXPECT_EQ(route->redirect(), nullptr);
  EXPECT_EQ(route->direct_response(), nullptr);
  config.name = "named";
  EXPECT_EQ(Build(config)->name(), "named");
}

TEST(RouteTest, NeedsExactlyOneAction) {
  RouteConfig config;
  EXPECT_THAT(BuildError(config), HasSubstr("exactly one"));
  config.redirect.emplace();
  EXPECT_EQ(BuildError(config), "(built)");
  config.direct_response.emplace();
  EXPECT_THAT(BuildError(config), HasSubstr("exactly one"));
  config.redirect.reset();
  EXPECT_EQ(Build(config)->direct_response()->status, 200);
}

// --- Weighted clusters.

TEST(RouteTest, OneClusterNeedsNoChance) {
  auto route = Build(ToCluster());
  Random random(1);
  Random untouched(1);
  EXPECT_EQ(route->PickCluster(random), 0u);
  EXPECT_EQ(random.Next(), untouched.Next());
}

TEST(RouteTest, AmongUsableClustersTheWeightsHold) {
  RouteConfig config;
  config.clusters = {{"a", 90}, {"never", 0}, {"b", 9}, {"c", 1}};
  auto route = Build(config);
  Random random(1);
  const auto not_a = [](const std::string& name) { return name != "a"; };
  std::array<int, 4> picks{};
  for (int i = 0; i < 10'000; ++i) ++picks.at(*route->PickCluster(random, not_a));
  EXPECT_EQ(picks[0] + picks[1], 0);
  EXPECT_NEAR(picks[2], 9000, 200);
  EXPECT_EQ(*route->PickCluster(random, [](const std::string& name) { return name == "c"; }), 3u);
  EXPECT_FALSE(route->PickCluster(random, [](const std::string& name) { return name == "never"; }));
  EXPECT_FALSE(route->PickCluster(random, [](const std::string&) { return false; }));
}

TEST(RouteTest, ClustersArePickedByWeight) {
  RouteConfig config;
  config.clusters = {{"a", 90}, {"never", 0}, {"b", 9}, {"c", 1}};
  auto route = Build(config);
  constexpr int kPicks = 100'000;
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    Random random(seed);
    std::array<int, 4> picks{};
    for (int i = 0; i < kPicks; ++i) ++picks.at(route->PickCluster(random));
    EXPECT_EQ(picks[1], 0);
    // Chi-square with 2 degrees of freedom; 13.8 is exceeded once in a thousand times.
    double chi_square = 0;
    for (const auto& [index, share] : {std::pair{0, 0.90}, {2, 0.09}, {3, 0.01}}) {
      const double expected = share * kPicks;
      const double off = picks.at(static_cast<size_t>(index)) - expected;
      chi_square += off * off / expected;
    }
    EXPECT_LT(chi_square, 13.8) << "seed " << seed;
  }
}

TEST(RouteTest, RefusesWeightsThatAddUpToNothing) {
  RouteConfig config;
  config.clusters = {{"a", 0}, {"b", 0}};
  EXPECT_THAT(BuildError(config), HasSubstr("all weights are 0"));
}

// --- Rewrites.

struct RewriteCase {
  RouteMatch::PathKind kind;
  const char* match;
  const char* rewrite;
  const char* path;
  const char* expected;
};

class RewriteTest : public testing::TestWithParam<RewriteCase> {};

TEST_P(RewriteTest, ReplacesTheMatchAndKeepsTheRest) {
  const RewriteCase& test = GetParam();
  RouteConfig config = ToCluster();
  config.match.path_kind = test.kind;
  config.match.path = test.match;
  config.prefix_rewrite = test.rewrite;
  auto route = Build(config);
  RequestHead head;
  head.path = test.path;
  route->RewriteRequest(head, DownstreamInfo{});
  EXPECT_EQ(head.path, test.expected);
}

constexpr auto kPrefix = RouteMatch::PathKind::kPrefix;
constexpr auto kExact = RouteMatch::PathKind::kExact;
constexpr auto kRegex = RouteMatch::PathKind::kRegex;

INSTANTIATE_TEST_SUITE_P(
    All, RewriteTest,
    testing::Values(RewriteCase{kPrefix, "/api", "/", "/api/x", "/x"},
                    RewriteCase{kPrefix, "/api", "/", "/api", "/"},
                    RewriteCase{kPrefix, "/api", "/", "/api/", "/"},
                    RewriteCase{kPrefix, "/api", "/", "/api?q=/api", "/?q=/api"},
                    RewriteCase{kPrefix, "/api/", "/", "/api/x?q", "/x?q"},
                    RewriteCase{kPrefix, "/api/", "/v2", "/api/x", "/v2/x"},
                    RewriteCase{kPrefix, "/api/", "/v2/", "/api/x", "/v2/x"},
                    RewriteCase{kPrefix, "/api", "/v2", "/api/x/y", "/v2/x/y"},
                    RewriteCase{kPrefix, "/api", "/v2", "/api", "/v2"},
                    RewriteCase{kPrefix, "/api", "/v2", "/api//x", "/v2//x"},
                    RewriteCase{kPrefix, "/", "/v2", "/x", "/v2/x"},
                    RewriteCase{kPrefix, "/", "/v2", "/", "/v2/"},
                    RewriteCase{kPrefix, "/", "/v2", "*", "*"},
                    RewriteCase{kPrefix, "/", "/v2", "example.com:443", "example.com:443"},
                    RewriteCase{kExact, "/old", "/new/place", "/old?a=b", "/new/place?a=b"},
                    RewriteCase{kExact, "/old", "/new/", "/old", "/new/"},
                    RewriteCase{kRegex, "/u/[0-9]+", "/user", "/u/12?a", "/user?a"},
                    RewriteCase{kPrefix, "/api", "", "/api/x", "/api/x"}));

TEST(RouteTest, RefusesARewriteThatIsNoPath) {
  RouteConfig config = ToCluster();
  for (const char* rewrite : {"v2", "/a?b", "/a#b", "/a b", "/a\r\nb", "http://x/"}) {
    config.prefix_rewrite = rewrite;
    EXPECT_THAT(BuildError(config), HasSubstr("prefix_rewrite")) << rewrite;
  }
}

TEST(RouteTest, RewritesTheHost) {
  RouteConfig config = ToCluster();
  RequestHead head;
  head.authority = "example.com";
  head.path = "/";
  Build(config)->RewriteRequest(head, DownstreamInfo{});
  EXPECT_EQ(head.authority, "example.com");
  config.host_rewrite = "inner:8080";
  auto route = Build(config);
  route->RewriteRequest(head, DownstreamInfo{});
  EXPECT_EQ(head.authority, "inner:8080");
  config.host_rewrite = "a\r\nb";
  EXPECT_THAT(BuildError(config), HasSubstr("is not a host"));
}

// --- Header edits.

TEST(RouteTest, EditsHeadersInOrderRemoveSetAdd) {
  RouteConfig config = ToCluster();
  config.request_headers.remove = {"cookie", "x-secret"};
  config.request_headers.set = {{"X-Env", "prod"}, {"User-Agent", "sluice"}};
  config.request_headers.add = {{"X-Tag", "2"}, {"X-Secret", "ours"}};
  config.response_headers.remove = {"Server"};
  config.response_headers.set = {{"X-Frame-Options", "DENY"}};
  auto route = Build(config);

  RequestHead head;
  head.path = "/";
  for (const auto& [name, value] : {std::pair{"Cookie", "a"},
                                    {"X-Tag", "1"},
                                    {"x-env", "a"},
                                    {"X-ENV", "b"},
                                    {"Cookie", "b"},
                                    {"X-SECRET", "theirs"},
                                    {"user-agent", "curl"}}) {
    head.headers.Add(name, value);
  }
  route->RewriteRequest(head, DownstreamInfo{});
  EXPECT_EQ(FieldsOf(head.headers),
            "X-Tag: 1\nX-Env: prod\nUser-Agent: sluice\nX-Tag: 2\nX-Secret: ours\n");

  HeaderList response;
  response.Add("Server", "nginx");
  response.Add("Date", "now");
  route->RewriteResponse(response);
  EXPECT_EQ(FieldsOf(response), "Date: now\nX-Frame-Options: DENY\n");
}

TEST(RouteTest, RefusesEditsThatWouldBreakTheMessage) {
  for (const char* name : {"Content-Length", "transfer-encoding", "Connection", "Keep-Alive", "TE",
                           "Trailer", "Upgrade", "Proxy-Connection"}) {
    RouteConfig config = ToCluster();
    config.request_headers.set = {{name, "x"}};
    EXPECT_THAT(BuildError(config), HasSubstr("request_headers: ")) << name;
    config = ToCluster();
    config.response_headers.add = {{name, "x"}};
    EXPECT_THAT(BuildError(config), HasSubstr("response_headers: ")) << name;
    config = ToCluster();
    config.response_headers.remove = {name};
    EXPECT_THAT(BuildError(config), HasSubstr("response_headers: ")) << name;
  }
  RouteConfig config = ToCluster();
  config.request_headers.set = {{"Host", "x"}};
  EXPECT_THAT(BuildError(config), HasSubstr("use `host_rewrite`"));
  config.request_headers.set = {{"bad name", "x"}};
  EXPECT_THAT(BuildError(config), HasSubstr("is not a header name"));
  config.request_headers.set = {{"X-A", "x\r\nX-B: y"}};
  EXPECT_THAT(BuildError(config), HasSubstr("control character"));
}

// --- Redirects.

std::string LocationOf(Redirect redirect, std::string_view authority, std::string_view path,
                       std::string_view scheme = "http") {
  RouteConfig config;
  config.redirect = std::move(redirect);
  auto route = Build(config);
  RequestHead head;
  head.scheme = scheme;
  head.authority = authority;
  head.path = path;
  Arena arena;
  return std::string(route->Location(head, arena));
}

TEST(RedirectTest, KeepsWhatItDoesNotName) {
  EXPECT_EQ(LocationOf({302, "https", "", ""}, "a.com", "/x?y=1"), "https://a.com/x?y=1");
  EXPECT_EQ(LocationOf({302, "", "b.com", ""}, "a.com:81", "/x?y=1"), "http://b.com/x?y=1");
  EXPECT_EQ(LocationOf({302, "", "", "/new"}, "a.com:81", "/x?y=1"), "http://a.com:81/new");
  EXPECT_EQ(LocationOf({302, "", "", "/new?z"}, "a.com", "/x?y=1", "https"), "https://a.com/new?z");
  EXPECT_EQ(LocationOf({302, "", "", "new"}, "a.com", "/x"), "http://a.com/new");
  EXPECT_EQ(LocationOf({302, "https", "", ""}, "a.com", "*"), "https://a.com/");
}

TEST(RedirectTest, DropsTheDefaultPortOfAReplacedScheme) {
  EXPECT_EQ(LocationOf({302, "https", "", ""}, "a.com:80", "/"), "https://a.com/");
  EXPECT_EQ(LocationOf({302, "https", "", ""}, "a.com:8080", "/"), "https://a.com:8080/");
  EXPECT_EQ(LocationOf({302, "http", "", ""}, "a.com:443", "/", "https"), "http://a.com/");
  EXPECT_EQ(LocationOf({302, "", "", ""}, "a.com:80", "/"), "http://a.com:80/");
}

TEST(RedirectTest, NeverTurnsAPathIntoAHost) {
  EXPECT_EQ(LocationOf({302, "https", "", ""}, "a.com", "//evil.example"),
            "https://a.com//evil.example");
  EXPECT_EQ(LocationOf({302, "https", "", ""}, "", "//evil.example"), "/.//evil.example");
  EXPECT_EQ(LocationOf({302, "https", "", ""}, "", "/x"), "/x");
}

TEST(RedirectTest, RefusesWhatWouldSplitTheResponse) {
  RouteConfig config;
  config.redirect = Redirect{302, "", "", "/a\r\nSet-Cookie: b"};
  EXPECT_THAT(BuildError(config), HasSubstr("redirect: "));
}

}  // namespace
}  // namespace sluice
