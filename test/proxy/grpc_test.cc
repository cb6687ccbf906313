// gRPC through the proxy: what a client is told when its call fails, and how long a call may take.
// The client is a FakeStream, the upstream a script that speaks HTTP/1.1 with trailers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/metrics.h"
#include "proxy/forwarding.h"
#include "proxy/proxy.h"
#include "proxy/router.h"
#include "support/fake_stream.h"
#include "support/proxy_extras.h"
#include "support/sim_loop.h"
#include "support/sim_network.h"

namespace sluice {
namespace {

using namespace std::chrono_literals;
using namespace std::string_literals;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

const std::string kMessage = "\0\0\0\0\5hello"s;

// The upstream's end of one connection.
class Upstream final : public TransportEvents {
 public:
  explicit Upstream(std::unique_ptr<Transport> transport) : transport_(std::move(transport)) {
    transport_->SetEvents(this);
  }

  void OnData(std::string_view bytes) override { received += bytes; }
  void OnEof() override { gone = true; }
  void OnWritable() override {}
  void OnError(int) override { gone = true; }

  Transport& transport() { return *transport_; }

  std::string received;
  bool gone = false;

 private:
  std::unique_ptr<Transport> transport_;
};

class GrpcProxyTest : public testing::Test {
 protected:
  GrpcProxyTest() {
    network_.At("upstream").accept = [this](std::unique_ptr<Transport> transport) {
      upstreams_.push_back(std::make_unique<Upstream>(std::move(transport)));
    };
  }

  ~GrpcProxyTest() override {
    if (stream_) stream_->Reset();
    loop_.RunFor(1s);
  }

  static ListenerConfig Listener(Duration route_timeout) {
    RouteConfig route;
    route.match.path = "/pkg.";
    route.clusters = {{"upstream", 1}};
    route.timeout = route_timeout;
    VirtualHost host;
    host.domains = {"*"};
    host.routes = {route};
    ListenerConfig listener;
    listener.virtual_hosts = {host};
    return listener;
  }

  static ClusterConfig UpstreamCluster() {
    ClusterConfig cluster;
    cluster.name = "upstream";
    cluster.endpoints = {{"upstream", 1}};
    return cluster;
  }

  void Serve(Duration route_timeout) {
    listener_ = Listener(route_timeout);
    router_ = std::move(Router::Build(listener_.virtual_hosts).value());
    proxy_ = std::make_unique<Proxy>(
        Proxy::Surroundings{loop_, *router_, forwarding_, clusters_, extras_.long_lived,
                            extras_.websocket_metrics, extras_.websockets, extras_.parts});
    clusters_["upstream"] = std::make_unique<Cluster>(loop_, network_, cluster_, shard_);
  }

  // A unary call, as an HTTP/2 codec hands it over.
  void Call(std::string_view timeout = {}, Duration route_timeout = 15s,
            std::string_view path = "/pkg.Service/Method") {
    Open(timeout, route_timeout, path);
    stream_->SendRequestBody(kMessage, true);
    loop_.RunFor(1ms);
  }

  // A call whose client is not done yet.
  void Open(std::string_view timeout = {}, Duration route_timeout = 15s,
            std::string_view path = "/pkg.Service/Method") {
    Serve(route_timeout);
    stream_ = std::make_unique<FakeStream>(loop_, "POST", path);
    stream_->record().protocol = Protocol::kGrpc;
    RequestHead& head = stream_->request();
    head.version = {2, 0};
    head.accepts_trailers = true;
    head.headers.Add("content-type", "application/grpc");
    if (!timeout.empty()) head.headers.Add("grpc-timeout", timeout);
    loop_.Dispatch([&] { stream_->Deliver(*proxy_, false); });
    loop_.RunFor(1ms);
  }

  // Not gRPC, for all that its fields say.
  void GetOverHttp() {
    Serve(15s);
    stream_ = std::make_unique<FakeStream>(loop_, "GET", "/pkg.");
    stream_->request().headers.Add("grpc-timeout", "1S");
    loop_.Dispatch([&] { stream_->Deliver(*proxy_); });
    loop_.RunFor(1ms);
  }

  Upstream& upstream() {
    EXPECT_EQ(upstreams_.size(), 1u);
    return *upstreams_.back();
  }

  void UpstreamSends(std::string bytes) {
    loop_.Dispatch([&] { upstream().transport().Write(loop_.Lend(std::move(bytes))); });
    loop_.RunFor(1ms);
  }

  void UpstreamSendsHead() {
    UpstreamSends(
        "HTTP/1.1 200 OK\r\nContent-Type: application/grpc\r\nTransfer-Encoding: chunked\r\n\r\n");
    ASSERT_EQ(stream_->status(), 200);
  }

  static std::string Chunk(const std::string& bytes) {
    constexpr char kDigits[] = "0123456789abcdef";
    return std::string(1, kDigits[bytes.size()]) + "\r\n" + bytes + "\r\n";
  }

  void UpstreamDies() {
    loop_.Dispatch([&] { upstream().transport().Close(); });
    loop_.RunFor(1ms);
  }

  // The call ended before a response began.
  void ExpectTrailersOnly(int status, std::string_view detail) {
    ASSERT_TRUE(stream_->ended());
    EXPECT_EQ(stream_->status(), 200);
    EXPECT_THAT(stream_->head()->headers, ElementsAre(Pair("Content-Type", "application/grpc"),
                                                      Pair("grpc-status", std::to_string(status)),
                                                      Pair("grpc-message", testing::_)));
    EXPECT_EQ(stream_->body_pieces(), 0u);
    EXPECT_EQ(stream_->record().grpc_status, status);
    EXPECT_EQ(stream_->record().detail, detail);
  }

  void ExpectTrailers(int status, std::string_view detail) {
    ASSERT_TRUE(stream_->ended());
    EXPECT_THAT(stream_->trailers(), Contains(Pair("grpc-status", std::to_string(status))));
    EXPECT_EQ(stream_->record().grpc_status, status);
    EXPECT_EQ(stream_->record().detail, detail);
  }

  SimLoop loop_;
  SimNetwork network_{loop_};
  Metrics metrics_;
  MetricShard& shard_ = metrics_.AddShard();
  ClusterConfig cluster_ = UpstreamCluster();
  ListenerConfig listener_;
  Forwarding forwarding_{listener_};
  std::unique_ptr<const Router> router_;
  ClusterMap clusters_;
  ProxyExtras extras_{loop_, shard_};
  std::unique_ptr<Proxy> proxy_;
  std::vector<std::unique_ptr<Upstream>> upstreams_;
  std::unique_ptr<FakeStream> stream_;
};

TEST_F(GrpcProxyTest, ACallGoesThroughWithItsTrailers) {
  Call("5S");
  EXPECT_THAT(upstream().received, HasSubstr("TE: trailers\r\n"));
  EXPECT_THAT(upstream().received, HasSubstr("Connection: TE\r\n"));
  EXPECT_THAT(upstream().received, HasSubstr("grpc-timeout: 5S\r\n")) << "passed on as it is";
  UpstreamSendsHead();
  UpstreamSends(Chunk(kMessage) + "0\r\ngrpc-status: 0\r\ngrpc-message: fine\r\n\r\n");
  ASSERT_TRUE(stream_->ended());
  EXPECT_EQ(stream_->body(), kMessage);
  EXPECT_THAT(stream_->trailers(),
              ElementsAre(Pair("grpc-status", "0"), Pair("grpc-message", "fine")));
  EXPECT_EQ(stream_->record().grpc_status, 0);
}

TEST_F(GrpcProxyTest, TrailersOnlyIsReadFromTheHead) {
  Call();
  UpstreamSends(
      "HTTP/1.1 200 OK\r\nContent-Type: application/grpc\r\nContent-Length: 0\r\n"
      "grpc-status: 5\r\n\r\n");
  ASSERT_TRUE(stream_->ended());
  EXPECT_EQ(stream_->head()->Value("grpc-status"), "5");
  EXPECT_EQ(stream_->record().grpc_status, 5);
}

// ---- errors before a response

TEST_F(GrpcProxyTest, NoRouteIsUnimplemented) {
  Open({}, 15s, "/other.Service/Method");
  ExpectTrailersOnly(12, "no_route");
}

TEST_F(GrpcProxyTest, NoConnectionIsUnavailable) {
  network_.At("upstream").accept = nullptr;
  Open();
  loop_.RunFor(1s);  // with two retries
  ExpectTrailersOnly(14, "connect_failed");
}

TEST_F(GrpcProxyTest, NoConnectionInTimeIsUnavailable) {
  network_.At("upstream").black_hole = true;
  Open();
  loop_.RunFor(3 * cluster_.connect_timeout + 1s);
  ExpectTrailersOnly(14, "connect_timeout");
}

TEST_F(GrpcProxyTest, AnUpstreamThatBreaksOffIsUnavailable) {
  Call();
  UpstreamDies();
  ExpectTrailersOnly(14, "upstream_closed_before_response");
}

TEST_F(GrpcProxyTest, AnUpstreamThatSendsSomethingElseIsInternal) {
  Call();
  UpstreamSends("HTTP/1.1 two hundred\r\n\r\n");
  ASSERT_TRUE(stream_->ended());
  EXPECT_EQ(stream_->head()->Value("grpc-status"), "13");
}

TEST_F(GrpcProxyTest, ARequestThatIsNotGrpcIsAnsweredInHttp) {
  network_.At("upstream").accept = nullptr;
  GetOverHttp();
  loop_.RunFor(1s);
  EXPECT_EQ(stream_->status(), 503);
  EXPECT_EQ(stream_->record().grpc_status, -1);
}

// ---- errors in a response

TEST_F(GrpcProxyTest, BetweenTwoMessagesTheStatusComesInTrailers) {
  Call();
  UpstreamSendsHead();
  UpstreamSends(Chunk(kMessage));
  UpstreamDies();
  EXPECT_EQ(stream_->body(), kMessage);
  ExpectTrailers(14, "upstream_closed_mid_response");
}

TEST_F(GrpcProxyTest, AfterTheHeadTheStatusComesInTrailers) {
  Call();
  UpstreamSendsHead();
  UpstreamSends("no chunk\r\n");
  ASSERT_TRUE(stream_->ended());
  EXPECT_THAT(stream_->trailers(), Contains(Pair("grpc-status", "13")));
}

TEST_F(GrpcProxyTest, InTheMiddleOfAMessageTheStreamIsBrokenOff) {
  Call();
  UpstreamSendsHead();
  UpstreamSends(Chunk(kMessage + "\0\0"s));
  UpstreamDies();
  EXPECT_EQ(stream_->aborted(), StreamEnd::kUpstreamFailed);
  EXPECT_EQ(stream_->record().grpc_status, -1);
}

TEST_F(GrpcProxyTest, AResponseThatIsNotGrpcIsBrokenOff) {
  Call();
  UpstreamSends("HTTP/1.1 500 Oops\r\nContent-Type: text/html\r\nContent-Length: 9\r\n\r\nhtml");
  UpstreamDies();
  EXPECT_EQ(stream_->status(), 500);
  EXPECT_EQ(stream_->aborted(), StreamEnd::kUpstreamFailed);
}

// ---- how long a call may take

TEST_F(GrpcProxyTest, ItsDeadlineEndsACallWithoutAResponse) {
  Call("3S");
  loop_.RunFor(2900ms);
  EXPECT_FALSE(stream_->over());
  loop_.RunFor(200ms);
  ExpectTrailersOnly(4, "grpc_deadline");
  EXPECT_TRUE(upstream().gone) << "the upstream works on";
}

TEST_F(GrpcProxyTest, TheRouteTimeoutEndsACallWithALaterDeadline) {
  Call("1M", 5s);
  loop_.RunFor(5s);
  ExpectTrailersOnly(4, "route_timeout");
}

TEST_F(GrpcProxyTest, WithoutARouteTimeoutOnlyTheDeadlineIsLeft) {
  Call("40S", Duration::zero());
  loop_.RunFor(39s);
  EXPECT_FALSE(stream_->over());
  loop_.RunFor(2s);
  ExpectTrailersOnly(4, "grpc_deadline");
}

TEST_F(GrpcProxyTest, ADeadlineCountsFromTheArrivalOfTheCall) {
  // The client takes its time to send its message, in which the route's timeout does not run.
  Open("10S", 5s);
  loop_.RunFor(8s);
  EXPECT_FALSE(stream_->over());
  stream_->SendRequestBody(kMessage, true);
  loop_.RunFor(2100ms);
  ExpectTrailersOnly(4, "grpc_deadline");
}

TEST_F(GrpcProxyTest, ADeadlineIsAnEndHoweverBusyTheStreamIs) {
  Call("10S");
  UpstreamSendsHead();
  for (int second = 0; second < 12 && !stream_->over(); ++second) {
    UpstreamSends(Chunk(kMessage));
    loop_.RunFor(1s);
  }
  ExpectTrailers(4, "grpc_deadline");
  EXPECT_EQ(stream_->body_size(), 10 * kMessage.size());
  EXPECT_TRUE(upstream().gone);
}

TEST_F(GrpcProxyTest, ACallWaitsForItsConnectionUnderItsDeadline) {
  network_.At("upstream").black_hole = true;
  Open("50m");
  loop_.RunFor(51ms);
  ExpectTrailersOnly(4, "grpc_deadline");
}

TEST_F(GrpcProxyTest, AStreamThatHasBegunMayBeSilent) {
  Call({}, 5s);
  UpstreamSendsHead();
  loop_.RunFor(1h);
  EXPECT_FALSE(stream_->over()) << stream_->record().detail;
  UpstreamSends(Chunk(kMessage) + "0\r\ngrpc-status: 0\r\n\r\n");
  EXPECT_TRUE(stream_->ended());
}

TEST_F(GrpcProxyTest, ACallThatEndsItsRequestInTheMiddleMayBeSilent) {
  Open({}, 5s);
  UpstreamSendsHead();
  stream_->SendRequestBody(kMessage, true);
  loop_.RunFor(1h);
  EXPECT_FALSE(stream_->over()) << stream_->record().detail;
}

TEST_F(GrpcProxyTest, AResponseThatIsNotGrpcMustGoOn) {
  Call({}, 5s);
  UpstreamSends("HTTP/1.1 500 Oops\r\nContent-Type: text/html\r\nContent-Length: 9\r\n\r\nhtml");
  loop_.RunFor(5s);
  EXPECT_EQ(stream_->aborted(), StreamEnd::kUpstreamFailed);
  EXPECT_EQ(stream_->record().detail, "route_timeout");
}

TEST_F(GrpcProxyTest, AMalformedDeadlineIsNone) {
  Call("5 seconds");
  loop_.RunFor(10s);
  EXPECT_FALSE(stream_->over());
}

TEST_F(GrpcProxyTest, ADeadlineOfARequestThatIsNotGrpcIsNone) {
  GetOverHttp();
  loop_.RunFor(10s);
  EXPECT_FALSE(stream_->over());
}

// ---- cancellation

TEST_F(GrpcProxyTest, ACancelledCallIsCancelledUpstream) {
  Call();
  UpstreamSendsHead();
  loop_.Dispatch([&] { stream_->Reset(); });
  loop_.RunFor(1ms);
  EXPECT_TRUE(upstream().gone);
}

}  // namespace
}  // namespace sluice
