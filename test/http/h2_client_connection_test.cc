// HTTP/2 towards an upstream, against an independent HTTP/2 session (test/support/sim_h2_session.h)
// that can also be told to break the rules.
#include "http/h2_client_connection.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <memory>
#include <string>

#include "support/h2_upstream.h"
#include "support/pipe.h"
#include "support/sim_loop.h"
#include "test_exchange.h"

namespace sluice {
namespace {

using std::chrono::seconds;
using testing::Contains;
using testing::ElementsAre;
using testing::Not;
using testing::Pair;
using Kind = UpstreamFailure::Kind;

class H2ClientConnectionTest : public ::testing::Test, public ClientConnectionOwner {
 protected:
  H2ClientConnectionTest() {
    context.options.max_concurrent_streams = context.streams_per_connection = 100;
  }

  void TearDown() override {
    if (connection != nullptr) connection->Close();
    Run();
    EXPECT_EQ(closed, 1);
    if (upstream_is_honest) {
      EXPECT_EQ(upstream->session().complaint(), "");
    }
  }

  void Connect(const SimH2Options& options = {}, bool settings = true) {
    loop.Dispatch([&] {
      Pipe::Pair pipe = Pipe::Make(loop);
      connection =
          std::make_unique<H2ClientConnection>(loop, std::move(pipe.client), *this, context);
      upstream = std::make_unique<TestH2Upstream>(loop, std::move(pipe.server), options);
      if (settings) upstream->session().Start();
    });
    if (settings) Run();
    available = 0;
  }

  void Run() { loop.RunFor(seconds(1)); }

  TestExchange& Prepare(std::string_view method, std::string_view path) {
    return exchanges.emplace_back(method, path);
  }
  void Start(TestExchange& exchange, bool end_stream = true) {
    ASSERT_GT(connection->room(), 0u);
    exchange.stream = &connection->StartRequest(exchange.request, end_stream, exchange);
  }
  // Sends a request and lets it arrive.
  TestExchange& Send(std::string_view method, std::string_view path, bool end_stream = true) {
    TestExchange& exchange = Prepare(method, path);
    loop.Dispatch([&] { Start(exchange, end_stream); });
    Run();
    return exchange;
  }

  // What the upstream does, and its effect.
  template <typename Act>
  void Upstream(Act act) {
    loop.Dispatch([&] { act(*upstream); });
    Run();
  }
  // The same of the proxy.
  template <typename Act>
  void Proxy(Act act) {
    loop.Dispatch(act);
    Run();
  }

  void ExpectFailure(const TestExchange& exchange, Kind kind, std::string_view detail) {
    ASSERT_TRUE(exchange.failure) << "it did not fail";
    EXPECT_EQ(exchange.failure->kind, kind) << exchange.failure->detail;
    EXPECT_EQ(exchange.failure->detail, detail);
  }

  void OnConnectionAvailable(ClientConnection&) override { ++available; }
  void OnConnectionDraining(ClientConnection&) override { ++draining; }
  void OnConnectionClosed(ClientConnection&) override {
    ++closed;
    loop.DeleteLater(std::move(connection));
  }

  SimLoop loop;
  H2ClientContext context;
  std::deque<TestExchange> exchanges;
  std::unique_ptr<H2ClientConnection> connection;
  std::unique_ptr<TestH2Upstream> upstream;
  bool upstream_is_honest = true;
  int available = 0;
  int draining = 0;
  int closed = 0;
};

// ---- requests

TEST_F(H2ClientConnectionTest, ARequestHasItsPseudoHeadersAndItsFieldsInLowerCase) {
  Connect();
  TestExchange& get = Prepare("GET", "/a?b=c");
  get.request.headers.Add("User-Agent", "Test/1");
  get.request.headers.Add("cookie", "a=1");
  get.request.headers.Add("Cookie", "b=2");
  get.request.upgrade = "echo";
  Proxy([&] { Start(get); });
  EXPECT_THAT(
      upstream->stream(1).in.headers,
      ElementsAre(Pair(":method", "GET"), Pair(":scheme", "http"), Pair(":authority", "app.test"),
                  Pair(":path", "/a?b=c"), Pair("user-agent", "Test/1"), Pair("cookie", "a=1"),
                  Pair("cookie", "b=2")));
  EXPECT_TRUE(upstream->stream(1).in.complete);
}

TEST_F(H2ClientConnectionTest, WhatTheClientTakesAndAwaitsIsSaid) {
  Connect();
  TestExchange& post = Prepare("POST", "/rpc");
  post.request.accepts_trailers = true;
  post.request.expects_continue = true;
  post.request.content_length = 3;
  Proxy([&] { Start(post, false); });
  const auto& headers = upstream->stream(1).in.headers;
  EXPECT_THAT(headers, Contains(Pair("te", "trailers")));
  EXPECT_THAT(headers, Contains(Pair("expect", "100-continue")));
  EXPECT_THAT(headers, Contains(Pair("content-length", "3")));
  Upstream([](auto& u) { u.Head(1, 100); });
  EXPECT_THAT(post.interim, ElementsAre(100));
  Proxy([&] { post.stream->SendBody("abc", true); });
  EXPECT_EQ(upstream->stream(1).in.body, "abc");
}

TEST_F(H2ClientConnectionTest, ARequestWithoutAHostHasNoAuthority) {
  Connect();
  TestExchange& get = Prepare("GET", "/");
  get.request.authority = {};
  get.request.version = {1, 0};
  Proxy([&] { Start(get); });
  EXPECT_THAT(upstream->stream(1).in.headers, Not(Contains(Pair(":authority", testing::_))));
}

TEST_F(H2ClientConnectionTest, ABodyAndItsTrailersArrive) {
  Connect();
  TestExchange& post = Send("POST", "/", false);
  Proxy([&] { post.stream->SendBody("hello ", false); });
  Proxy([&] {
    post.stream->SendBody("world", false);
    HeaderList trailers;
    trailers.Add("X-Sum", "11");
    post.stream->SendTrailers(trailers);
  });
  const SimMessage& seen = upstream->stream(1).in;
  EXPECT_EQ(seen.body, "hello world");
  EXPECT_THAT(seen.trailers, ElementsAre(Pair("x-sum", "11")));
  EXPECT_TRUE(seen.complete);
}

TEST_F(H2ClientConnectionTest, AHeadAsLargeAsAListenerTakesIsSent) {
  Connect();
  const std::string value(50'000, 'v');
  TestExchange& get = Prepare("GET", "/");
  for (const char* name : {"x-1", "x-2", "x-3", "x-4", "x-5"}) get.request.headers.Add(name, value);
  Proxy([&] { Start(get); });
  EXPECT_THAT(upstream->stream(1).in.headers, Contains(Pair("x-5", value)));
}

TEST_F(H2ClientConnectionTest, ARequestNeedNotWaitForSettings) {
  SimH2Options options;
  options.ack_settings = false;  // an ACK cannot be its first frame
  Connect(options, /*settings=*/false);
  EXPECT_EQ(connection->room(), 100u);
  TestExchange& get = Send("GET", "/");
  Upstream([](auto& u) {
    u.session().Start();
    u.Respond(1);
  });
  EXPECT_EQ(get.status, 200);
}

// ---- responses

TEST_F(H2ClientConnectionTest, AResponseArrivesWhole) {
  Connect();
  TestExchange& get = Send("GET", "/");
  Upstream([](auto& u) {
    u.Head(1, 200, {{"content-type", "text/plain"}, {"content-length", "5"}});
    u.session().SendBytes(u.stream(1), "hello");
    u.session().FinishWithTrailers(u.stream(1), {{"x-sum", "5"}, {"set-cookie", "no"}});
  });
  EXPECT_EQ(get.status, 200);
  EXPECT_EQ(get.content_length, 5u);
  EXPECT_EQ(get.Header("content-type"), "text/plain");
  EXPECT_EQ(get.body, "hello");
  EXPECT_THAT(get.trailers, ElementsAre(Pair("x-sum", "5"))) << "only what may be a trailer";
  EXPECT_TRUE(get.complete);
  EXPECT_EQ(available, 1);
  EXPECT_EQ(connection->active(), 0u);
}

TEST_F(H2ClientConnectionTest, InterimResponsesComeFirst) {
  Connect();
  TestExchange& get = Send("GET", "/");
  Upstream([](auto& u) {
    u.Head(1, 103, {{"link", "</a>"}});
    u.Head(1, 102);
    u.Head(1, 200, {{"x-final", "1"}}, true);
  });
  EXPECT_THAT(get.interim, ElementsAre(103, 102));
  EXPECT_THAT(get.headers, ElementsAre(Pair("x-final", "1")));
  EXPECT_TRUE(get.complete);
}

TEST_F(H2ClientConnectionTest, ResponsesWithoutABodyMayHaveALength) {
  Connect();
  TestExchange& head = Send("HEAD", "/");
  TestExchange& get = Send("GET", "/cached");
  TestExchange& none = Send("GET", "/nothing");
  Upstream([](auto& u) {
    u.Head(1, 200, {{"content-length", "1000"}}, true);
    u.Head(3, 304, {{"content-length", "2000"}}, true);
    u.Head(5, 204, {}, true);
  });
  EXPECT_TRUE(head.complete);
  EXPECT_EQ(head.content_length, 1000u);
  EXPECT_TRUE(get.complete);
  EXPECT_EQ(get.content_length, 2000u);
  EXPECT_TRUE(none.complete);
}

TEST_F(H2ClientConnectionTest, AnEndBehindTheHeadIsAnEnd) {
  Connect();
  TestExchange& head = Send("HEAD", "/");
  Upstream([](auto& u) {
    u.Head(1, 200, {{"content-length", "7"}});
    u.session().Finish(u.stream(1));
  });
  EXPECT_TRUE(head.complete);
  EXPECT_EQ(head.body, "");
}

TEST_F(H2ClientConnectionTest, AnEarlyResponseEndsTheExchange) {
  Connect();
  TestExchange& post = Send("POST", "/", false);
  Upstream([](auto& u) { u.Respond(1, 413); });
  EXPECT_EQ(post.status, 413);
  EXPECT_TRUE(post.complete);
  EXPECT_EQ(upstream->stream(1).reset_by_peer, h2::kNoError) << "nobody wants the rest";
  EXPECT_EQ(connection->room(), 100u);
  EXPECT_EQ(available, 1);
}

TEST_F(H2ClientConnectionTest, AnEarlyResponseAndAResetAreAResponse) {
  Connect();
  TestExchange& post = Send("POST", "/", false);
  Upstream([](auto& u) {
    u.Respond(1, 413);
    u.session().Reset(u.stream(1), h2::kNoError);
  });
  EXPECT_TRUE(post.complete);
  EXPECT_FALSE(post.failure);
  EXPECT_EQ(closed, 0);
}

TEST_F(H2ClientConnectionTest, StreamsAreIndependent) {
  Connect();
  TestExchange& one = Send("GET", "/1");
  TestExchange& two = Send("GET", "/2");
  TestExchange& three = Send("GET", "/3");
  EXPECT_EQ(connection->active(), 3u);
  Upstream([](auto& u) { u.Respond(5, 203); });
  Upstream([](auto& u) { u.Respond(1, 201); });
  EXPECT_EQ(one.status, 201);
  EXPECT_FALSE(two.complete);
  EXPECT_EQ(three.status, 203);
  EXPECT_EQ(connection->active(), 1u);
}

// ---- flow control

TEST_F(H2ClientConnectionTest, APausedResponseStopsItsStreamOnly) {
  Connect();
  TestExchange& slow = Send("GET", "/slow");
  TestExchange& fast = Send("GET", "/fast");
  slow.on_head = [&] { slow.stream->PauseResponse(); };
  constexpr uint64_t kBytes = 1'000'000;
  Upstream([](auto& u) {
    for (const uint32_t id : {1, 3}) {
      u.Head(id, 200);
      u.session().SendBody(u.stream(id), kBytes);
      u.session().Finish(u.stream(id));
    }
  });
  EXPECT_EQ(fast.body.size(), kBytes);
  EXPECT_TRUE(fast.complete);
  EXPECT_EQ(slow.body.size(), 0u);
  EXPECT_EQ(kBytes - upstream->stream(1).body_left, context.options.stream_window)
      << "what may be on its way, and no more";
  Proxy([&] { slow.stream->ResumeResponse(); });
  EXPECT_TRUE(slow.complete);
  EXPECT_EQ(slow.body, SimBody(0, kBytes));
}

TEST_F(H2ClientConnectionTest, AnUpstreamThatDoesNotReadCongestsItsStream) {
  SimH2Options options;
  options.open_streams = false;
  Connect(options);
  TestExchange& post = Send("POST", "/", false);
  const std::string piece = SimBody(0, 65'535);
  Proxy([&] { post.stream->SendBody(piece, false); });
  EXPECT_FALSE(post.stream->congested()) << "it fits the window";
  Proxy([&] {
    for (int i = 0; i < 3; ++i) post.stream->SendBody(piece, false);
  });
  EXPECT_TRUE(post.stream->congested());
  EXPECT_EQ(post.writable, 0);
  Upstream([](auto& u) { u.session().OpenWindow(u.stream(1)); });
  Upstream([](auto& u) { u.session().OpenWindow(u.stream(1)); });
  Upstream([](auto& u) { u.session().OpenWindow(u.stream(1)); });
  EXPECT_EQ(post.writable, 1);
  EXPECT_EQ(upstream->stream(1).in.body_bytes, 4 * piece.size());
  Proxy([&] { post.Cancel(); });
}

// ---- concurrency

TEST_F(H2ClientConnectionTest, RoomIsWhatTheUpstreamAllows) {
  SimH2Options options;
  options.max_streams = 3;
  Connect(options);
  EXPECT_EQ(connection->room(), 3u);
  EXPECT_EQ(context.streams_per_connection, 3u);
  Send("GET", "/");
  EXPECT_EQ(connection->room(), 2u);
}

TEST_F(H2ClientConnectionTest, RoomIsNotMoreThanWeWant) {
  context.options.max_concurrent_streams = context.streams_per_connection = 7;
  SimH2Options options;
  options.max_streams = 1000;
  Connect(options);
  EXPECT_EQ(connection->room(), 7u);
}

TEST_F(H2ClientConnectionTest, AnUpstreamMayChangeItsMind) {
  upstream_is_honest = false;  // its session knows nothing of the SETTINGS that are sent by hand
  Connect();
  TestExchange& one = Send("GET", "/");
  TestExchange& two = Send("GET", "/");
  Upstream([](auto& u) { u.Raw(SettingsFrame({{h2::kMaxConcurrentStreams, 1}})); });
  EXPECT_EQ(connection->room(), 0u);
  Upstream([](auto& u) { u.Respond(1); });
  EXPECT_TRUE(one.complete);
  EXPECT_EQ(connection->room(), 0u);
  available = 0;
  Upstream([](auto& u) { u.Raw(SettingsFrame({{h2::kMaxConcurrentStreams, 2}})); });
  EXPECT_EQ(connection->room(), 1u);
  EXPECT_EQ(available, 1) << "the owner is told";
  Upstream([](auto& u) { u.Respond(3); });
  EXPECT_TRUE(two.complete);
}

TEST_F(H2ClientConnectionTest, ANewRequestMayBeSentFromWithinAnEnd) {
  Connect();
  TestExchange& one = Send("GET", "/1");
  TestExchange& two = Prepare("GET", "/2");
  one.on_complete = [&] { Start(two); };
  Upstream([](auto& u) { u.Respond(1); });
  Upstream([](auto& u) { u.Respond(3); });
  EXPECT_TRUE(two.complete);
}

// ---- refusals and goodbyes

TEST_F(H2ClientConnectionTest, ARefusedStreamIsSaidToBeRefused) {
  Connect();
  TestExchange& post = Send("POST", "/", false);
  Upstream([](auto& u) { u.session().Reset(u.stream(1), h2::kRefusedStream); });
  ExpectFailure(post, Kind::kRefused, "upstream_refused");
  EXPECT_FALSE(post.failure->response_begun);
  EXPECT_EQ(closed, 0);
  EXPECT_EQ(available, 1);
  EXPECT_EQ(connection->room(), 100u);
}

TEST_F(H2ClientConnectionTest, ARefusalAfterAnInterimResponseIsNone) {
  Connect();
  TestExchange& post = Send("POST", "/");
  Upstream([](auto& u) {
    u.Head(1, 100);
    u.session().Reset(u.stream(1), h2::kRefusedStream);
  });
  ExpectFailure(post, Kind::kStreamReset, "upstream_reset_stream");
  EXPECT_TRUE(post.failure->response_begun);
}

TEST_F(H2ClientConnectionTest, AGoawayRefusesWhatIsAboveItsId) {
  Connect();
  TestExchange& one = Send("GET", "/1");
  TestExchange& two = Send("POST", "/2");
  TestExchange& three = Send("POST", "/3", false);
  Upstream([](auto& u) { u.session().Goaway(1, h2::kNoError); });
  EXPECT_EQ(draining, 1);
  EXPECT_EQ(connection->room(), 0u);
  EXPECT_EQ(connection->active(), 1u);
  ExpectFailure(two, Kind::kRefused, "upstream_refused");
  ExpectFailure(three, Kind::kRefused, "upstream_refused");
  Upstream([](auto& u) { u.Respond(1); });
  EXPECT_TRUE(one.complete) << "what the upstream has taken goes on";
  EXPECT_EQ(closed, 1) << "and then nothing is left";
}

TEST_F(H2ClientConnectionTest, TheTwoStagesOfAGoodbye) {
  Connect();
  TestExchange& one = Send("GET", "/1");
  TestExchange& two = Send("GET", "/2");
  Upstream([](auto& u) { u.session().Goaway(h2::kMaxStreamId, h2::kNoError); });
  EXPECT_EQ(draining, 1);
  EXPECT_EQ(connection->room(), 0u);
  EXPECT_FALSE(one.failure);
  EXPECT_FALSE(two.failure);
  Upstream([](auto& u) { u.session().Goaway(3, h2::kNoError); });
  EXPECT_EQ(draining, 1) << "once";
  Upstream([](auto& u) {
    u.Respond(1);
    u.Respond(3);
  });
  EXPECT_TRUE(one.complete);
  EXPECT_TRUE(two.complete);
  EXPECT_EQ(closed, 1);
}

TEST_F(H2ClientConnectionTest, AGoawayThatComesWhileARequestLeavesRefusesIt) {
  Connect();
  loop.Dispatch([&] { upstream->session().Goaway(0, h2::kNoError); });
  TestExchange& post = Prepare("POST", "/");
  loop.Dispatch([&] { Start(post, false); });
  Run();
  ExpectFailure(post, Kind::kRefused, "upstream_refused");
  EXPECT_EQ(closed, 1);
}

TEST_F(H2ClientConnectionTest, AResetIsOfTheStreamOnly) {
  Connect();
  TestExchange& one = Send("GET", "/1");
  TestExchange& two = Send("GET", "/2");
  Upstream([](auto& u) {
    u.Head(1, 200);
    u.session().SendBytes(u.stream(1), "half");
    u.session().Reset(u.stream(1), h2::kInternalError);
  });
  ExpectFailure(one, Kind::kStreamReset, "upstream_reset_stream");
  EXPECT_TRUE(one.failure->response_begun);
  Upstream([](auto& u) { u.Respond(3); });
  EXPECT_TRUE(two.complete);
}

TEST_F(H2ClientConnectionTest, ACancelledExchangeIsToldToTheUpstream) {
  Connect();
  TestExchange& get = Send("GET", "/");
  Proxy([&] { get.Cancel(); });
  EXPECT_EQ(upstream->stream(1).reset_by_peer, h2::kCancel);
  EXPECT_EQ(connection->room(), 100u);
  EXPECT_EQ(available, 1);
  EXPECT_FALSE(get.failure);
}

TEST_F(H2ClientConnectionTest, ARequestCancelledBeforeItLeftIsNeverSeen) {
  Connect();
  TestExchange& get = Prepare("GET", "/");
  Proxy([&] {
    Start(get);
    get.Cancel();
  });
  TestExchange& next = Send("GET", "/next");
  const uint32_t id = upstream->session().last_peer_stream();
  EXPECT_EQ(upstream->stream(id).in.target, "/next");
  Upstream([&](auto& u) { u.Respond(id); });
  EXPECT_TRUE(next.complete);
}

// ---- a connection that breaks

TEST_F(H2ClientConnectionTest, ABrokenConnectionFailsEachExchangeOnce) {
  Connect();
  TestExchange& one = Send("GET", "/1");
  TestExchange& two = Send("GET", "/2");
  Upstream([](auto& u) { u.Head(3, 200); });
  Upstream([](auto& u) { u.Reset(); });
  ExpectFailure(one, Kind::kReset, "upstream_reset_before_response");
  EXPECT_FALSE(one.failure->response_begun);
  ExpectFailure(two, Kind::kReset, "upstream_reset_mid_response");
  EXPECT_TRUE(two.failure->response_begun);
  EXPECT_EQ(closed, 1);
}

TEST_F(H2ClientConnectionTest, AnEndOfFileFailsWhatIsUnderWay) {
  Connect();
  TestExchange& get = Send("GET", "/");
  Upstream([](auto& u) { u.HalfClose(); });
  ExpectFailure(get, Kind::kReset, "upstream_closed_before_response");
  EXPECT_EQ(closed, 1);
}

TEST_F(H2ClientConnectionTest, ClosingFailsWhatIsUnderWay) {
  Connect();
  TestExchange& get = Send("GET", "/");
  Proxy([&] { connection->Close(); });
  ExpectFailure(get, Kind::kReset, "connection_closed_by_proxy");
  EXPECT_TRUE(upstream->closed_by_peer());
}

// ---- tunnels

TEST_F(H2ClientConnectionTest, AConnectBecomesATunnel) {
  Connect();
  TestExchange& tunnel = Prepare("CONNECT", "db.test:5432");
  Proxy([&] { Start(tunnel, /*end_stream=*/true); });
  EXPECT_THAT(upstream->stream(1).in.headers,
              ElementsAre(Pair(":method", "CONNECT"), Pair(":authority", "db.test:5432")));
  EXPECT_FALSE(upstream->stream(1).in.complete);
  Upstream([](auto& u) { u.Head(1, 200); });
  EXPECT_EQ(tunnel.status, 200);
  Proxy([&] { tunnel.stream->SendBody("ping", false); });
  EXPECT_EQ(upstream->stream(1).in.body, "ping");
  Upstream([](auto& u) {
    u.session().SendBytes(u.stream(1), "pong");
    u.session().Finish(u.stream(1));
  });
  EXPECT_EQ(tunnel.body, "pong");
  EXPECT_TRUE(tunnel.complete);
  EXPECT_EQ(connection->active(), 1u) << "the other direction is open";
  Proxy([&] { tunnel.stream->SendBody("bye", true); });
  EXPECT_EQ(upstream->stream(1).in.body, "pingbye");
  EXPECT_TRUE(upstream->stream(1).in.complete);
  EXPECT_EQ(connection->active(), 0u);
}

TEST_F(H2ClientConnectionTest, ARefusedConnectIsAResponse) {
  Connect();
  TestExchange& tunnel = Send("CONNECT", "db.test:5432");
  Upstream([](auto& u) { u.Head(1, 403, {}, true); });
  EXPECT_EQ(tunnel.status, 403);
  EXPECT_TRUE(tunnel.complete);
  EXPECT_EQ(connection->active(), 0u);
}

// ---- WebSockets (RFC 8441)

class H2WebSocketTest : public H2ClientConnectionTest {
 protected:
  static SimH2Options Willing() {
    SimH2Options options;
    options.extended_connect = true;
    return options;
  }
  // Nothing may come before the SETTINGS, the ACK of ours neither.
  void ConnectWithoutSettings(SimH2Options options) {
    options.ack_settings = false;
    Connect(options, /*settings=*/false);
  }
  TestExchange& PrepareWebSocket() {
    TestExchange& exchange = Prepare("GET", "/chat");
    exchange.request.upgrade = "websocket";
    exchange.request.headers.Add("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
    exchange.request.headers.Add("Sec-WebSocket-Version", "13");
    return exchange;
  }
  TestExchange& SendWebSocket() {
    TestExchange& exchange = PrepareWebSocket();
    Proxy([&] { Start(exchange); });
    return exchange;
  }
};

TEST_F(H2WebSocketTest, ItIsAnExtendedConnectAndBecomesATunnel) {
  Connect(Willing());
  TestExchange& tunnel = SendWebSocket();
  EXPECT_THAT(upstream->stream(1).in.headers,
              ElementsAre(Pair(":method", "CONNECT"), Pair(":protocol", "websocket"),
                          Pair(":scheme", "http"), Pair(":authority", "app.test"),
                          Pair(":path", "/chat"), Pair("sec-websocket-version", "13")));
  EXPECT_FALSE(upstream->stream(1).in.complete);
  Upstream([](auto& u) {
    u.Head(1, 200, {{"sec-websocket-protocol", "chat"}, {"sec-websocket-accept", "of no key"}});
  });
  EXPECT_EQ(tunnel.status, 101);
  EXPECT_EQ(tunnel.upgrade, "websocket");
  EXPECT_THAT(tunnel.headers, ElementsAre(Pair("sec-websocket-protocol", "chat")));
  Proxy([&] { tunnel.stream->SendBody("ping", false); });
  EXPECT_EQ(upstream->stream(1).in.body, "ping");
  Upstream([](auto& u) {
    u.session().SendBytes(u.stream(1), "pong");
    u.session().Finish(u.stream(1));
  });
  EXPECT_EQ(tunnel.body, "pong");
  EXPECT_TRUE(tunnel.complete);
  EXPECT_EQ(connection->active(), 1u) << "the other direction is open";
  Proxy([&] { tunnel.stream->SendBody("bye", true); });
  EXPECT_EQ(upstream->stream(1).in.body, "pingbye");
  EXPECT_EQ(connection->active(), 0u);
}

TEST_F(H2WebSocketTest, ARefusalIsAResponse) {
  Connect(Willing());
  TestExchange& tunnel = SendWebSocket();
  Upstream([](auto& u) {
    u.Head(1, 403, {{"content-length", "4"}});
    u.session().SendBytes(u.stream(1), "go!!");
    u.session().Finish(u.stream(1));
  });
  EXPECT_EQ(tunnel.status, 403);
  EXPECT_EQ(tunnel.body, "go!!");
  EXPECT_TRUE(tunnel.complete);
  EXPECT_EQ(connection->active(), 0u);
}

TEST_F(H2WebSocketTest, AResetEndsIt) {
  Connect(Willing());
  TestExchange& before = SendWebSocket();
  TestExchange& behind = SendWebSocket();
  Upstream([](auto& u) {
    u.session().Reset(u.stream(1), h2::kCancel);
    u.Head(3, 200);
    u.session().Reset(u.stream(3), h2::kCancel);
  });
  ExpectFailure(before, Kind::kStreamReset, "upstream_reset_stream");
  EXPECT_FALSE(before.failure->response_begun);
  ExpectFailure(behind, Kind::kStreamReset, "upstream_reset_stream");
  EXPECT_TRUE(behind.failure->response_begun);
}

TEST_F(H2WebSocketTest, ItWaitsForTheSettings) {
  ConnectWithoutSettings(Willing());
  TestExchange& tunnel = SendWebSocket();
  TestExchange& get = Send("GET", "/");
  EXPECT_EQ(connection->active(), 2u);
  ASSERT_EQ(upstream->session().streams().size(), 1u) << "other requests do not wait";
  // What the head was made of may be written over by now.
  tunnel.request.path = "/other";
  Upstream([](auto& u) { u.session().Start(); });
  ASSERT_EQ(upstream->session().streams().size(), 2u);
  EXPECT_EQ(upstream->stream(3).in.target, "/chat");
  Upstream([](auto& u) {
    u.Respond(1);
    u.Head(3, 200);
  });
  EXPECT_TRUE(get.complete);
  EXPECT_EQ(tunnel.status, 101);
}

TEST_F(H2WebSocketTest, AnUpstreamThatDoesNotTakeThem) {
  ConnectWithoutSettings({});
  TestExchange& early = SendWebSocket();
  EXPECT_FALSE(early.failure);
  Upstream([](auto& u) { u.session().Start(); });
  ExpectFailure(early, Kind::kProtocol, "upstream_without_websocket");
  EXPECT_FALSE(early.failure->response_begun);
  TestExchange& late = PrepareWebSocket();
  Proxy([&] {
    Start(late);
    EXPECT_FALSE(late.failure) << "who starts it could not be told yet";
  });
  ExpectFailure(late, Kind::kProtocol, "upstream_without_websocket");
  EXPECT_EQ(connection->active(), 0u);
  EXPECT_TRUE(upstream->session().streams().empty());
  TestExchange& get = Send("GET", "/");
  Upstream([](auto& u) { u.Respond(1); });
  EXPECT_TRUE(get.complete);
}

TEST_F(H2WebSocketTest, OneThatWaitsMayBeGivenUp) {
  ConnectWithoutSettings(Willing());
  TestExchange& given_up = SendWebSocket();
  TestExchange& kept = SendWebSocket();
  Proxy([&] { given_up.Cancel(); });
  EXPECT_EQ(connection->active(), 1u);
  Upstream([](auto& u) { u.session().Start(); });
  EXPECT_EQ(upstream->session().streams().size(), 1u);
  Upstream([](auto& u) { u.Head(1, 200); });
  EXPECT_EQ(kept.status, 101);
  EXPECT_TRUE(upstream->session().streams().at(1).reset_by_peer == std::nullopt);
}

TEST_F(H2WebSocketTest, OneThatWaitsWasNotProcessedWhenTheConnectionEnds) {
  ConnectWithoutSettings(Willing());
  TestExchange& tunnel = SendWebSocket();
  Upstream([](auto& u) { u.Reset(); });
  ExpectFailure(tunnel, Kind::kRefused, "upstream_refused");
}

// ---- upstreams that break the rules

class HostileUpstreamTest : public H2ClientConnectionTest {
 protected:
  HostileUpstreamTest() { upstream_is_honest = false; }

  // Ends the one exchange, and not the connection.
  void ExpectStreamError(const std::function<void(TestH2Upstream&)>& act, std::string_view detail) {
    TestExchange& bad = Send("GET", "/bad");
    TestExchange& good = Send("GET", "/good");
    const uint32_t id = upstream->session().last_peer_stream();
    Upstream(act);
    ExpectFailure(bad, Kind::kProtocol, detail);
    Upstream([&](auto& u) { u.Respond(id); });
    EXPECT_TRUE(good.complete) << "the other exchange goes on";
    EXPECT_EQ(closed, 0);
  }

  // Ends the connection: each exchange fails, once.
  void ExpectConnectionError(const std::function<void(TestH2Upstream&)>& act, uint32_t error) {
    TestExchange& one = Send("GET", "/1");
    TestExchange& two = Send("GET", "/2");
    Upstream(act);
    ExpectFailure(one, Kind::kProtocol, "upstream_broke_http2_connection");
    ExpectFailure(two, Kind::kProtocol, "upstream_broke_http2_connection");
    EXPECT_EQ(closed, 1);
    // A reset behind it may have destroyed it.
    for (const SimH2Goaway& goaway : upstream->session().goaways()) EXPECT_EQ(goaway.error, error);
  }
};

constexpr char kBrokeRule[] = "upstream_broke_http2_rule";

TEST_F(HostileUpstreamTest, ABodyLongerThanItsLength) {
  Connect();
  ExpectStreamError(
      [](auto& u) {
        u.Head(1, 200, {{"content-length", "3"}});
        u.session().SendBytes(u.stream(1), "four");
      },
      kBrokeRule);
}

TEST_F(HostileUpstreamTest, ABodyShorterThanItsLength) {
  Connect();
  ExpectStreamError(
      [](auto& u) {
        u.Head(1, 200, {{"content-length", "5"}});
        u.session().SendBytes(u.stream(1), "four");
        u.session().Finish(u.stream(1));
      },
      kBrokeRule);
}

TEST_F(HostileUpstreamTest, FieldsOfAnotherProtocol) {
  Connect();
  ExpectStreamError([](auto& u) { u.Head(1, 200, {{"connection", "close"}}, true); }, kBrokeRule);
}

TEST_F(HostileUpstreamTest, ANameInUpperCase) {
  Connect();
  ExpectStreamError([](auto& u) { u.Head(1, 200, {{"X-Upper", "1"}}, true); }, kBrokeRule);
}

TEST_F(HostileUpstreamTest, AHeadWithoutAStatus) {
  Connect();
  ExpectStreamError(
      [](auto& u) {
        u.session().SendHead(u.stream(1), {{"x", "1"}}, true);
      },
      kBrokeRule);
}

TEST_F(HostileUpstreamTest, SwitchingProtocols) {
  Connect();
  ExpectStreamError([](auto& u) { u.Head(1, 101); }, kBrokeRule);
}

TEST_F(HostileUpstreamTest, ABodyBeforeItsHead) {
  Connect();
  ExpectConnectionError([](auto& u) { u.Raw({h2::kData, 0, 1, "early"}); }, h2::kProtocolError);
}

TEST_F(HostileUpstreamTest, AHeadTooLarge) {
  context.limits.header_bytes = 1000;
  Connect();
  ExpectStreamError(
      [](auto& u) {
        u.Head(1, 200, {{"x-large", std::string(1000, 'v')}});
      },
      "header_bytes");
}

TEST_F(HostileUpstreamTest, AHeadWithTooManyFields) {
  context.limits.header_count = 10;
  Connect();
  SimFields fields;
  for (int i = 0; i < 11; ++i) fields.emplace_back("x-" + std::to_string(i), "1");
  ExpectStreamError([&](auto& u) { u.Head(1, 200, fields); }, "header_bytes");
}

TEST_F(HostileUpstreamTest, AHeadThatNeverEnds) {
  Connect();
  ExpectConnectionError(
      [](auto& u) {
        u.Raw({h2::kHeaders, 0, 1, "\x88"});
        // A field without indexing, named "a", of 100 bytes; over and over.
        const std::string field = std::string(
                                      "\x00\x01"
                                      "a\x64",
                                      4) +
                                  std::string(100, 'v');
        for (int i = 0; i < 10'000; ++i) u.Raw({h2::kContinuation, 0, 1, field});
      },
      h2::kEnhanceYourCalm);
}

TEST_F(HostileUpstreamTest, AFloodOfPings) {
  Connect();
  ExpectConnectionError(
      [](auto& u) {
        for (int i = 0; i < 1000; ++i) u.session().Ping("12345678");
      },
      h2::kEnhanceYourCalm);
}

TEST_F(HostileUpstreamTest, AFloodOfSettings) {
  Connect();
  ExpectConnectionError(
      [](auto& u) {
        for (int i = 0; i < 1000; ++i) u.Raw(SettingsFrame({}));
      },
      h2::kEnhanceYourCalm);
}

TEST_F(HostileUpstreamTest, AFloodOfEmptyData) {
  Connect();
  ExpectConnectionError(
      [](auto& u) {
        u.Head(1, 200);
        for (int i = 0; i < 1000; ++i) u.Raw({h2::kData, 0, 1, ""});
      },
      h2::kEnhanceYourCalm);
}

TEST_F(HostileUpstreamTest, FramesOfAStreamThatNeverWas) {
  Connect();
  ExpectConnectionError([](auto& u) { u.Raw({h2::kData, 0, 99, "what"}); }, h2::kProtocolError);
}

TEST_F(HostileUpstreamTest, APushPromise) {
  Connect();
  ExpectConnectionError(
      [](auto& u) {
        u.Raw({h2::kPushPromise, h2::kEndHeaders, 1, EncodeWord(2) + "\x82"});
      },
      h2::kProtocolError);
}

TEST_F(HostileUpstreamTest, FramesOfAStreamThatIsOverAreLetGo) {
  Connect();
  TestExchange& cancelled = Send("GET", "/");
  TestExchange& good = Send("GET", "/good");
  Proxy([&] { cancelled.Cancel(); });
  Upstream([](auto& u) {
    // It was on its way before the RST_STREAM came.
    u.Raw({h2::kHeaders, h2::kEndHeaders, 1, "\x88"});
    u.Raw({h2::kData, h2::kEndStream, 1, "late"});
    u.Respond(3);
  });
  EXPECT_TRUE(good.complete);
  EXPECT_EQ(closed, 0);
}

TEST_F(HostileUpstreamTest, BytesThatAreNotHttp2) {
  SimH2Options options;
  options.ack_settings = false;
  Connect(options, /*settings=*/false);
  TestExchange& get = Send("GET", "/");
  Run();
  Upstream([](auto& u) { u.session().Write("HTTP/1.1 400 Bad Request\r\n\r\n"); });
  ExpectFailure(get, Kind::kProtocol, "upstream_broke_http2_connection");
  EXPECT_EQ(closed, 1);
}

}  // namespace
}  // namespace sluice
