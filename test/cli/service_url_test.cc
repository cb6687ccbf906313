#include "cli/service_url.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice {
namespace {

using testing::HasSubstr;

TEST(ServiceUrlTest, BecomesAnEndpoint) {
  const std::pair<const char*, const char*> cases[] = {
      {"http://127.0.0.1:3000", "127.0.0.1:3000"},
      {"http://127.0.0.1:3000/", "127.0.0.1:3000"},
      {"http://127.0.0.1", "127.0.0.1:80"},
      {"http://[::1]:3000", "[::1]:3000"},
      {"http://[::1]", "[::1]:80"},
      {"unix:/run/app.sock", "unix:/run/app.sock"},
  };
  for (const auto& [url, endpoint] : cases) {
    const auto result = EndpointOfUrl(url);
    ASSERT_TRUE(result.has_value()) << url << ": " << result.error().message;
    EXPECT_EQ(*result, endpoint) << url;
  }
}

TEST(ServiceUrlTest, ANameIsResolved) {
  const auto endpoint = EndpointOfUrl("http://localhost:3000");
  ASSERT_TRUE(endpoint.has_value()) << endpoint.error().message;
  EXPECT_THAT(*endpoint, testing::AnyOf("127.0.0.1:3000", "[::1]:3000"));
}

TEST(ServiceUrlTest, MistakesAreExplained) {
  const std::pair<const char*, const char*> cases[] = {
      {"https://127.0.0.1", "TLS upstreams are not supported by this version"},
      {"127.0.0.1:3000", "expected http://HOST[:PORT]"},
      {"", "expected http://HOST[:PORT]"},
      {"ftp://127.0.0.1", "not a URL"},
      {"http://127.0.0.1:3000/api", "only a host and a port"},
      {"http://user@127.0.0.1", "only a host and a port"},
      {"http://127.0.0.1:0", "1 to 65535"},
      {"http://127.0.0.1:65536", "1 to 65535"},
      {"http://127.0.0.1:80x", "1 to 65535"},
      {"http://127.0.0.1:", "1 to 65535"},
      {"http://", "there is no host"},
      {"http://:80", "there is no host"},
      {"http://name.invalid:80", "cannot resolve 'name.invalid'"},
  };
  for (const auto& [url, why] : cases) {
    const auto result = EndpointOfUrl(url);
    ASSERT_FALSE(result.has_value()) << url << " became " << *result;
    EXPECT_THAT(result.error().message, HasSubstr(why)) << url;
    EXPECT_THAT(result.error().message, HasSubstr("--to ")) << url;
  }
}

}  // namespace
}  // namespace sluice
