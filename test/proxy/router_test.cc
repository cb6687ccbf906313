#include "proxy/router.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sluice {
namespace {

using testing::HasSubstr;
using Kind = FieldMatch::Kind;
using PathKind = RouteMatch::PathKind;

RouteConfig To(std::string cluster, RouteMatch match = {}) {
  RouteConfig route;
  route.name = cluster;
  route.match = std::move(match);
  route.clusters = {{std::move(cluster), 1}};
  return route;
}

RouteMatch Prefix(std::string path) {
  RouteMatch match;
  match.path = std::move(path);
  return match;
}

RouteMatch Exact(std::string path) {
  RouteMatch match = Prefix(std::move(path));
  match.path_kind = PathKind::kExact;
  return match;
}

RouteMatch Regex(std::string path) {
  RouteMatch match = Prefix(std::move(path));
  match.path_kind = PathKind::kRegex;
  return match;
}

VirtualHost Host(std::vector<std::string> domains, std::vector<RouteConfig> routes) {
  VirtualHost host;
  host.name = domains.front();
  host.domains = std::move(domains);
  host.routes = std::move(routes);
  return host;
}

// A head that keeps its own text.
struct Request : RequestHead {
  explicit Request(std::string_view target_path, std::string_view host = "example.com",
                   std::string_view verb = "GET") {
    static const std::map<std::string_view, Method> kMethods = {
        {"GET", Method::kGet},         {"HEAD", Method::kHead}, {"POST", Method::kPost},
        {"OPTIONS", Method::kOptions}, {"PUT", Method::kPut},   {"CONNECT", Method::kConnect}};
    const auto known = kMethods.find(verb);
    method = known == kMethods.end() ? Method::kOther : known->second;
    method_name = verb;
    scheme = "http";
    authority = arena.Copy(host);
    path = arena.Copy(target_path);
  }
  Request&& With(std::string_view name, std::string_view value) && {
    headers.Add(name, value);
    return std::move(*this);
  }
};

class RouterTest : public testing::Test {
 protected:
  void Build(const std::vector<VirtualHost>& hosts) {
    auto built = Router::Build(hosts);
    ASSERT_TRUE(built) << built.error().message;
    router_ = *std::move(built);
  }
  void BuildRoutes(std::vector<RouteConfig> routes) { Build({Host({"*"}, std::move(routes))}); }

  // The name of the route found, "-" for none.
  std::string Find(const RequestHead& head) const {
    const Route* route = router_->Find(head);
    return route == nullptr ? "-" : std::string(route->name());
  }
  std::string FindHost(std::string_view authority) const { return Find(Request("/", authority)); }
  std::string FindPath(std::string_view path) const { return Find(Request(path)); }

  static std::string BuildError(const std::vector<VirtualHost>& hosts) {
    auto built = Router::Build(hosts);
    return built ? "(built)" : built.error().message;
  }
  static std::string RouteError(RouteConfig route) {
    return BuildError({Host({"*"}, {std::move(route)})});
  }

  std::unique_ptr<const Router> router_;
};

// --- Virtual hosts.

TEST_F(RouterTest, AnEmptyTableHasNoRoute) {
  Build({});
  EXPECT_EQ(FindHost("example.com"), "-");
}

TEST_F(RouterTest, ExactBeatsWildcardBeatsDefault) {
  Build({Host({"*"}, {To("any")}), Host({"*.example.com"}, {To("wild")}),
         Host({"*.a.example.com"}, {To("longer")}), Host({"b.a.example.com"}, {To("exact")})});
  EXPECT_EQ(FindHost("b.a.example.com"), "exact");
  EXPECT_EQ(FindHost("c.a.example.com"), "longer");
  EXPECT_EQ(FindHost("d.c.a.example.com"), "longer");
  EXPECT_EQ(FindHost("a.example.com"), "wild");
  EXPECT_EQ(FindHost("example.com"), "any");
  EXPECT_EQ(FindHost("xexample.com"), "any");
  EXPECT_EQ(FindHost(".example.com"), "any");
  EXPECT_EQ(FindHost(""), "any");
}

TEST_F(RouterTest, WithoutADefaultAnUnknownHostHasNoRoute) {
  Build({Host({"example.com", "example.org"}, {To("known")})});
  EXPECT_EQ(FindHost("example.com"), "known");
  EXPECT_EQ(FindHost("example.org"), "known");
  EXPECT_EQ(FindHost("example.net"), "-");
  EXPECT_EQ(FindHost(""), "-");
  EXPECT_EQ(FindHost(std::string(300, 'a') + ".example.com"), "-");
}

TEST_F(RouterTest, HostsAreComparedWithoutCasePortAndFinalDot) {
  Build({Host({"Example.COM."}, {To("exact")}), Host({"*.Example.com"}, {To("wild")})});
  EXPECT_EQ(FindHost("EXAMPLE.com"), "exact");
  EXPECT_EQ(FindHost("example.com:8080"), "exact");
  EXPECT_EQ(FindHost("example.com."), "exact");
  EXPECT_EQ(FindHost("example.com.:80"), "exact");
  EXPECT_EQ(FindHost("A.eXample.com.:1"), "wild");
  EXPECT_EQ(FindHost("example.com.."), "-");
}

TEST_F(RouterTest, ADomainWithAPortIsForThatPortOnly) {
  Build({Host({"example.com:8443"}, {To("port")}), Host({"example.com"}, {To("exact")}),
         Host({"*.example.com:80"}, {To("wild80")}), Host({"example.org:443"}, {To("tls")})});
  EXPECT_EQ(FindHost("example.com:8443"), "port");
  EXPECT_EQ(FindHost("example.com:8444"), "exact");
  EXPECT_EQ(FindHost("example.com"), "exact");
  EXPECT_EQ(FindHost("a.example.com:80"), "wild80");
  EXPECT_EQ(FindHost("a.example.com"), "wild80") << "the default port of http";
  EXPECT_EQ(FindHost("a.example.com:81"), "-");
  EXPECT_EQ(FindHost("example.org"), "-");
  Request secure("/", "example.org");
  secure.scheme = "https";
  EXPECT_EQ(Find(secure), "tls");
  EXPECT_EQ(FindHost("example.com:999999999999"), "-") << "no port is that long";
}

TEST_F(RouterTest, AnIpv6LiteralKeepsItsColons) {
  Build({Host({"[::1]"}, {To("v6")}), Host({"[2001:DB8::1]:8080"}, {To("v6port")}),
         Host({"127.0.0.1"}, {To("v4")})});
  EXPECT_EQ(FindHost("[::1]"), "v6");
  EXPECT_EQ(FindHost("[::1]:9000"), "v6");
  EXPECT_EQ(FindHost("[2001:db8::1]:8080"), "v6port");
  EXPECT_EQ(FindHost("[2001:db8::1]"), "-");
  EXPECT_EQ(FindHost("127.0.0.1:1"), "v4");
}

TEST_F(RouterTest, OnlyTheChosenHostIsSearched) {
  Build({Host({"example.com"}, {To("api", Prefix("/api/"))}), Host({"*"}, {To("any")})});
  EXPECT_EQ(Find(Request("/api/x")), "api");
  EXPECT_EQ(Find(Request("/other")), "-");
  EXPECT_EQ(Find(Request("/other", "example.org")), "any");
}

TEST_F(RouterTest, RefusesDomainsThatAreTakenOrMalformed) {
  EXPECT_EQ(BuildError({Host({"a.com"}, {To("x")}), Host({"b.com", "A.com."}, {To("y")})}),
            "virtual host \"b.com\": the domain \"A.com.\" is taken by virtual host \"a.com\"");
  EXPECT_THAT(BuildError({Host({"*"}, {To("x")}), Host({"*"}, {To("y")})}), HasSubstr("is taken"));
  for (const char* domain : {"", "*a.com", "a.*.com", "*.", "*.*", "a b", "a.com:x", ":80",
                             "http://a.com", ".a.com", "a/b", "a.com:123456"}) {
    EXPECT_THAT(BuildError({Host({domain}, {To("x")})}), HasSubstr("is not a domain")) << domain;
  }
  // An empty port is none (RFC 3986 3.2.3).
  EXPECT_THAT(BuildError({Host({"a.com:", "a.com"}, {To("x")})}), HasSubstr("is taken"));
}

// --- Paths.

TEST_F(RouterTest, TheFirstMatchWins) {
  BuildRoutes({To("exact", Exact("/api")), To("prefix", Prefix("/api")),
               To("never", Prefix("/api/v2")), To("rest")});
  EXPECT_EQ(FindPath("/api"), "exact");
  EXPECT_EQ(FindPath("/api?x"), "exact");
  EXPECT_EQ(FindPath("/api/v2"), "prefix");
  EXPECT_EQ(FindPath("/ap"), "rest");
}

TEST_F(RouterTest, APrefixIsAPrefixOfTheText) {
  BuildRoutes({To("api", Prefix("/api")), To("dir", Prefix("/dir/"))});
  EXPECT_EQ(FindPath("/api/x"), "api");
  EXPECT_EQ(FindPath("/apix"), "api");
  EXPECT_EQ(FindPath("/dir/"), "dir");
  EXPECT_EQ(FindPath("/dir"), "-");
  EXPECT_EQ(FindPath("/dir?/"), "-") << "the query is not part of the path";
  EXPECT_EQ(FindPath("/API"), "-") << "paths are case-sensitive";
}

TEST_F(RouterTest, ARewrittenPrefixEndsWhereASegmentEnds) {
  RouteConfig route = To("files", Prefix("/static"));
  route.prefix_rewrite = "/files/";
  BuildRoutes({route});
  EXPECT_EQ(FindPath("/static"), "files");
  EXPECT_EQ(FindPath("/static/x"), "files");
  EXPECT_EQ(FindPath("/static?x"), "files");
  EXPECT_EQ(FindPath("/static../secret"), "-");
}

TEST_F(RouterTest, ARegexMatchesTheWholePath) {
  BuildRoutes({To("id", Regex("/users/[0-9]+")), To("all", Regex("/x/.*"))});
  EXPECT_EQ(FindPath("/users/12"), "id");
  EXPECT_EQ(FindPath("/users/12?a=b"), "id");
  EXPECT_EQ(FindPath("/users/12/x"), "-");
  EXPECT_EQ(FindPath("/a/users/12"), "-");
  EXPECT_EQ(FindPath("/x/\xff\xfe"), "all") << "a byte that is not UTF-8 slipped past the dot";
}

TEST_F(RouterTest, TheRootPrefixMatchesEverything) {
  RouteMatch get = Prefix("/");
  get.methods = {"GET"};
  BuildRoutes({To("get", get), To("any")});
  EXPECT_EQ(FindPath("/x"), "get");
  EXPECT_EQ(Find(Request("*", "example.com", "OPTIONS")), "any");
  EXPECT_EQ(Find(Request("example.com:443", "example.com:443", "CONNECT")), "any");
  BuildRoutes({To("only")});
  EXPECT_EQ(Find(Request("*", "example.com", "OPTIONS")), "only");
  BuildRoutes({To("asterisk", Exact("*"))});
  EXPECT_EQ(Find(Request("*", "example.com", "OPTIONS")), "asterisk");
  EXPECT_EQ(FindPath("/"), "-");
}

TEST_F(RouterTest, RefusesPathsThatCanNeverMatch) {
  EXPECT_EQ(RouteError(To("r", Regex("/(x"))), "route \"r\": path regex \"/(x\": missing ): /(x");
  EXPECT_THAT(RouteError(To("r", Prefix("api"))), HasSubstr("does not start with a slash"));
  EXPECT_THAT(RouteError(To("r", Prefix(""))), HasSubstr("does not start with a slash"));
  EXPECT_THAT(RouteError(To("r", Exact("/a?b"))), HasSubstr("match it with `query`"));
  for (const char* path : {"/a/../b", "/caf%c3%a9", "/%61", "/a%", "/a#b", "/a\\b"}) {
    EXPECT_THAT(RouteError(To("r", Exact(path))), HasSubstr("matches nothing")) << path;
  }
  EXPECT_THAT(RouteError(To("r", Prefix("/%61"))), HasSubstr("matches nothing"));
  EXPECT_EQ(RouteError(To("r", Prefix("/."))), "(built)") << "all hidden files";
  EXPECT_EQ(RouteError(To("r", Exact("/caf%C3%A9"))), "(built)");
}

// --- Methods, headers, query.

TEST_F(RouterTest, MethodsAreComparedExactly) {
  RouteMatch match;
  match.methods = {"GET", "PURGE"};
  BuildRoutes({To("r", match)});
  EXPECT_EQ(Find(Request("/", "h", "GET")), "r");
  EXPECT_EQ(Find(Request("/", "h", "HEAD")), "-");
  EXPECT_EQ(Find(Request("/", "h", "PURGE")), "r");
  EXPECT_EQ(Find(Request("/", "h", "BREW")), "-");
  match.methods = {"PUT"};
  BuildRoutes({To("r", match)});
  EXPECT_EQ(Find(Request("/", "h", "BREW")), "-");
}

TEST_F(RouterTest, HeaderTests) {
  RouteMatch match;
  match.headers = {{"X-Env", Kind::kExact, "canary"},
                   {"User-Agent", Kind::kPrefix, "curl/"},
                   {"X-Debug", Kind::kAbsent, ""},
                   {"X-Any", Kind::kPresent, ""},
                   {"X-Id", Kind::kRegex, "[0-9]+"}};
  BuildRoutes({To("r", match)});
  const auto request = [](std::string_view env, std::string_view agent, std::string_view id) {
    return Request("/")
        .With("x-env", env)
        .With("user-agent", agent)
        .With("x-any", "")
        .With("X-ID", id);
  };
  EXPECT_EQ(Find(request("canary", "curl/8", "42")), "r");
  EXPECT_EQ(Find(request("Canary", "curl/8", "42")), "-");
  EXPECT_EQ(Find(request("canary", "wget/8", "42")), "-");
  EXPECT_EQ(Find(request("canary", "curl/8", "42x")), "-");
  EXPECT_EQ(Find(request("canary", "curl/8", "42").With("x-debug", "")), "-");
  EXPECT_EQ(Find(request("other", "curl/8", "42").With("X-Env", "canary")), "r")
      << "one of several fields holds";
  EXPECT_EQ(Find(Request("/")), "-");
}

TEST_F(RouterTest, HostAndUpgradeCanBeTestedLikeHeaders) {
  RouteMatch match;
  match.headers = {{"Host", Kind::kPrefix, "admin."}, {"Upgrade", Kind::kExact, "websocket"}};
  BuildRoutes({To("r", match)});
  Request request("/", "admin.example.com");
  EXPECT_EQ(Find(request), "-");
  request.upgrade = "websocket";
  EXPECT_EQ(Find(request), "r");
  request.authority = "example.com";
  EXPECT_EQ(Find(request), "-");
}

TEST_F(RouterTest, QueryTests) {
  RouteMatch match;
  match.query = {{"v", Kind::kExact, "a b"}, {"debug", Kind::kAbsent, ""}};
  BuildRoutes({To("r", match)});
  EXPECT_EQ(FindPath("/?v=a+b"), "r");
  EXPECT_EQ(FindPath("/?x=1&v=a%20b&y"), "r");
  EXPECT_EQ(FindPath("/?%76=a%20b"), "r") << "the name is decoded too";
  EXPECT_EQ(FindPath("/?v=c&v=a+b"), "r") << "one of several holds";
  EXPECT_EQ(FindPath("/?v=a%2"), "-");
  EXPECT_EQ(FindPath("/?v"), "-");
  EXPECT_EQ(FindPath("/"), "-");
  EXPECT_EQ(FindPath("/?v=a+b&debug"), "-");
  EXPECT_EQ(FindPath("/?v=a+b&%64ebug=1"), "-");
}

TEST_F(RouterTest, AParameterWithoutAValueIsPresentAndEmpty) {
  RouteMatch match;
  match.query = {{"a", Kind::kPresent, ""}, {"b", Kind::kRegex, ".*"}, {"c", Kind::kPrefix, "x"}};
  BuildRoutes({To("r", match)});
  EXPECT_EQ(FindPath("/?a&b=&c=xy"), "r");
  EXPECT_EQ(FindPath("/?a=&b&c=x&"), "r");
  EXPECT_EQ(FindPath("/?&&a&b&c=y"), "-");
  EXPECT_EQ(FindPath("/?aa&b&c=x"), "-");
}

TEST_F(RouterTest, RefusesARegexThatDoesNotParse) {
  RouteMatch match;
  match.headers = {{"X-Id", Kind::kRegex, "("}};
  EXPECT_THAT(RouteError(To("r", match)), HasSubstr("route \"r\": header \"X-Id\": regex \"(\": "));
  match.headers.clear();
  match.query = {{"q", Kind::kRegex, "("}};
  EXPECT_THAT(RouteError(To("r", match)), HasSubstr("route \"r\": query \"q\": regex \"(\": "));
}

TEST_F(RouterTest, ARouteWithoutANameIsNamedByItsPlace) {
  RouteConfig route = To("x");
  route.name.clear();
  BuildRoutes({To("first", Exact("/first")), route});
  EXPECT_EQ(FindPath("/"), "*/1");
}

}  // namespace
}  // namespace sluice
