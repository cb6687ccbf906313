#include "server/embedded_origin.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "support/fake_stream.h"
#include "support/sim_loop.h"

namespace sluice {
namespace {

using std::chrono::milliseconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;
using testing::StartsWith;

class EmbeddedOriginTest : public testing::Test {
 protected:
  // A request without a body, delivered and run as one dispatch.
  FakeStream& Get(std::string_view path, std::string_view method = "GET") {
    FakeStream& stream = Open(method, path);
    loop_.Dispatch([&] { stream.Deliver(origin_); });
    return stream;
  }

  // A request whose body the test sends.
  FakeStream& Post(std::string_view path) {
    FakeStream& stream = Open("POST", path);
    Deliver(stream);
    return stream;
  }

  FakeStream& Open(std::string_view method, std::string_view path) {
    streams_.push_back(std::make_unique<FakeStream>(loop_, method, path));
    return *streams_.back();
  }
  void Deliver(FakeStream& stream) {
    loop_.Dispatch([&] { stream.Deliver(origin_, false); });
  }
  void SendBody(FakeStream& stream, std::string_view bytes, bool end) {
    loop_.Dispatch([&] { stream.SendRequestBody(bytes, end); });
  }

  SimLoop loop_;
  EmbeddedOrigin origin_{loop_};
  std::vector<std::unique_ptr<FakeStream>> streams_;
};

TEST_F(EmbeddedOriginTest, Greets) {
  FakeStream& stream = Get("/");
  EXPECT_TRUE(stream.ended());
  EXPECT_EQ(stream.status(), 200);
  EXPECT_EQ(stream.head()->Value("Content-Type"), "text/plain");
  EXPECT_THAT(stream.body(), StartsWith("Hello from Sluice"));
  EXPECT_EQ(Get("/?x=y").body(), stream.body());
  EXPECT_EQ(Get("*", "OPTIONS").status(), 200);
}

TEST_F(EmbeddedOriginTest, ListsWhatItServes) {
  for (const char* path : {"/nothing", "/bytes", "/echo/", "/headers/x", ""}) {
    FakeStream& stream = Get(path);
    EXPECT_EQ(stream.status(), 404) << path;
    EXPECT_THAT(stream.body(), HasSubstr("/stream/N?interval=MS")) << path;
  }
}

TEST_F(EmbeddedOriginTest, HeadGetsTheHeadAlone) {
  for (const char* path : {"/", "/bytes/1000", "/headers", "/status/404", "/nothing"}) {
    FakeStream& got = Get(path);
    FakeStream& head = Get(path, "HEAD");
    EXPECT_TRUE(head.ended()) << path;
    EXPECT_EQ(head.status(), got.status()) << path;
    EXPECT_EQ(head.body_pieces(), 0u) << path;
    if (std::string_view(path) == "/headers") continue;  // shows the method, a letter longer
    EXPECT_EQ(head.head()->content_length, got.head()->content_length) << path;
  }
  FakeStream& stream = Get("/stream/3", "HEAD");
  EXPECT_TRUE(stream.ended());
  EXPECT_EQ(stream.head()->content_length, std::nullopt);
  FakeStream& delayed = Get("/delay/5", "HEAD");
  loop_.RunFor(milliseconds(5));
  EXPECT_TRUE(delayed.ended());
}

// --- /bytes

TEST_F(EmbeddedOriginTest, SendsThatManyBytes) {
  FakeStream& none = Get("/bytes/0");
  EXPECT_TRUE(none.ended());
  EXPECT_EQ(none.head()->content_length, 0u);
  FakeStream& some = Get("/bytes/100000");
  EXPECT_TRUE(some.ended());
  EXPECT_EQ(some.head()->content_length, 100'000u);
  ASSERT_EQ(some.body_size(), 100'000u);
  for (size_t i = 64; i < some.body_size(); ++i) {
    ASSERT_EQ(some.body()[i], some.body()[i - 64]) << "the pattern breaks at " << i;
  }
}

TEST_F(EmbeddedOriginTest, BytesWaitForAClientThatDoesNotRead) {
  FakeStream& stream = Open("GET", "/bytes/1099511627776");
  stream.DiscardBody();
  stream.StopReadingAfter(200'000);
  loop_.Dispatch([&] { stream.Deliver(origin_); });
  EXPECT_FALSE(stream.ended());
  EXPECT_GE(stream.body_size(), 200'000u);
  EXPECT_LE(stream.body_size(), 200'000u + 64 * 1024);
  const uint64_t before = stream.body_size();
  loop_.RunFor(std::chrono::hours(1));
  EXPECT_EQ(stream.body_size(), before) << "sent more to a stream that is congested";
  loop_.Dispatch([&] { stream.TakeMore(1'000'000); });
  EXPECT_GE(stream.body_size(), before + 1'000'000);
  loop_.Dispatch([&] { stream.Reset(); });
}

TEST_F(EmbeddedOriginTest, BytesGoOnWhereTheyStopped) {
  FakeStream& stream = Open("GET", "/bytes/300001");
  stream.StopReadingAfter(1);
  loop_.Dispatch([&] { stream.Deliver(origin_); });
  while (!stream.ended()) {
    const uint64_t before = stream.body_size();
    loop_.Dispatch([&] { stream.TakeMore(1); });
    ASSERT_GT(stream.body_size(), before) << "stuck";
  }
  EXPECT_EQ(stream.body(), Get("/bytes/300001").body());
}

TEST_F(EmbeddedOriginTest, ExplainsNumbersItDoesNotTake) {
  for (const char* path :
       {"/bytes/", "/bytes/x", "/bytes/-1", "/bytes/1x", "/bytes/1099511627777",
        "/bytes/99999999999999999999", "/delay/", "/delay/3600001", "/delay/1.5", "/status/199",
        "/status/600", "/status/20x", "/stream/x", "/stream/1000000001", "/stream/2?interval=0",
        "/stream/2?interval=", "/stream/2?interval=x"}) {
    FakeStream& stream = Get(path);
    EXPECT_TRUE(stream.ended()) << path;
    EXPECT_EQ(stream.status(), 400) << path;
    EXPECT_THAT(stream.body(), HasSubstr(" is a number ")) << path;
  }
}

// --- /echo

TEST_F(EmbeddedOriginTest, EchoesABodyOfKnownLength) {
  FakeStream& stream = Open("POST", "/echo");
  stream.request().headers.Add("Content-Type", "application/json");
  stream.request().content_length = 10;
  Deliver(stream);
  EXPECT_EQ(stream.head()->content_length, 10u);
  EXPECT_EQ(stream.head()->Value("content-type"), "application/json");
  SendBody(stream, "hello", false);
  EXPECT_EQ(stream.body(), "hello") << "not before the rest has arrived";
  EXPECT_FALSE(stream.ended());
  SendBody(stream, "world", true);
  EXPECT_TRUE(stream.ended());
  EXPECT_EQ(stream.body(), "helloworld");
}

TEST_F(EmbeddedOriginTest, EchoesABodyOfUnknownLengthAndItsTrailers) {
  FakeStream& stream = Post("/echo");
  EXPECT_EQ(stream.head()->content_length, std::nullopt);
  EXPECT_EQ(stream.head()->Value("content-type"), "application/octet-stream");
  SendBody(stream, "abc", false);
  HeaderList trailers;
  trailers.Add("X-Sum", "3");
  loop_.Dispatch([&] { stream.SendRequestTrailers(trailers); });
  EXPECT_TRUE(stream.ended());
  EXPECT_THAT(stream.trailers(), ElementsAre(Pair("X-Sum", "3")));

  FakeStream& empty_end = Post("/echo");
  SendBody(empty_end, "abc", false);
  SendBody(empty_end, "", true);
  EXPECT_TRUE(empty_end.ended());
  EXPECT_EQ(empty_end.body(), "abc");
}

TEST_F(EmbeddedOriginTest, EchoHoldsBackAClientThatDoesNotRead) {
  FakeStream& stream = Post("/echo");
  stream.StopReadingAfter(4);
  SendBody(stream, "abc", false);
  EXPECT_FALSE(stream.request_paused());
  SendBody(stream, "def", false);
  EXPECT_TRUE(stream.request_paused());
  loop_.Dispatch([&] { stream.ResumeReading(); });
  EXPECT_FALSE(stream.request_paused());
  SendBody(stream, "ghi", true);
  EXPECT_EQ(stream.body(), "abcdefghi");
}

TEST_F(EmbeddedOriginTest, EchoInvitesABodyThatWaits) {
  FakeStream& stream = Open("POST", "/echo");
  stream.request().expects_continue = true;
  Deliver(stream);
  ASSERT_EQ(stream.informational().size(), 1u);
  EXPECT_EQ(stream.informational().front().status, 100);
  SendBody(stream, "x", true);
  EXPECT_TRUE(Post("/echo").informational().empty());
}

TEST_F(EmbeddedOriginTest, EchoOfNothingIsEmpty) {
  FakeStream& stream = Get("/echo");
  EXPECT_TRUE(stream.ended());
  EXPECT_EQ(stream.head()->content_length, 0u);
}

// --- /delay, /stream

TEST_F(EmbeddedOriginTest, AnswersAfterTheDelay) {
  FakeStream& stream = Get("/delay/2500");
  EXPECT_EQ(stream.record().waiting_for, "delay");
  loop_.RunFor(milliseconds(2499));
  EXPECT_FALSE(stream.head());
  loop_.RunFor(milliseconds(1));
  EXPECT_TRUE(stream.ended());
  EXPECT_EQ(stream.status(), 200);
}

TEST_F(EmbeddedOriginTest, ADelayedRequestsBodyIsTakenAndIgnored) {
  FakeStream& stream = Post("/delay/10");
  SendBody(stream, "abc", false);
  HeaderList trailers;
  loop_.Dispatch([&] { stream.SendRequestTrailers(trailers); });
  loop_.RunFor(milliseconds(10));
  EXPECT_TRUE(stream.ended());
}

TEST_F(EmbeddedOriginTest, AClientThatLeavesStopsTheTimer) {
  FakeStream& delayed = Get("/delay/1000");
  FakeStream& streamed = Get("/stream/10?interval=100");
  loop_.RunFor(milliseconds(150));
  loop_.Dispatch([&] {
    delayed.Reset();
    streamed.Reset();
  });
  EXPECT_TRUE(loop_.RunUntilIdle(std::chrono::hours(1)));
  EXPECT_FALSE(delayed.head());
  EXPECT_EQ(streamed.body(), "chunk 1\nchunk 2\n");
}

TEST_F(EmbeddedOriginTest, StreamsOneChunkEachInterval) {
  FakeStream& stream = Get("/stream/3?x=1&interval=250");
  EXPECT_EQ(stream.body(), "chunk 1\n");
  loop_.RunFor(milliseconds(249));
  EXPECT_EQ(stream.body_pieces(), 1u);
  loop_.RunFor(milliseconds(1));
  EXPECT_EQ(stream.body(), "chunk 1\nchunk 2\n");
  EXPECT_FALSE(stream.ended());
  loop_.RunFor(milliseconds(250));
  EXPECT_EQ(stream.body(), "chunk 1\nchunk 2\nchunk 3\n");
  EXPECT_TRUE(stream.ended());
  EXPECT_TRUE(Get("/stream/0").ended());
}

TEST_F(EmbeddedOriginTest, AStreamWaitsForAClientThatDoesNotRead) {
  FakeStream& stream = Open("GET", "/stream/3?interval=100");
  stream.StopReadingAfter(1);
  loop_.Dispatch([&] { stream.Deliver(origin_); });
  loop_.RunFor(std::chrono::seconds(10));
  EXPECT_EQ(stream.body_pieces(), 1u);
  loop_.Dispatch([&] { stream.ResumeReading(); });
  EXPECT_EQ(stream.body_pieces(), 2u) << "the chunk that is due follows at once";
  loop_.RunFor(milliseconds(100));
  EXPECT_TRUE(stream.ended());
}

TEST_F(EmbeddedOriginTest, MayBeDestroyedWithStreamsOpen) {
  auto origin = std::make_unique<EmbeddedOrigin>(loop_);
  FakeStream& stream = Open("GET", "/delay/100");
  loop_.Dispatch([&] { stream.Deliver(*origin); });
  origin.reset();
  loop_.RunFor(std::chrono::seconds(1));
  EXPECT_FALSE(stream.head());
}

// --- /status, /headers

TEST_F(EmbeddedOriginTest, AnswersWithTheStatusAskedFor) {
  FakeStream& teapot = Get("/status/503");
  EXPECT_EQ(teapot.status(), 503);
  EXPECT_EQ(teapot.body(), "503 Service Unavailable\n");
  for (const char* path : {"/status/204", "/status/205", "/status/304"}) {
    FakeStream& stream = Get(path);
    EXPECT_TRUE(stream.ended()) << path;
    EXPECT_EQ(stream.body_pieces(), 0u) << path;
  }
  EXPECT_EQ(Get("/status/204").head()->content_length, std::nullopt);
}

TEST_F(EmbeddedOriginTest, ShowsTheHeadItReceived) {
  FakeStream& stream = Open("GET", "/headers?a=b");
  stream.request().headers.Add("X-Forwarded-For", "192.0.2.1");
  stream.request().headers.Add("Via", "1.1 sluice");
  loop_.Dispatch([&] { stream.Deliver(origin_); });
  EXPECT_EQ(stream.body(),
            "GET /headers?a=b HTTP/1.1\nHost: sluice.test\nX-Forwarded-For: 192.0.2.1\n"
            "Via: 1.1 sluice\n");
}

}  // namespace
}  // namespace sluice
