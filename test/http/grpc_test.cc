#include "http/grpc.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "http/local_reply.h"
#include "support/fake_stream.h"
#include "support/sim_loop.h"

namespace sluice {
namespace {

using namespace std::chrono_literals;
using namespace std::string_literals;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;

TEST(IsGrpc, GoesByTheContentType) {
  for (const std::string_view type :
       {"application/grpc", "application/grpc+proto", "application/grpc+json", "application/grpc;x",
        "application/grpc ; charset=utf-8", "Application/GRPC", "application/grpc+"}) {
    EXPECT_TRUE(IsGrpcContentType(type)) << type;
  }
  for (const std::string_view type :
       {"", "application/grp", "application/grpc-web", "application/grpc-web+proto",
        "application/grpcx", "application/json", "text/plain; x=application/grpc"}) {
    EXPECT_FALSE(IsGrpcContentType(type)) << type;
  }
  RequestHead request;
  EXPECT_FALSE(IsGrpc(request));
  request.headers.Add("Content-Type", "application/grpc");
  EXPECT_TRUE(IsGrpc(request));
}

std::optional<Duration> TimeoutOf(std::string_view value) {
  RequestHead request;
  request.headers.Add("grpc-timeout", value);
  return GrpcTimeout(request);
}

TEST(GrpcTimeout, HasSixUnits) {
  EXPECT_EQ(TimeoutOf("2H"), 2h);
  EXPECT_EQ(TimeoutOf("3M"), 3min);
  EXPECT_EQ(TimeoutOf("4S"), 4s);
  EXPECT_EQ(TimeoutOf("50m"), 50ms);
  EXPECT_EQ(TimeoutOf("6000u"), 6ms);
  EXPECT_EQ(TimeoutOf("7000000n"), 7ms);
  EXPECT_EQ(TimeoutOf("0099m"), 99ms);
}

TEST(GrpcTimeout, IsWithinWhatAClockCanTell) {
  EXPECT_EQ(TimeoutOf("0S"), 1ms) << "a deadline that has passed is one";
  EXPECT_EQ(TimeoutOf("1n"), 1ms);
  EXPECT_EQ(TimeoutOf("999u"), 1ms);
  EXPECT_EQ(TimeoutOf("1001u"), 1001us);
  EXPECT_EQ(TimeoutOf("99999999H"), 365 * 24h);
  EXPECT_EQ(TimeoutOf("99999999S"), 365 * 24h);
  EXPECT_EQ(TimeoutOf("8760H"), 365 * 24h);
  EXPECT_EQ(TimeoutOf("8759H"), 8759h);
}

TEST(GrpcTimeout, IsNoneWhenItIsMalformed) {
  EXPECT_EQ(GrpcTimeout(RequestHead()), std::nullopt);
  for (const std::string_view value : {"", "S", "5", "5s", "5h", "5N", "-5S", "+5S", "5.5S", "5 S",
                                       " 5S", "5S ", "5SS", "0x5S", "123456789S", "five"}) {
    EXPECT_EQ(TimeoutOf(value), std::nullopt) << '"' << value << '"';
  }
}

TEST(GrpcStatusFor, FollowsTheMappingOfTheProject) {
  const std::pair<int, int> table[] = {
      {400, 13}, {401, 16}, {403, 7}, {404, 12}, {429, 14}, {502, 14}, {503, 14},
      {413, 8},  {431, 8},  {408, 1}, {504, 4},  {405, 2},  {500, 2},  {200, 2},
  };
  for (const auto& [http, grpc] : table) {
    EXPECT_EQ(static_cast<int>(GrpcStatusFor(http)), grpc) << "HTTP status " << http;
  }
}

TEST(EncodeGrpcMessage, EncodesAllButPrintableAscii) {
  Arena arena;
  const std::string_view plain = "no connection: ~!$&'()\"";
  EXPECT_EQ(EncodeGrpcMessage(plain, arena).data(), plain.data()) << "nothing to encode, no copy";
  EXPECT_EQ(EncodeGrpcMessage("", arena), "");
  EXPECT_EQ(EncodeGrpcMessage("100%", arena), "100%25");
  EXPECT_EQ(EncodeGrpcMessage("a\r\nb\tc", arena), "a%0D%0Ab%09c");
  EXPECT_EQ(EncodeGrpcMessage("\x1f\x20\x7e\x7f", arena), "%1F ~%7F");
  EXPECT_EQ(EncodeGrpcMessage("gr\xc3\xbc\xc3\x9f", arena), "gr%C3%BC%C3%9F");
  EXPECT_EQ(EncodeGrpcMessage(std::string_view("\0", 1), arena), "%00");
}

TEST(GrpcStatusIn, ReadsHeadsAndTrailers) {
  const auto read = [](std::string_view value) {
    HeaderList fields;
    fields.Add("Grpc-Status", value);
    return GrpcStatusIn(fields);
  };
  EXPECT_EQ(GrpcStatusIn({}), -1);
  EXPECT_EQ(read("0"), 0);
  EXPECT_EQ(read("14"), 14);
  for (const std::string_view value : {"", "-1", "100", "1x", " 1"}) {
    EXPECT_EQ(read(value), -1) << '"' << value << '"';
  }
}

class GrpcResponseTest : public testing::Test {
 protected:
  void Begin(std::string_view content_type, std::optional<uint64_t> length = {}) {
    ResponseHead head;
    head.headers.Add("Content-Type", content_type);
    head.content_length = length;
    response_.OnHead(head);
  }

  // After these bytes, given in pieces of one byte or all at once.
  bool TakesStatusAfter(std::string_view bytes) {
    GrpcResponse in_pieces = response_;
    for (size_t i = 0; i < bytes.size(); ++i) in_pieces.OnBody(bytes.substr(i, 1));
    GrpcResponse at_once = response_;
    at_once.OnBody(bytes);
    EXPECT_EQ(in_pieces.takes_status(), at_once.takes_status());
    return at_once.takes_status();
  }

  GrpcResponse response_;
};

TEST_F(GrpcResponseTest, TakesAStatusBetweenTwoMessages) {
  using namespace std::string_view_literals;
  EXPECT_FALSE(TakesStatusAfter("")) << "no head yet";
  Begin("application/grpc+proto");
  EXPECT_TRUE(TakesStatusAfter(""));
  EXPECT_TRUE(TakesStatusAfter("\0\0\0\0\5hello"sv));
  EXPECT_TRUE(TakesStatusAfter("\0\0\0\0\5hello\1\0\0\0\0\0\0\0\0\1x"sv));
  for (const std::string_view half : {"\0"sv, "\1\0\0\0"sv, "\0\0\0\0\5"sv, "\0\0\0\0\5hell"sv,
                                      "\0\0\0\0\5hello\0"sv, "\xff\xff\xff\xff\xff"sv}) {
    EXPECT_FALSE(TakesStatusAfter(half)) << testing::PrintToString(half);
  }
  const std::string longer = "\0\0\1\0\1"s + std::string(65537, 'x');
  EXPECT_TRUE(TakesStatusAfter(longer));
  EXPECT_FALSE(TakesStatusAfter(longer.substr(0, 65541)));
}

TEST_F(GrpcResponseTest, NothingElseTakesOne) {
  Begin("text/html");
  EXPECT_FALSE(TakesStatusAfter(""));
  Begin("application/grpc", 5);
  EXPECT_FALSE(TakesStatusAfter("")) << "a body shorter than promised is no response";
}

class GrpcReplyTest : public testing::Test {
 protected:
  GrpcReplyTest() { stream_.request().headers.Add("Content-Type", "application/grpc+proto"); }

  SimLoop loop_;
  FakeStream stream_{loop_, "POST", "/pkg.Service/Method"};
};

TEST_F(GrpcReplyTest, BeforeTheHeadIsTrailersOnly) {
  SendGrpcError(stream_, GrpcStatus::kResourceExhausted, "50% over");
  ASSERT_TRUE(stream_.ended());
  EXPECT_EQ(stream_.status(), 200);
  EXPECT_THAT(stream_.head()->headers,
              ElementsAre(Pair("Content-Type", "application/grpc"), Pair("grpc-status", "8"),
                          Pair("grpc-message", "50%25 over")));
  EXPECT_EQ(stream_.body_pieces(), 0u);
  EXPECT_THAT(stream_.trailers(), IsEmpty());
  EXPECT_EQ(stream_.record().grpc_status, 8);
}

TEST_F(GrpcReplyTest, AfterTheHeadIsTrailers) {
  ResponseHead head;
  stream_.SendHead(head, false);
  stream_.SendBody("message", false);
  EndWithGrpcStatus(stream_, GrpcStatus::kUnavailable, "draining");
  ASSERT_TRUE(stream_.ended());
  EXPECT_THAT(stream_.trailers(),
              ElementsAre(Pair("grpc-status", "14"), Pair("grpc-message", "draining")));
  EXPECT_EQ(stream_.record().grpc_status, 14);
}

TEST_F(GrpcReplyTest, AnEmptyMessageIsLeftOut) {
  SendGrpcError(stream_, GrpcStatus::kInternal, "");
  EXPECT_THAT(stream_.head()->headers,
              ElementsAre(Pair("Content-Type", "application/grpc"), Pair("grpc-status", "13")));
}

TEST_F(GrpcReplyTest, ALocalReplyIsAStatusWithTheTextBehindIt) {
  SendLocalReply(stream_, 503, "503 Service Unavailable: too many connections\n");
  ASSERT_TRUE(stream_.ended());
  EXPECT_EQ(stream_.status(), 200);
  EXPECT_EQ(stream_.head()->Value("grpc-status"), "14");
  EXPECT_EQ(stream_.head()->Value("grpc-message"), "too many connections");
  EXPECT_EQ(stream_.head()->Value("retry-after"), "");
}

TEST_F(GrpcReplyTest, ARefusalOfTheCodecIsAStatus) {
  ResponseHead head;
  EXPECT_EQ(MakeRefusal(stream_, loop_, 413, "body_too_large", head), "");
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(head.content_length, 0u);
  EXPECT_EQ(head.headers.Value("grpc-status"), "8");
  EXPECT_EQ(head.headers.Value("grpc-message"), "body_too_large");
  EXPECT_EQ(stream_.record().grpc_status, 8);

  ResponseHead drained;
  EXPECT_EQ(MakeRefusal(stream_, loop_, 503, "drain_deadline", drained), "");
  EXPECT_EQ(drained.headers.Value("grpc-status"), "14");
  EXPECT_EQ(drained.headers.Value("grpc-message"), "draining");
}

TEST(LocalReply, IsATextForHttp) {
  SimLoop loop;
  FakeStream stream(loop, "POST", "/");
  SendLocalReply(stream, 503, "503 Service Unavailable: no connection\n");
  ASSERT_TRUE(stream.ended());
  EXPECT_EQ(stream.status(), 503);
  EXPECT_EQ(stream.body(), "503 Service Unavailable: no connection\n");
  EXPECT_THAT(stream.head()->headers,
              ElementsAre(Pair("Content-Type", "text/plain"), Pair("Retry-After", "1")));
  EXPECT_EQ(stream.record().grpc_status, -1);
}

TEST(LocalReply, IsAHeadAloneForHead) {
  SimLoop loop;
  FakeStream stream(loop, "HEAD", "/");
  SendLocalReply(stream, 404, "404 Not Found: no route matches\n");
  ASSERT_TRUE(stream.ended());
  EXPECT_EQ(stream.head()->content_length, 32u);
  EXPECT_EQ(stream.body(), "");
  EXPECT_EQ(stream.head()->Value("retry-after"), "");
}

TEST(LocalReply, ARefusalOfTheCodecSaysWhy) {
  SimLoop loop;
  FakeStream stream(loop, "CONNECT", "a:1");
  ResponseHead head;
  EXPECT_EQ(MakeRefusal(stream, loop, 405, "connect_not_allowed", head),
            "Method Not Allowed: connect_not_allowed\n");
  EXPECT_EQ(head.status, 405);
  EXPECT_EQ(head.content_length, 40u);
  EXPECT_EQ(head.headers.Value("allow"), "GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH");
}

}  // namespace
}  // namespace sluice
