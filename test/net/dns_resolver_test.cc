// Names looked up by real packets, of a name server that does as it is told.
#include "net/dns_resolver.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "net/dns_reply.h"
#include "net/uv_loop.h"
#include "support/dns_server.h"

namespace sluice {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

class DnsResolverTest : public ::testing::Test {
 protected:
  DnsResolverTest() { Open(milliseconds(2000), 2); }
  void Open(Duration timeout, uint32_t tries) {
    resolver = DnsResolver::Create(loop, {{server.address()}, timeout, tries}).value();
  }
  Result<DnsAnswer> Ask(const std::string& name, DnsRecords records = DnsRecords::kAddress) {
    std::optional<Result<DnsAnswer>> got;
    const auto lookup = resolver->Resolve({name, 80, records}, [&](Result<DnsAnswer> answer) {
      EXPECT_FALSE(got) << "told twice";
      got = std::move(answer);
      loop.Stop();
    });
    EXPECT_FALSE(got) << "told before Resolve returned";
    loop.Run();
    return got.value_or(Fail("nothing came"));
  }
  static std::vector<std::string> Addresses(const Result<DnsAnswer>& answer) {
    std::vector<std::string> addresses;
    if (!answer) return {answer.error().message};
    for (const DnsAnswer::Target& target : answer->targets) addresses.push_back(target.address);
    return addresses;
  }

  UvLoop loop{1};
  DnsServer server;
  std::unique_ptr<DnsResolver> resolver;
};

TEST_F(DnsResolverTest, FindsBothKindsOfAddresses) {
  server.Set("app.test", 1, {DnsA(60, "10.0.0.2"), DnsA(30, "10.0.0.1")});
  server.Set("app.test", 28, {DnsAaaa(90, "2001:db8::1")});
  const auto answer = Ask("app.test");
  EXPECT_THAT(Addresses(answer), ElementsAre("10.0.0.1:80", "10.0.0.2:80", "[2001:db8::1]:80"));
  EXPECT_EQ(answer->ttl, seconds(30));
}

TEST_F(DnsResolverTest, OrOnlyOneKind) {
  server.Set("app.test", 1, {DnsA(60, "10.0.0.1")});
  server.Set("app.test", 28, {DnsAaaa(60, "2001:db8::1")});
  EXPECT_THAT(Addresses(Ask("app.test", DnsRecords::kIpv4)), ElementsAre("10.0.0.1:80"));
  EXPECT_THAT(Addresses(Ask("app.test", DnsRecords::kIpv6)), ElementsAre("[2001:db8::1]:80"));
}

TEST_F(DnsResolverTest, OneKindIsEnough) {
  server.Set("app.test", 1, {DnsA(60, "10.0.0.1")});
  EXPECT_THAT(Addresses(Ask("app.test")), ElementsAre("10.0.0.1:80"));
}

TEST_F(DnsResolverTest, FollowsServices) {
  server.Set("_http._tcp.app.test", 33,
             {DnsSrv(60, 10, 5, 8080, "one.test"), DnsSrv(20, 20, 0, 8081, "two.test"),
              DnsSrv(60, 30, 0, 1, "gone.test")});
  server.Set("one.test", 1, {DnsA(60, "10.0.0.1"), DnsA(60, "10.0.0.2")});
  server.Set("two.test", 1, {DnsA(60, "10.0.0.3")});
  const auto answer = Ask("_http._tcp.app.test", DnsRecords::kSrv);
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_THAT(answer->targets, ElementsAre(DnsAnswer::Target{"10.0.0.1:8080", 5, 10},
                                           DnsAnswer::Target{"10.0.0.2:8080", 5, 10},
                                           DnsAnswer::Target{"10.0.0.3:8081", 0, 20}));
  EXPECT_EQ(answer->ttl, seconds(20));
}

TEST_F(DnsResolverTest, SaysWhatIsWrong) {
  EXPECT_THAT(Addresses(Ask("no.test")), ElementsAre(HasSubstr("no.test: ")));
  EXPECT_THAT(Addresses(Ask("_x._tcp.test", DnsRecords::kSrv)),
              ElementsAre(HasSubstr("_x._tcp.test: ")));
  server.answer = [](std::string_view query, bool) { return DnsReply(query, {}, 2); };
  EXPECT_FALSE(Ask("app.test"));
}

TEST_F(DnsResolverTest, ASilentServerIsGivenUp) {
  server.answer = [](std::string_view, bool) { return std::string(); };
  Open(milliseconds(30), 2);
  EXPECT_THAT(Addresses(Ask("app.test")), ElementsAre(HasSubstr("app.test: ")));
  EXPECT_GE(server.queries(), 2);
}

TEST_F(DnsResolverTest, ALongAnswerComesOverTcp) {
  std::vector<DnsRecord> many;
  for (int i = 0; i < 200; ++i) many.push_back(DnsA(60, "10.0.1." + std::to_string(i)));
  server.Set("app.test", 1, many);
  EXPECT_THAT(Addresses(Ask("app.test", DnsRecords::kIpv4)), SizeIs(200));
}

TEST_F(DnsResolverTest, GarbageIsNoAnswer) {
  Open(milliseconds(50), 1);
  for (const std::string& bytes :
       {std::string("x"), std::string(12, '\0'), std::string(500, '\xff')}) {
    server.answer = [=](std::string_view query, bool) {
      return bytes.size() < 3 ? bytes : std::string(query.substr(0, 2)) + bytes.substr(2);
    };
    EXPECT_FALSE(Ask("app.test"));
    EXPECT_FALSE(Ask("_a._tcp.test", DnsRecords::kSrv));
  }
}

TEST_F(DnsResolverTest, AWithdrawnLookupTellsNothing) {
  server.Set("app.test", 1, {DnsA(60, "10.0.0.1")});
  auto lookup = resolver->Resolve({"app.test", 80, DnsRecords::kIpv4},
                                  [](const Result<DnsAnswer>&) { FAIL() << "it was withdrawn"; });
  lookup.reset();
  EXPECT_THAT(Addresses(Ask("app.test", DnsRecords::kIpv4)), ElementsAre("10.0.0.1:80"));
}

TEST_F(DnsResolverTest, MayBeDestroyedWithLookupsPending) {
  server.answer = [](std::string_view, bool) { return std::string(); };
  const auto lookup =
      resolver->Resolve({"app.test", 80, DnsRecords::kAddress},
                        [](const Result<DnsAnswer>&) { FAIL() << "the resolver is gone"; });
  resolver.reset();
  loop.Post([this] { loop.Stop(); });
  loop.Run();
}

TEST_F(DnsResolverTest, TheSystemKnowsLocalhost) {
  resolver = DnsResolver::Create(loop, {}).value();
  EXPECT_THAT(Addresses(Ask("localhost", DnsRecords::kIpv4)), ElementsAre("127.0.0.1:80"));
}

// ---- the parser

TEST(SrvReply, RefusesWhatIsCutShort) {
  std::string query(12, '\0');
  query[5] = 1;
  query += DnsName("a.test") + std::string("\0\x21\0\x01", 4);
  const std::string whole = DnsReply(query, {DnsSrv(9, 1, 2, 3, "host.test")});
  const auto records = ParseSrvReply(whole);
  ASSERT_TRUE(records);
  ASSERT_THAT(*records, SizeIs(1));
  EXPECT_EQ(records->front().target, "host.test");
  EXPECT_EQ(records->front().port, 3);
  EXPECT_EQ(records->front().ttl, 9u);
  for (size_t size = 0; size < whole.size(); ++size) {
    EXPECT_FALSE(ParseSrvReply(std::string_view(whole).substr(0, size))) << size;
  }
}

TEST(SrvReply, APointerNeverLeadsInACircle) {
  std::string message(12, '\0');
  message[7] = 1;         // one answer
  message += "\xc0\x0c";  // a name that points to itself
  message += std::string(10, '\0');
  EXPECT_FALSE(ParseSrvReply(message));
}

TEST(SrvReply, NoServiceIsNoRecord) {
  std::string query(12, '\0');
  query[5] = 1;
  query += DnsName("a.test") + std::string("\0\x21\0\x01", 4);
  const auto records = ParseSrvReply(DnsReply(query, {DnsSrv(9, 0, 0, 0, "")}));
  ASSERT_TRUE(records);
  EXPECT_THAT(*records, SizeIs(0));
}

}  // namespace
}  // namespace sluice
