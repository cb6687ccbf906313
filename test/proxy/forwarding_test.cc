#include "proxy/forwarding.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "support/fake_stream.h"
#include "support/sim_loop.h"

namespace sluice {
namespace {

using testing::ElementsAre;
using testing::MatchesRegex;

class ForwardingTest : public testing::Test {
 protected:
  ForwardingTest() { SetPeer("192.0.2.1"); }

  void SetPeer(std::string host, bool tls = false) {
    downstream_.peer = host + ":41234";
    downstream_.peer_host = std::string_view(downstream_.peer).substr(0, host.size());
    downstream_.tls = tls;
  }

  // The head of a request for http://example.com:8080/ with these fields, passed on.
  RequestHead& Forward(
      const std::vector<std::pair<std::string_view, std::string_view>>& fields = {}) {
    forwarding_.emplace(config_);
    head_.Reset();
    head_.authority = authority_;
    head_.version = version_;
    for (const auto& [name, value] : fields) head_.headers.Add(name, value);
    forwarding_->ApplyToRequest(head_, downstream_, random_);
    return head_;
  }

  std::vector<std::string> Values(std::string_view name) const {
    std::vector<std::string> values;
    for (const HeaderField& field : head_.headers) {
      if (EqualsIgnoreCase(field.name, name)) values.emplace_back(field.value);
    }
    return values;
  }

  ListenerConfig config_;
  DownstreamInfo downstream_;
  std::string_view authority_ = "example.com:8080";
  HttpVersion version_;
  Random random_{1};
  std::optional<Forwarding> forwarding_;
  RequestHead head_;
};

TEST_F(ForwardingTest, SaysWhoAsksAndThatAProxyWasThere) {
  Forward();
  EXPECT_THAT(Values("X-Forwarded-For"), ElementsAre("192.0.2.1"));
  EXPECT_THAT(Values("X-Forwarded-Proto"), ElementsAre("http"));
  EXPECT_THAT(Values("X-Forwarded-Host"), ElementsAre("example.com:8080"));
  EXPECT_THAT(Values("Via"), ElementsAre("1.1 sluice"));
  EXPECT_TRUE(Values("Forwarded").empty());
  SetPeer("192.0.2.1", true);
  Forward();
  EXPECT_THAT(Values("X-Forwarded-Proto"), ElementsAre("https"));
}

TEST_F(ForwardingTest, KeepsTheOtherFields) {
  Forward({{"Accept", "*/*"}, {"X-Forwarded", "x"}, {"Cookie", "a=b"}});
  EXPECT_THAT(Values("Accept"), ElementsAre("*/*"));
  EXPECT_THAT(Values("X-Forwarded"), ElementsAre("x"));
  EXPECT_THAT(Values("Cookie"), ElementsAre("a=b"));
}

TEST_F(ForwardingTest, AClientThatIsNotTrustedCannotForgeThem) {
  Forward({{"x-forwarded-for", "10.0.0.1"},
           {"X-Forwarded-For", "10.0.0.2"},
           {"X-Forwarded-Proto", "https"},
           {"X-Forwarded-Host", "admin"},
           {"X-Forwarded-Port", "1"},
           {"x-forwarded-prefix", "/"},
           {"Forwarded", "for=10.0.0.1"}});
  EXPECT_THAT(Values("X-Forwarded-For"), ElementsAre("192.0.2.1"));
  EXPECT_THAT(Values("X-Forwarded-Proto"), ElementsAre("http"));
  EXPECT_THAT(Values("X-Forwarded-Host"), ElementsAre("example.com:8080"));
  EXPECT_TRUE(Values("X-Forwarded-Port").empty());
  EXPECT_TRUE(Values("X-Forwarded-Prefix").empty());
  EXPECT_TRUE(Values("Forwarded").empty());
}

TEST_F(ForwardingTest, ATrustedClientsFieldsAreExtendedOrKept) {
  config_.trust_forwarded = true;
  config_.forwarded = true;
  Forward({{"x-forwarded-for", "10.0.0.1"},
           {"X-Forwarded-For", "10.0.0.2, 10.0.0.3"},
           {"X-Forwarded-Proto", "https"},
           {"X-Forwarded-Host", "public.example"},
           {"X-Forwarded-Port", "443"},
           {"Forwarded", "for=10.0.0.1"}});
  EXPECT_THAT(Values("X-Forwarded-For"), ElementsAre("10.0.0.1, 10.0.0.2, 10.0.0.3, 192.0.2.1"));
  EXPECT_THAT(Values("X-Forwarded-Proto"), ElementsAre("https"));
  EXPECT_THAT(Values("X-Forwarded-Host"), ElementsAre("public.example"));
  EXPECT_THAT(Values("X-Forwarded-Port"), ElementsAre("443"));
  EXPECT_THAT(Values("Forwarded"),
              ElementsAre("for=10.0.0.1, for=192.0.2.1;host=\"example.com:8080\";proto=http"));
}

TEST_F(ForwardingTest, ATrustedClientWithoutTheFieldsGetsOurs) {
  config_.trust_forwarded = true;
  Forward({{"X-Forwarded-For", ""}});
  EXPECT_THAT(Values("X-Forwarded-For"), ElementsAre("192.0.2.1"));
  EXPECT_THAT(Values("X-Forwarded-Proto"), ElementsAre("http"));
  EXPECT_THAT(Values("X-Forwarded-Host"), ElementsAre("example.com:8080"));
}

TEST_F(ForwardingTest, WritesAddressesAsEachFieldWantsThem) {
  config_.forwarded = true;
  authority_ = "example.com";
  for (const char* peer : {"[2001:db8::1]", "2001:db8::1", "[2001:db8::1%eth0]"}) {
    SetPeer(peer);
    Forward();
    EXPECT_THAT(Values("X-Forwarded-For"), ElementsAre("2001:db8::1")) << peer;
    EXPECT_THAT(Values("Forwarded"),
                ElementsAre("for=\"[2001:db8::1]\";host=example.com;proto=http"))
        << peer;
  }
  SetPeer("192.0.2.1", true);
  Forward();
  EXPECT_THAT(Values("Forwarded"), ElementsAre("for=192.0.2.1;host=example.com;proto=https"));
}

TEST_F(ForwardingTest, QuotesAHostThatIsNoToken) {
  config_.forwarded = true;
  authority_ = "a\"b\\c";
  Forward();
  EXPECT_THAT(Values("Forwarded"), ElementsAre("for=192.0.2.1;host=\"a\\\"b\\\\c\";proto=http"));
}

TEST_F(ForwardingTest, AUnixClientHasNoAddress) {
  config_.forwarded = true;
  downstream_.peer = "unix:";
  downstream_.peer_host = downstream_.peer;
  Forward({{"X-Forwarded-For", "10.0.0.1"}});
  EXPECT_TRUE(Values("X-Forwarded-For").empty());
  EXPECT_THAT(Values("Forwarded"), ElementsAre("for=unknown;host=\"example.com:8080\";proto=http"));
  config_.trust_forwarded = true;
  Forward({{"X-Forwarded-For", "10.0.0.1"}});
  EXPECT_THAT(Values("X-Forwarded-For"), ElementsAre("10.0.0.1"));
}

TEST_F(ForwardingTest, ARequestWithoutAHostHasNone) {
  config_.forwarded = true;
  authority_ = "";
  Forward({{"X-Forwarded-Host", "forged"}});
  EXPECT_TRUE(Values("X-Forwarded-Host").empty());
  EXPECT_THAT(Values("Forwarded"), ElementsAre("for=192.0.2.1;proto=http"));
}

TEST_F(ForwardingTest, ViaNamesTheVersionReceivedAndIsAppended) {
  version_ = {1, 0};
  Forward();
  EXPECT_THAT(Values("Via"), ElementsAre("1.0 sluice"));
  version_ = {2, 0};
  Forward({{"Via", "1.1 a"}, {"Via", "1.0 b, 1.1 sluice"}});
  EXPECT_THAT(Values("Via"), ElementsAre("1.1 a, 1.0 b, 1.1 sluice, 2 sluice"));
  version_ = {1, 1};
  config_.via = "edge-1";
  Forward();
  EXPECT_THAT(Values("Via"), ElementsAre("1.1 edge-1"));
  config_.via = "";
  Forward({{"Via", "1.1 a"}});
  EXPECT_THAT(Values("Via"), ElementsAre("1.1 a"));
}

constexpr char kUuid[] = "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}";

TEST_F(ForwardingTest, ASaneRequestIdIsKept) {
  const std::string longest(128, 'x');
  for (std::string_view id :
       {std::string_view("abc"), std::string_view("!~"), std::string_view(longest)}) {
    Forward({{"x-request-id", id}, {"X-Request-Id", "second"}});
    EXPECT_THAT(Values("X-Request-Id"), ElementsAre(std::string(id)));
  }
}

TEST_F(ForwardingTest, AnyOtherRequestIdIsReplaced) {
  const std::string too_long(129, 'x');
  for (std::string_view id :
       {std::string_view(""), std::string_view("a b"), std::string_view("a\tb"),
        std::string_view("a\x7f"), std::string_view("\xc3\xa9"), std::string_view(too_long)}) {
    Forward({{"X-Request-Id", id}});
    EXPECT_THAT(Values("X-Request-Id"), ElementsAre(MatchesRegex(kUuid))) << id;
  }
}

TEST_F(ForwardingTest, NewRequestIdsAreUuidsAndDiffer) {
  std::set<std::string> ids;
  for (int i = 0; i < 1000; ++i) {
    Forward();
    const std::vector<std::string> values = Values("X-Request-Id");
    ASSERT_THAT(values, ElementsAre(MatchesRegex(kUuid)));
    ids.insert(values.front());
  }
  EXPECT_EQ(ids.size(), 1000u);
}

// --- Responses.

TEST(ForwardingResponseTest, GetsVia) {
  Forwarding forwarding{ListenerConfig()};
  ResponseHead head;
  forwarding.ApplyToResponse(head);
  EXPECT_EQ(head.headers.Value("Via"), "1.1 sluice");

  head.Reset();
  head.version = {1, 0};
  head.headers.Add("via", "1.1 cache");
  forwarding.ApplyToResponse(head);
  EXPECT_EQ(head.headers.size(), 1u);
  EXPECT_EQ(head.headers.Value("Via"), "1.1 cache, 1.0 sluice");
}

TEST(ForwardingResponseTest, GetsNothingWithoutAPseudonym) {
  ListenerConfig config;
  config.via = "";
  Forwarding forwarding(config);
  ResponseHead head;
  forwarding.ApplyToResponse(head);
  EXPECT_TRUE(head.headers.empty());
}

// --- Max-Forwards.

bool Decrement(RequestHead& head, Method method, std::string_view value) {
  head.Reset();
  head.method = method;
  head.headers.Add("Max-Forwards", value);
  return DecrementMaxForwards(head);
}

TEST(MaxForwardsTest, IsDecremented) {
  RequestHead head;
  EXPECT_TRUE(Decrement(head, Method::kOptions, "10"));
  EXPECT_EQ(head.headers.Value("Max-Forwards"), "9");
  EXPECT_TRUE(Decrement(head, Method::kTrace, "1"));
  EXPECT_EQ(head.headers.Value("Max-Forwards"), "0");
  EXPECT_FALSE(Decrement(head, Method::kTrace, "0"));
  EXPECT_FALSE(Decrement(head, Method::kOptions, "000"));
  EXPECT_TRUE(Decrement(head, Method::kOptions, "99999999999999999999999"));
  EXPECT_EQ(head.headers.Value("Max-Forwards"), "18446744073709551614");
}

TEST(MaxForwardsTest, IsNotAskedOfOthers) {
  RequestHead head;
  EXPECT_TRUE(Decrement(head, Method::kGet, "0"));
  EXPECT_EQ(head.headers.Value("Max-Forwards"), "0");
  for (std::string_view value : {"", "-1", "1x", "x", "0x0", " 0"}) {
    EXPECT_TRUE(Decrement(head, Method::kTrace, value)) << value;
    EXPECT_EQ(head.headers.Value("Max-Forwards"), value);
  }
  head.Reset();
  head.method = Method::kTrace;
  EXPECT_TRUE(DecrementMaxForwards(head));
}

TEST(MaxForwardsTest, TheLastRecipientAnswers) {
  SimLoop loop;
  FakeStream options(loop, "OPTIONS", "*");
  AnswerAsRecipient(options, loop);
  EXPECT_TRUE(options.ended());
  EXPECT_EQ(options.status(), 204);

  FakeStream trace(loop, "TRACE", "/x?y");
  trace.request().headers.Add("Max-Forwards", "0");
  trace.request().headers.Add("Cookie", "secret");
  trace.request().headers.Add("authorization", "secret");
  trace.request().headers.Add("Proxy-Authorization", "secret");
  trace.request().headers.Add("X-Test", "1");
  loop.Dispatch([&] { AnswerAsRecipient(trace, loop); });
  EXPECT_TRUE(trace.ended());
  EXPECT_EQ(trace.status(), 200);
  EXPECT_EQ(trace.head()->Value("Content-Type"), "message/http");
  EXPECT_EQ(trace.body(),
            "TRACE /x?y HTTP/1.1\r\nHost: sluice.test\r\nMax-Forwards: 0\r\nX-Test: 1\r\n\r\n");
}

}  // namespace
}  // namespace sluice
