// What a drain does with long-lived streams, one kind at a time: told at once, at the deadline, and
// as its route says.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "lifecycle/exit_code.h"
#include "support/event_stream.h"
#include "support/proxy_sim.h"
#include "support/sim_stream_origin.h"
#include "support/sim_websocket.h"

namespace sluice {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::Pair;

class LongLivedDrainTest : public testing::Test {
 protected:
  static ProxySimOptions Options(OnDrain on_drain = OnDrain::kByKind) {
    ProxySimOptions options;
    options.on_drain = on_drain;
    options.route_timeout = {};
    options.drain.propagation_delay = {};
    options.drain.jitter = {};
    options.drain.deadline = 20s;
    return options;
  }

  void Build(const ProxySimOptions& options) {
    sim_ = std::make_unique<ProxySim>(1, options);
    if (options.cluster.protocol == UpstreamProtocol::kHttp2) return;
    origin_ = std::make_unique<SimStreamOrigin>(sim_->loop, sim_->network, "origin", 1);
  }

  ~LongLivedDrainTest() override {
    sockets_.clear();
    client_.reset();
    h2_client_.reset();
    origin_.reset();
  }

  SimWebSocket& Open(const std::string& target, WebSocketManner manner = WebSocketManner::kPolite) {
    sockets_.push_back(std::make_unique<SimWebSocket>(*sim_, sockets_.size(), target, manner));
    SimWebSocket& socket = *sockets_.back();
    EXPECT_TRUE(sim_->Until([&] { return socket.client().answered() == 1; }));
    return socket;
  }

  void Get(const std::string& target) {
    client_ = sim_->Connect();
    client_->on_end = [this] { client_->Close(); };
    client_->Request("GET", target);
    ASSERT_TRUE(sim_->Until([&] {
      return origin_->Find(target) != nullptr &&
             (target == "/silent" || !client_->responses().empty());
    }));
  }
  const SimMessage& Response() const { return client_->responses().at(0); }
  const SimH2Stream& Stream(uint32_t id) const { return h2_client_->stream(id); }

  // How long it takes from the signal to the exit.
  Duration Drain() {
    const TimePoint begun = sim_->loop.Now();
    sim_->BeginDrain();
    EXPECT_TRUE(sim_->UntilExited());
    return sim_->loop.Now() - begun;
  }

  std::unique_ptr<ProxySim> sim_;
  std::unique_ptr<SimStreamOrigin> origin_;
  std::vector<std::unique_ptr<SimWebSocket>> sockets_;
  std::unique_ptr<SimClient> client_;
  std::unique_ptr<SimH2Client> h2_client_;
};

// ---- WebSockets

TEST_F(LongLivedDrainTest, AWebSocketIsToldAndTheProcessExitsAtOnce) {
  Build(Options());
  SimWebSocket& socket = Open("/websocket?count=1000&ms=20");
  sim_->loop.RunFor(5s);
  EXPECT_LT(Drain(), 1s);
  ASSERT_TRUE(socket.reader().close());
  EXPECT_EQ(socket.reader().close()->code, 1001);
  EXPECT_EQ(socket.reader().error(), "");
  EXPECT_EQ(sim_->log.back().record.end, StreamEnd::kComplete);
  EXPECT_EQ(sim_->Progress().streams_told, 1u);
  EXPECT_EQ(sim_->controller.exit_code(), 0);
}

// More than the proxy keeps of what a request needs.
TEST_F(LongLivedDrainTest, ManyWebSocketsAreToldOverTheSpread) {
  ProxySimOptions options = Options();
  options.drain.spread = 5s;
  Build(options);
  for (int i = 0; i < 700; ++i) Open("/websocket?id=" + std::to_string(i));
  sim_->BeginDrain();
  sim_->loop.RunFor(2500ms);
  EXPECT_NEAR(static_cast<double>(sim_->Progress().streams_told), 350, 10);
  ASSERT_TRUE(sim_->UntilExited());
  for (const auto& socket : sockets_) {
    ASSERT_TRUE(socket->reader().close());
    EXPECT_EQ(socket->reader().close()->code, 1001);
    EXPECT_EQ(origin_->Find(socket->target())->heard, socket->said());
  }
  EXPECT_EQ(sim_->controller.exit_code(), 0);
}

TEST_F(LongLivedDrainTest, ADeafClientIsBoundedAndItsUpstreamHearsOfIt) {
  Build(Options());
  Open("/websocket?count=3", WebSocketManner::kDeaf);
  const Duration took = Drain();
  EXPECT_GE(took, WebSocketConfig().close_timeout);
  EXPECT_LT(took, WebSocketConfig().close_timeout + 2s);
  EXPECT_EQ(sim_->Progress().streams_lost, 1u);
  sim_->loop.RunFor(1s);
  ASSERT_TRUE(origin_->sessions()[0]->close);
  EXPECT_EQ(origin_->sessions()[0]->close->code, 1001);
}

TEST_F(LongLivedDrainTest, AWebSocketMayBeToldAtTheSecondSignal) {
  Build(Options(OnDrain::kFinish));
  SimWebSocket& socket = Open("/websocket?count=1000&ms=20");
  sim_->BeginDrain();
  sim_->loop.RunFor(5s);
  EXPECT_FALSE(socket.reader().close());
  EXPECT_LT(Drain(), 2s);
  EXPECT_EQ(socket.reader().error(), "");
  // In the middle of a frame it is cut; between two it is told.
  EXPECT_EQ(socket.reader().close().has_value(), sim_->controller.exit_code() == 0);
}

TEST_F(LongLivedDrainTest, AWebSocketMayFinish) {
  Build(Options(OnDrain::kFinish));
  SimWebSocket& socket = Open("/websocket?count=10", WebSocketManner::kCloses);
  EXPECT_LT(Drain(), 20s);
  ASSERT_TRUE(socket.reader().close());
  EXPECT_EQ(socket.reader().close()->code, 1000) << "the upstream's answer";
  EXPECT_EQ(sim_->Progress().streams_told, 0u);
}

TEST_F(LongLivedDrainTest, MoreWebSocketsThanAllowedAreRefused) {
  ProxySimOptions options = Options();
  options.limits.websockets = 2;
  Build(options);
  SimWebSocket& first = Open("/websocket?id=1");
  Open("/websocket?id=2");
  SimWebSocket& third = Open("/websocket?id=3");
  EXPECT_FALSE(third.open());
  EXPECT_EQ(third.client().responses().at(0).status, 503);
  EXPECT_EQ(sim_->log.back().record.detail, "websocket_limit");

  // Offered among others it is one, too.
  auto among = sim_->Connect();
  among->Request("GET", "/websocket?id=5",
                 "Connection: upgrade\r\nUpgrade: echo, websocket\r\nSec-WebSocket-Version: 13\r\n"
                 "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n");
  sim_->loop.RunFor(1s);
  ASSERT_FALSE(among->responses().empty());
  EXPECT_EQ(among->responses().at(0).status, 503);
  among.reset();

  first.client().Reset();
  sim_->loop.RunFor(1s);
  EXPECT_TRUE(Open("/websocket?id=4").open());
}

// ---- event streams

TEST_F(LongLivedDrainTest, AnEventStreamIsCompleteAfterItsLastEvent) {
  ProxySimOptions options = Options();
  options.event_stream.retry = 3s;
  Build(options);
  Get("/events?count=50&ms=20");
  sim_->loop.RunFor(200ms);
  EXPECT_LT(Drain(), 1s);
  EXPECT_TRUE(Response().complete);
  EXPECT_TRUE(Response().body.ends_with("retry: 3000\n\n")) << Response().body;
  EXPECT_TRUE(test::IsBetweenEvents(Response().body));
  EXPECT_EQ(sim_->controller.exit_code(), 0);
}

TEST_F(LongLivedDrainTest, AnEventStreamOverHttp2) {
  Build(Options());
  h2_client_ = sim_->ConnectH2();
  h2_client_->on_end = [this] { h2_client_->Close(); };
  const uint32_t id = h2_client_->Request("GET", "/events?count=50&ms=20");
  ASSERT_TRUE(sim_->Until([&] { return Stream(id).in.body_bytes > 100; }));
  EXPECT_LT(Drain(), 1s);
  EXPECT_EQ(h2_client_->complaint(), "");
  EXPECT_TRUE(Stream(id).in.complete);
  EXPECT_TRUE(test::IsBetweenEvents(Stream(id).in.body)) << Stream(id).in.body;
  EXPECT_TRUE(origin_->sessions()[0]->text.starts_with(Stream(id).in.body));
  EXPECT_EQ(sim_->log.back().record.protocol, Protocol::kEventStream);
}

TEST_F(LongLivedDrainTest, AnEventStreamThatMayFinishIsEndedAtTheDeadline) {
  Build(Options(OnDrain::kFinish));
  Get("/events?count=5");
  sim_->loop.RunFor(1s);
  const Duration took = Drain();
  EXPECT_GE(took, 20s);
  EXPECT_LT(took, 22s);
  EXPECT_TRUE(Response().complete);
  EXPECT_EQ(Response().body, origin_->sessions()[0]->text);
  EXPECT_EQ(sim_->controller.exit_code(), 0);
}

TEST_F(LongLivedDrainTest, ACompressedEventStreamIsCutAtTheDeadline) {
  Build(Options());
  Get("/endless?compressed=1&ms=100");
  EXPECT_GE(Drain(), 20s);
  EXPECT_FALSE(Response().complete);
  EXPECT_EQ(sim_->log.back().record.end, StreamEnd::kCut);
  EXPECT_EQ(sim_->Progress().cut[static_cast<size_t>(Protocol::kEventStream)], 1u);
  EXPECT_EQ(sim_->controller.exit_code(), kExitCut);
}

// ---- routes that want an early end

TEST_F(LongLivedDrainTest, ALongPollIsAnswered) {
  Build(Options(OnDrain::kEndEarly));
  Get("/silent");
  sim_->loop.RunFor(30s);
  EXPECT_LT(Drain(), 1s);
  EXPECT_TRUE(Response().complete);
  EXPECT_EQ(Response().status, 503);
  EXPECT_NE(Response().Header("retry-after"), "");
  EXPECT_EQ(sim_->log.back().record.detail, "drain_end_early");
  EXPECT_EQ(sim_->log.back().record.end, StreamEnd::kComplete);
  EXPECT_EQ(sim_->controller.exit_code(), 0);
}

TEST_F(LongLivedDrainTest, AYoungRequestHasASecond) {
  Build(Options(OnDrain::kEndEarly));
  Get("/silent");
  const Duration took = Drain();
  EXPECT_GT(took, 900ms);
  EXPECT_LT(took, 2s);
  EXPECT_EQ(Response().status, 503);
}

TEST_F(LongLivedDrainTest, AnEndlessDownloadIsCutAndCounted) {
  Build(Options(OnDrain::kEndEarly));
  Get("/endless?ms=10");
  sim_->loop.RunFor(30s);
  EXPECT_LT(Drain(), 2s);
  EXPECT_FALSE(Response().complete);
  EXPECT_EQ(sim_->log.back().record.end, StreamEnd::kCut);
  EXPECT_EQ(sim_->Progress().cut_total(), 1u);
  EXPECT_EQ(sim_->controller.exit_code(), kExitCut);
}

TEST_F(LongLivedDrainTest, AnEndlessDownloadMayGoOnUntilTheDeadline) {
  Build(Options());
  Get("/endless?ms=10");
  EXPECT_GE(Drain(), 20s);
  EXPECT_FALSE(Response().complete);
  EXPECT_EQ(sim_->log.back().record.end, StreamEnd::kCut);
}

// ---- gRPC

class GrpcEarlyEndTest : public LongLivedDrainTest {
 protected:
  void Build(OnDrain on_drain) {
    ProxySimOptions options = Options(on_drain);
    options.cluster.protocol = UpstreamProtocol::kHttp2;
    LongLivedDrainTest::Build(options);
    h2_client_ = sim_->ConnectH2();
  }
  uint32_t Call(const std::string& target) {
    const uint32_t id = h2_client_->Grpc(target);
    sim_->loop.RunFor(5s);
    return id;
  }
  void ExpectUnavailable(uint32_t id) {
    EXPECT_EQ(h2_client_->complaint(), "");
    EXPECT_THAT(Stream(id).in.trailers,
                ElementsAre(Pair("grpc-status", "14"), Pair("grpc-message", "draining")));
    EXPECT_EQ(Stream(id).in.body_bytes % kSimGrpcMessage, 0u);
  }
};

TEST_F(GrpcEarlyEndTest, AStreamBetweenTwoMessagesIsEndedEarly) {
  Build(OnDrain::kEndEarly);
  const uint32_t id =
      Call("/grpc-hold-mid?bytes=1000000&at=" + std::to_string(3 * kSimGrpcMessage));
  EXPECT_LT(Drain(), 2s);
  ExpectUnavailable(id);
  EXPECT_EQ(sim_->controller.exit_code(), 0);
}

TEST_F(GrpcEarlyEndTest, AMessageThatHasBegunIsFinishedFirst) {
  Build(OnDrain::kEndEarly);
  const uint32_t id = Call("/grpc-stream?bytes=10000000&chunk=7&ms=20");
  ASSERT_GT(Stream(id).in.body_bytes, 0u);
  EXPECT_LT(Drain(), 2s);
  ExpectUnavailable(id);
}

TEST_F(GrpcEarlyEndTest, ACallWithoutAHeadIsAnswered) {
  Build(OnDrain::kEndEarly);
  const uint32_t id = Call("/grpc-hold");
  EXPECT_LT(Drain(), 2s);
  EXPECT_TRUE(Stream(id).trailers_only);
  EXPECT_EQ(Stream(id).in.Header("grpc-status"), "14");
}

TEST_F(GrpcEarlyEndTest, AStreamThatMayFinishIsEndedAtTheDeadline) {
  Build(OnDrain::kByKind);
  const uint32_t id =
      Call("/grpc-hold-mid?bytes=1000000&at=" + std::to_string(3 * kSimGrpcMessage));
  EXPECT_GE(Drain(), 20s);
  ExpectUnavailable(id);
}

}  // namespace
}  // namespace sluice
