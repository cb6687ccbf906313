#include "http/h2_head.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "support/sim_loop.h"

namespace sluice {
namespace {

using Fields = std::vector<std::pair<std::string, std::string>>;

// A request as its fields come, and what they were taken for.
class H2HeadTest : public ::testing::Test {
 protected:
  std::optional<H1Error> Read(const Fields& fields, bool end_stream = true) {
    head_.Reset();
    state_ = {};
    for (const auto& [name, value] : fields) {
      AddH2RequestField(head_, state_, limits_, name, value);
    }
    return FinishH2Request(head_, state_, limits_, tls_, end_stream);
  }

  std::string Refusal(const Fields& fields, bool end_stream = true) {
    const std::optional<H1Error> error = Read(fields, end_stream);
    return error ? std::to_string(error->status) + " " + std::string(error->detail) : "";
  }

  static Fields Get(Fields more = {}) {
    Fields fields = {
        {":method", "GET"}, {":scheme", "http"}, {":authority", "a.example"}, {":path", "/x?y=1"}};
    fields.insert(fields.end(), more.begin(), more.end());
    return fields;
  }

  static Fields WebSocket(Fields more = {}) {
    Fields fields = {{":method", "CONNECT"},
                     {":protocol", "websocket"},
                     {":scheme", "https"},
                     {":authority", "a.example"},
                     {":path", "/chat?a=b"}};
    fields.insert(fields.end(), more.begin(), more.end());
    return fields;
  }

  static Fields With(const std::string& name, const std::string& value) {
    Fields fields = Get();
    for (auto& field : fields) {
      if (field.first == name) field.second = value;
    }
    return fields;
  }

  HttpLimits limits_;
  bool tls_ = false;
  RequestHead head_;
  H2BlockState state_;
};

TEST_F(H2HeadTest, ARequest) {
  ASSERT_FALSE(Read(Get({{"accept", "*/*"}, {"te", "trailers"}})));
  EXPECT_EQ(head_.method, Method::kGet);
  EXPECT_EQ(head_.method_name, "GET");
  EXPECT_EQ(head_.authority, "a.example");
  EXPECT_EQ(head_.path, "/x?y=1");
  EXPECT_EQ(head_.scheme, "http");
  EXPECT_EQ(head_.version.major, 2);
  EXPECT_TRUE(head_.accepts_trailers);
  EXPECT_EQ(head_.headers.size(), 1U) << "te is of this connection";
  EXPECT_EQ(head_.headers.Value("accept"), "*/*");
}

TEST_F(H2HeadTest, TheSchemeIsHowTheClientReachedUs) {
  tls_ = true;
  ASSERT_FALSE(Read(With(":scheme", "http")));
  EXPECT_EQ(head_.scheme, "https");
}

// RFC 9113 8.2.3.
TEST_F(H2HeadTest, CrumbsOfCookiesAreOneFieldAgain) {
  ASSERT_FALSE(
      Read(Get({{"cookie", "a=1"}, {"accept", "x"}, {"cookie", "b=2"}, {"cookie", "c=3"}})));
  EXPECT_EQ(head_.headers.Value(HeaderId::kCookie), "a=1; b=2; c=3");
  EXPECT_EQ(head_.headers.size(), 2U);
}

// RFC 9113 8.3.1.
TEST_F(H2HeadTest, HostStandsInForAMissingAuthority) {
  ASSERT_FALSE(
      Read({{":method", "GET"}, {":scheme", "http"}, {":path", "/"}, {"host", "b.example"}}));
  EXPECT_EQ(head_.authority, "b.example");
  EXPECT_TRUE(head_.headers.empty());
}

TEST_F(H2HeadTest, HostAndAuthorityMustAgree) {
  EXPECT_EQ(Refusal(Get({{"host", "A.EXAMPLE"}})), "");
  EXPECT_EQ(Refusal(Get({{"host", "b.example"}})), "400 host");
  EXPECT_EQ(Refusal(Get({{"host", "a.example"}, {"host", "b.example"}})), "400 host");
}

TEST_F(H2HeadTest, WhatHttp1WouldReadDifferentlyIsMalformed) {
  EXPECT_EQ(Refusal(With(":method", "GE T")), "400 method");
  EXPECT_EQ(Refusal(With(":method", "GET\r\n")), "400 method");
  EXPECT_EQ(Refusal(With(":method", "")), "400 method");
  EXPECT_EQ(Refusal(With(":authority", "user@a.example")), "400 authority");
  EXPECT_EQ(Refusal(With(":authority", "a.example/x")), "400 authority");
  EXPECT_EQ(Refusal(With(":scheme", "ftp")), "400 scheme");
  EXPECT_EQ(Refusal(With(":path", "")), "400 target");
  EXPECT_EQ(Refusal(With(":path", "x")), "400 target");
  EXPECT_EQ(Refusal(With(":path", "/a b")), "400 target");
  EXPECT_EQ(Refusal(With(":path", "/a\r\nX: y")), "400 target");
  EXPECT_EQ(Refusal(With(":path", "/a#b")), "400 target");
  EXPECT_EQ(Refusal(With(":path", "*")), "400 target");
  EXPECT_EQ(Refusal(With(":path", "http://a.example/")), "400 target");
}

TEST_F(H2HeadTest, AnAsteriskIsForOptions) {
  Fields fields = With(":path", "*");
  fields[0].second = "OPTIONS";
  EXPECT_EQ(Refusal(fields), "");
}

TEST_F(H2HeadTest, ConnectNamesAHostAndAPort) {
  ASSERT_FALSE(Read({{":method", "CONNECT"}, {":authority", "a.example:443"}}));
  EXPECT_EQ(head_.method, Method::kConnect);
  EXPECT_EQ(head_.path, "a.example:443");
  EXPECT_EQ(Refusal({{":method", "CONNECT"}, {":authority", "a.example"}}), "400 authority");
}

// RFC 8441 4, 5.
TEST_F(H2HeadTest, AnExtendedConnectIsTheHandshakeOfHttp1) {
  ASSERT_FALSE(Read(WebSocket({{"sec-websocket-version", "13"},
                               {"sec-websocket-protocol", "chat"},
                               {"sec-websocket-key", "of the client"},
                               {"expect", "100-continue"}}),
                    /*end_stream=*/false));
  EXPECT_EQ(head_.method, Method::kGet);
  EXPECT_EQ(head_.method_name, "GET");
  EXPECT_EQ(head_.upgrade, "websocket");
  EXPECT_EQ(head_.path, "/chat?a=b");
  EXPECT_EQ(head_.authority, "a.example") << "a port is not needed";
  EXPECT_EQ(head_.version.major, 2);
  EXPECT_FALSE(head_.expects_continue) << "there is no body";
  EXPECT_EQ(head_.headers.Value("sec-websocket-version"), "13");
  EXPECT_EQ(head_.headers.Value("sec-websocket-protocol"), "chat");
  EXPECT_EQ(head_.headers.size(), 2U) << "it has no key";
}

TEST_F(H2HeadTest, AnExtendedConnectThatIsNone) {
  EXPECT_EQ(Refusal(WebSocket()), "400 extended_connect_with_body") << "it has ended";
  EXPECT_EQ(Refusal(WebSocket({{"content-length", "0"}}), false), "400 extended_connect_with_body");
  EXPECT_EQ(Refusal(Get({{":protocol", "websocket"}}), false), "400 connect_protocol");
  Fields fields = WebSocket();
  fields[1].second = "connect-udp";
  EXPECT_EQ(Refusal(fields, false), "501 connect_protocol");
  fields[1].second = "WebSocket";
  EXPECT_EQ(Refusal(fields, false), "");
  fields = WebSocket();
  fields[4].second = "/a b";
  EXPECT_EQ(Refusal(fields, false), "400 target");
  fields[4].second = "*";
  EXPECT_EQ(Refusal(fields, false), "400 target");
}

TEST_F(H2HeadTest, WhatIsTooMuchIsAnswered) {
  limits_.uri_bytes = 8;
  EXPECT_EQ(Refusal(With(":path", "/12345678")), "414 uri_bytes");
  limits_.header_bytes = 400;
  EXPECT_EQ(Refusal(Get({{"x", std::string(300, 'a')}})), "431 header_bytes");
  limits_.header_bytes = 64 * 1024;
  limits_.uri_bytes = 1024;
  limits_.header_count = 3;
  EXPECT_EQ(Refusal(Get({{"a", "1"}, {"b", "2"}, {"c", "3"}})), "");
  EXPECT_EQ(Refusal(Get({{"a", "1"}, {"b", "2"}, {"c", "3"}, {"d", "4"}})), "431 header_bytes");
}

TEST_F(H2HeadTest, ExpectIsOnlyForABody) {
  const Fields fields = Get({{"expect", "100-continue"}});
  ASSERT_FALSE(Read(fields, /*end_stream=*/true));
  EXPECT_FALSE(head_.expects_continue);
  ASSERT_FALSE(Read(fields, /*end_stream=*/false));
  EXPECT_TRUE(head_.expects_continue);
  EXPECT_TRUE(head_.headers.empty());
}

TEST_F(H2HeadTest, LengthIsANumberInTheHead) {
  ASSERT_FALSE(Read(Get({{"content-length", "123"}}), /*end_stream=*/false));
  EXPECT_EQ(head_.content_length, 123U);
  EXPECT_TRUE(head_.headers.empty());
}

std::string Written(SimLoop& loop, const ResponseHead& head, std::optional<uint64_t> length) {
  std::vector<H2Field> fields;
  WriteH2ResponseHead(loop, head, length, fields);
  std::string text;
  for (const H2Field& field : fields) {
    text += std::string(field.name) + "=" + std::string(field.value) + "\n";
  }
  return text;
}

TEST(H2ResponseHead, NamesAreInLowerCaseAndTheDateIsOurs) {
  SimLoop loop(1);
  ResponseHead head;
  head.status = 404;
  head.headers.Add("X-Some-Thing", "A");
  head.headers.Add("etag", "B");
  EXPECT_EQ(Written(loop, head, 17),
            ":status=404\nx-some-thing=A\netag=B\ncontent-length=17\n"
            "date=Thu, 01 Jan 2026 00:00:00 GMT\n");
}

TEST(H2ResponseHead, ADateThatIsThereStays) {
  SimLoop loop(1);
  ResponseHead head;
  head.headers.Add("Date", "then");
  EXPECT_EQ(Written(loop, head, std::nullopt), ":status=200\ndate=then\n");
}

// RFC 8441 5.
TEST(H2ResponseHead, ASwitchIsASuccessWithoutTheAnswerToAKey) {
  SimLoop loop(1);
  ResponseHead head;
  head.status = 101;
  head.upgrade = "websocket";
  head.headers.Add("Sec-WebSocket-Accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
  head.headers.Add("Sec-WebSocket-Protocol", "chat");
  head.headers.Add("Date", "then");
  EXPECT_EQ(Written(loop, head, std::nullopt),
            ":status=200\nsec-websocket-protocol=chat\ndate=then\n");
}

TEST(H2ResponseHead, AnInterimHeadHasNoDate) {
  SimLoop loop(1);
  ResponseHead head;
  head.status = 103;
  EXPECT_EQ(Written(loop, head, std::nullopt), ":status=103\n");
}

}  // namespace
}  // namespace sluice
