#include "admin/request_guard.h"

#include <gtest/gtest.h>

#include <string_view>
#include <utility>
#include <vector>

namespace sluice {
namespace {

using Fields = std::vector<std::pair<std::string_view, std::string_view>>;

struct Case {
  std::string_view authority;
  Fields fields;
  bool passes;
};

RequestHead Head(std::string_view authority, const Fields& fields) {
  RequestHead head;
  head.authority = authority;
  for (const auto& [name, value] : fields) head.headers.Add(name, value);
  return head;
}

DownstreamInfo Tcp() {
  DownstreamInfo downstream;
  downstream.peer = "127.0.0.1:40000";
  return downstream;
}

TEST(RequestGuardTest, WhoMayChangeSomething) {
  const std::vector<Case> cases = {
      {"127.0.0.1:9901", {}, true},
      {"localhost:9901", {}, true},
      {"LocalHost", {}, true},
      {"[::1]:9901", {}, true},
      {"[::1]", {}, true},
      {"10.1.2.3:9901", {}, true},  // kubelet addresses the pod
      {"", {}, true},
      // Names that anyone's DNS may point at this machine.
      {"evil.example:9901", {}, false},
      {"localhost.evil.example:9901", {}, false},
      {"127.0.0.1.evil.example", {}, false},
      {"127.0.0.1.:9901", {}, false},
      {"[::1]evil.example:1", {}, false},
      {"[evil]", {}, false},
      // What a browser says of where a request is from.
      {"127.0.0.1:9901", {{"Origin", "http://127.0.0.1:9901"}}, true},
      {"127.0.0.1:9901", {{"Origin", "http://127.0.0.1:9902"}}, false},
      {"127.0.0.1:9901", {{"Origin", "http://127.0.0.1:99012"}}, false},
      {"127.0.0.1:9901", {{"Origin", "https://127.0.0.1:9901"}}, false},
      {"127.0.0.1:9901", {{"Origin", "http://evil.example"}}, false},
      {"127.0.0.1:9901", {{"Origin", "null"}}, false},
      {"127.0.0.1:9901", {{"Origin", ""}}, false},
      {"127.0.0.1:9901", {{"origin", "http://evil.example"}}, false},
      {"127.0.0.1:9901",
       {{"Origin", "http://127.0.0.1:9901"}, {"Origin", "http://evil.example"}},
       false},
      {"127.0.0.1:9901", {{"Sec-Fetch-Site", "same-origin"}}, true},
      {"127.0.0.1:9901", {{"Sec-Fetch-Site", "none"}}, true},
      {"127.0.0.1:9901", {{"Sec-Fetch-Site", "same-site"}}, false},
      {"127.0.0.1:9901", {{"Sec-Fetch-Site", "cross-site"}}, false},
      {"127.0.0.1:9901", {{"Referer", "http://127.0.0.1:9901/drain"}}, true},
      {"127.0.0.1:9901", {{"Referer", "http://evil.example/127.0.0.1:9901"}}, false},
      // A page on a name that was rebound to this address is its own origin: the Host gives it
      // away.
      {"evil.example:9901", {{"Origin", "http://evil.example:9901"}}, false},
  };
  for (const Case& c : cases) {
    const RequestHead head = Head(c.authority, c.fields);
    EXPECT_EQ(RefusesChange(head, Tcp()).empty(), c.passes)
        << "Host " << c.authority << ", "
        << (c.fields.empty()
                ? "no field"
                : std::string(c.fields.back().first) + ": " + std::string(c.fields.back().second));
  }
}

TEST(RequestGuardTest, AUnixSocketNeedsNoHostButStillNoPage) {
  DownstreamInfo unix_peer;
  unix_peer.peer = "unix:";
  EXPECT_EQ(RefusesChange(Head("sluice", {}), unix_peer), "");
  EXPECT_NE(RefusesChange(Head("sluice", {{"Origin", "http://evil.example"}}), unix_peer), "");
}

TEST(RequestGuardTest, ReadingDependsOnTheHostOnly) {
  EXPECT_EQ(RefusesReading(Head("127.0.0.1:9901", {{"Sec-Fetch-Site", "cross-site"}}), Tcp()), "");
  EXPECT_NE(RefusesReading(Head("evil.example", {}), Tcp()), "");
}

TEST(RequestGuardTest, BrowsersAreKnownByTheirName) {
  EXPECT_TRUE(IsBrowser(Head("", {{"User-Agent", "Mozilla/5.0 (X11; Linux x86_64)"}})));
  EXPECT_FALSE(IsBrowser(Head("", {{"User-Agent", "kube-probe/1.29"}})));
  EXPECT_FALSE(IsBrowser(Head("", {})));
}

}  // namespace
}  // namespace sluice
