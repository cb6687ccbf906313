// Names looked up by real packets, of a name server that does as it is told.
#include "net/dns_resolver.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
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
using testing::IsEmpty;
using testing::SizeIs;
using testing::StartsWith;

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
  EXPECT_THAT(answer->targets, ElementsAre(DnsAnswer::Target{"10.0.0.1:8080", 5, 10, "one.test"},
                                           DnsAnswer::Target{"10.0.0.2:8080", 5, 10, "one.test"},
                                           DnsAnswer::Target{"10.0.0.3:8081", 0, 20, "two.test"}));
  EXPECT_EQ(answer->ttl, seconds(20));
}

TEST_F(DnsResolverTest, SaysWhatIsWrong) {
  EXPECT_THAT(Addresses(Ask("no.test")), ElementsAre(HasSubstr("no.test: ")));
  EXPECT_THAT(Addresses(Ask("_x._tcp.test", DnsRecords::kSrv)),
              ElementsAre(HasSubstr("_x._tcp.test: ")));
  server.SetAnswer([](std::string_view query, bool) { return DnsReply(query, {}, 2); });
  EXPECT_FALSE(Ask("app.test"));
}

TEST_F(DnsResolverTest, ASilentServerIsGivenUp) {
  server.SetAnswer([](std::string_view, bool) { return std::string(); });
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
    server.SetAnswer([=](std::string_view query, bool) {
      return bytes.size() < 3 ? bytes : std::string(query.substr(0, 2)) + bytes.substr(2);
    });
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
  server.SetAnswer([](std::string_view, bool) { return std::string(); });
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

TEST_F(DnsResolverTest, OneKindIsAnAnswerWhichSaysWhatBecameOfTheOther) {
  for (const int code : {2, 3, -1}) {
    server.SetAnswer([=](std::string_view query, bool) {
      const bool ipv4 = query[query.size() - 3] == 1;
      if (ipv4) return DnsReply(query, {DnsA(60, "10.0.0.1")});
      return code < 0 ? std::string() : DnsReply(query, {}, code);
    });
    Open(milliseconds(200), 1);
    const auto answer = Ask("app.test");
    EXPECT_THAT(Addresses(answer), ElementsAre("10.0.0.1:80")) << code;
    ASSERT_TRUE(answer);
    if (code == 3) {
      EXPECT_THAT(answer->unknown, IsEmpty()) << "it is known that there is none";
      continue;
    }
    ASSERT_THAT(answer->unknown, SizeIs(1)) << code;
    EXPECT_EQ(answer->unknown[0].host, "app.test");
    EXPECT_TRUE(answer->unknown[0].ipv6);
    EXPECT_THAT(answer->unknown[0].reason, StartsWith("app.test: the name server ")) << code;
  }
}

TEST_F(DnsResolverTest, TheTtlOfAnAliasCounts) {
  server.SetAnswer([](std::string_view query, bool) {
    std::string reply = DnsReply(query, {{5, 7, DnsName("other.test")}, DnsA(60, "10.0.0.1")});
    const size_t second = reply.rfind(std::string("\xc0\x0c\0\x01", 4));
    reply.replace(second, 2, DnsName("other.test"));
    return reply;
  });
  const auto answer = Ask("app.test", DnsRecords::kIpv4);
  EXPECT_THAT(Addresses(answer), ElementsAre("10.0.0.1:80"));
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->ttl, seconds(7));
}

TEST_F(DnsResolverTest, AnAnswerToAnotherQuestionIsNone) {
  Open(milliseconds(30), 1);
  server.SetAnswer([](std::string_view query, bool) {
    std::string reply = DnsReply(query, {DnsA(60, "10.6.6.6")});
    reply[0] = static_cast<char>(reply[0] ^ 0x55);
    return reply;
  });
  EXPECT_FALSE(Ask("app.test", DnsRecords::kIpv4));
}

TEST_F(DnsResolverTest, AHugeAnswerIsCutTheSameWayEveryTime) {
  std::vector<DnsRecord> many;
  for (int i = 0; i < 4000; ++i) {
    many.push_back(DnsA(60, "10.1." + std::to_string(i / 250) + "." + std::to_string(i % 250)));
  }
  server.Set("app.test", 1, many);
  const auto first = Addresses(Ask("app.test", DnsRecords::kIpv4));
  EXPECT_THAT(first, SizeIs(1024));
  std::reverse(many.begin(), many.end());
  server.Set("app.test", 1, many);
  EXPECT_EQ(Addresses(Ask("app.test", DnsRecords::kIpv4)), first);
}

// The answer comes over TCP, and the server closes that connection while the hosts are asked for.
TEST_F(DnsResolverTest, AThousandServicesAreBoundedAndNoneIsLost) {
  Open(milliseconds(2000), 1);
  std::vector<DnsRecord> many;
  for (int i = 0; i < 1000; ++i) {
    many.push_back(DnsSrv(60, 0, 1, 80, "h" + std::to_string(i) + ".test"));
    server.Set("h" + std::to_string(i) + ".test", 1,
               {DnsA(60, "10.1." + std::to_string(i / 250) + "." + std::to_string(i % 250))});
  }
  server.CloseAfterAnswers();
  server.Set("_http._tcp.test", 33, many);
  const auto answer = Ask("_http._tcp.test", DnsRecords::kSrv);
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_THAT(answer->unknown, IsEmpty());
  EXPECT_EQ(answer->targets.size(), 256U);
}

TEST_F(DnsResolverTest, SaysWhoWasAskedAndWhatCameOfIt) {
  EXPECT_THAT(Addresses(Ask("no.test")), ElementsAre("no.test: no such name"));
  Open(milliseconds(30), 1);
  server.SetAnswer([](std::string_view, bool) { return std::string(); });
  EXPECT_THAT(Addresses(Ask("app.test")),
              ElementsAre("app.test: the name server " + server.address() + " did not answer"));
}

TEST_F(DnsResolverTest, TheTimeoutIsThatOfEveryTry) {
  server.SetAnswer([](std::string_view, bool) { return std::string(); });
  Open(milliseconds(50), 5);
  const TimePoint begin = loop.Now();
  EXPECT_FALSE(Ask("app.test", DnsRecords::kIpv4));
  EXPECT_LE(loop.Now() - begin, milliseconds(600));
}

TEST_F(DnsResolverTest, ALookupMayGoInItsOwnCallback) {
  server.Set("app.test", 1, {DnsA(60, "10.0.0.1")});
  std::unique_ptr<Resolver::Lookup> lookup;
  int told = 0;
  lookup = resolver->Resolve({"app.test", 80, DnsRecords::kIpv4}, [&](const Result<DnsAnswer>&) {
    ++told;
    lookup.reset();
    loop.Stop();
  });
  loop.Run();
  EXPECT_EQ(told, 1);
}

TEST_F(DnsResolverTest, AnAnswerThatIsOnItsWayIsNotToldWhenTheResolverIsGone) {
  // A name that is refused without asking anybody.
  const auto lookup =
      resolver->Resolve({"a..test", 80, DnsRecords::kSrv},
                        [](const Result<DnsAnswer>&) { FAIL() << "the resolver is gone"; });
  resolver.reset();
  loop.Post([this] { loop.Stop(); });
  loop.Run();
}

TEST_F(DnsResolverTest, SaysWhatIsMissingOfAService) {
  server.SetAnswer([](std::string_view query, bool) {
    const std::string text(query);
    if (text.find("_http") != std::string::npos) {
      return DnsReply(query, {DnsSrv(60, 0, 1, 80, "one.test"), DnsSrv(60, 0, 1, 80, "two.test")});
    }
    if (text.find("two") != std::string::npos) return std::string();
    return DnsReply(query, query[query.size() - 3] == 1
                               ? std::vector<DnsRecord>{DnsA(60, "10.0.0.1")}
                               : std::vector<DnsRecord>{});
  });
  Open(milliseconds(200), 1);
  const auto answer = Ask("_http._tcp.test", DnsRecords::kSrv);
  EXPECT_THAT(Addresses(answer), ElementsAre("10.0.0.1:80"));
  ASSERT_TRUE(answer);
  const std::string reason =
      "_http._tcp.test: two.test: the name server " + server.address() + " did not answer";
  EXPECT_THAT(answer->unknown, ElementsAre(DnsAnswer::Unknown{"two.test", false, reason},
                                           DnsAnswer::Unknown{"two.test", true, reason}));
}

TEST_F(DnsResolverTest, AHostOfAServiceThatDoesNotExistIsNotMissing) {
  server.Set("_http._tcp.test", 33,
             {DnsSrv(60, 0, 1, 80, "one.test"),
              DnsSrv(60, 0, 1, 80, "gone.test"),
              {33, 60, std::string("\0\0\0\1\0\x50\2a.\4test\0", 15)}});
  server.Set("one.test", 1, {DnsA(60, "10.0.0.1")});
  const auto answer = Ask("_http._tcp.test", DnsRecords::kSrv);
  EXPECT_THAT(Addresses(answer), ElementsAre("10.0.0.1:80"));
  ASSERT_TRUE(answer);
  EXPECT_THAT(answer->unknown, IsEmpty());
}

// c-ares says of port 0 that there is no such service, which would be one unknown host for ever.
TEST_F(DnsResolverTest, AServiceOnPortZeroIsLeftOut) {
  server.Set("_http._tcp.test", 33,
             {DnsSrv(60, 0, 1, 80, "one.test"), DnsSrv(60, 0, 1, 0, "two.test")});
  server.Set("one.test", 1, {DnsA(60, "10.0.0.1")});
  server.Set("two.test", 1, {DnsA(60, "10.0.0.2")});
  const auto answer = Ask("_http._tcp.test", DnsRecords::kSrv);
  EXPECT_THAT(Addresses(answer), ElementsAre("10.0.0.1:80"));
  ASSERT_TRUE(answer);
  EXPECT_THAT(answer->unknown, IsEmpty());
}

TEST_F(DnsResolverTest, OfOneAddressTheFirstPriorityAndTheLargestWeightCount) {
  server.Set("_http._tcp.test", 33,
             {DnsSrv(60, 20, 1, 80, "one.test"), DnsSrv(60, 10, 2, 80, "two.test"),
              DnsSrv(60, 10, 9, 80, "three.test")});
  for (const std::string host : {"one.test", "two.test", "three.test"}) {
    server.Set(host, 1, {DnsA(60, "10.0.0.1")});
  }
  const auto answer = Ask("_http._tcp.test", DnsRecords::kSrv);
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_THAT(answer->targets, ElementsAre(DnsAnswer::Target{"10.0.0.1:80", 9, 10, "three.test"}));
}

TEST_F(DnsResolverTest, OfTooManyAddressesTheFirstPrioritiesAreTaken) {
  const auto set = [&](const std::string& host, int net) {
    std::vector<DnsRecord> many;
    for (int i = 0; i < 800; ++i) {
      many.push_back(
          DnsA(60, "10." + std::to_string(net + i / 250) + ".0." + std::to_string(i % 250)));
    }
    server.Set(host, 1, many);
  };
  server.Set("_http._tcp.test", 33,
             {DnsSrv(60, 2, 1, 80, "low.test"), DnsSrv(60, 1, 1, 80, "high.test")});
  set("low.test", 10);
  set("high.test", 20);
  const auto answer = Ask("_http._tcp.test", DnsRecords::kSrv);
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_THAT(answer->targets, SizeIs(1024));
  EXPECT_EQ(std::count_if(answer->targets.begin(), answer->targets.end(),
                          [](const auto& target) { return target.priority == 1; }),
            800);
}

TEST_F(DnsResolverTest, AnyTtlIsOne) {
  const std::vector<std::pair<uint32_t, uint32_t>> all = {
      {0, 0}, {INT32_MAX, INT32_MAX}, {0x80000000U, 0}, {UINT32_MAX, 0}};
  for (const auto& [received, ttl] : all) {
    server.Set("app.test", 1, {DnsA(received, "10.0.0.1")});
    server.Set("_http._tcp.test", 33, {DnsSrv(received, 0, 1, 80, "app.test")});
    for (const auto& answer : {Ask("app.test"), Ask("_http._tcp.test", DnsRecords::kSrv)}) {
      ASSERT_TRUE(answer) << answer.error().message;
      EXPECT_EQ(answer->ttl, seconds(ttl)) << received;
    }
  }
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

// A header with so many answers, and no question.
std::string AnswersOf(size_t count, const std::string& records) {
  std::string message(12, '\0');
  message[6] = static_cast<char>(count >> 8);
  message[7] = static_cast<char>(count & 0xff);
  return message + records;
}

std::string SrvRecordOf(const DnsRecord& record) {
  std::string bytes = DnsName("a") + std::string("\0\x21\0\x01", 4);
  for (const int shift : {24, 16, 8, 0}) bytes += static_cast<char>(record.ttl >> shift & 0xff);
  bytes += std::string(1, '\0') + static_cast<char>(record.data.size());
  return bytes + record.data;
}

TEST(SrvReply, PointersAreFollowedSoFar) {
  for (const size_t pointers : {100, 200}) {
    // A name, pointers each to the one before, and a record whose name is the last of them.
    std::string chain = DnsName("b");
    size_t to = 12 + 3 + 10;  // after the header and the head of the record that has them as data
    for (size_t i = 0; i < pointers; ++i) {
      const size_t at = 12 + 3 + 10 + chain.size();
      chain += static_cast<char>(0xc0 | to >> 8);
      chain += static_cast<char>(to & 0xff);
      to = at;
    }
    std::string text = DnsName("a") + std::string("\0\x10\0\x01\0\0\0\0", 8);
    text += static_cast<char>(chain.size() >> 8);
    text += static_cast<char>(chain.size() & 0xff);
    std::string last(1, static_cast<char>(0xc0 | to >> 8));
    last += static_cast<char>(to & 0xff);
    const std::string message =
        AnswersOf(2, text + chain + last + SrvRecordOf(DnsSrv(9, 1, 2, 3, "host.test")).substr(3));
    const auto records = ParseSrvReply(message);
    EXPECT_EQ(records.has_value(), pointers == 100) << pointers;
    if (records) {
      EXPECT_THAT(*records, SizeIs(1)) << pointers;
    }
  }
}

TEST(SrvReply, ATtlWithItsHighestBitIsZero) {
  const auto records =
      ParseSrvReply(AnswersOf(1, SrvRecordOf(DnsSrv(0x80000001U, 1, 2, 3, "host.test"))));
  ASSERT_TRUE(records);
  ASSERT_THAT(*records, SizeIs(1));
  EXPECT_EQ(records->front().ttl, 0U);
}

TEST(SrvReply, OfTooManyTheFirstPrioritiesAreTaken) {
  std::string all;
  for (uint16_t i = 0; i < 300; ++i) {
    const uint16_t priority = 300 - i;
    all += SrvRecordOf(DnsSrv(9, priority, 1, 80, "host.test"));
  }
  const auto records = ParseSrvReply(AnswersOf(300, all));
  ASSERT_TRUE(records);
  ASSERT_THAT(*records, SizeIs(kMaxSrvRecords));
  EXPECT_EQ(records->front().priority, 1);
  EXPECT_EQ(records->back().priority, kMaxSrvRecords);
}

TEST(SrvReply, PortZeroIsNoRecord) {
  const auto records =
      ParseSrvReply(AnswersOf(2, SrvRecordOf(DnsSrv(9, 1, 2, 0, "host.test")) +
                                     SrvRecordOf(DnsSrv(9, 1, 2, 3, "host.test"))));
  ASSERT_TRUE(records);
  ASSERT_THAT(*records, SizeIs(1));
  EXPECT_EQ(records->front().port, 3);
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
