// gRPC through the whole proxy, HTTP/2 on both sides: how calls end when something cuts them short,
// and what must not cut them short.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "lifecycle/exit_code.h"
#include "support/proxy_sim.h"

namespace sluice {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::Pair;

class GrpcSimTest : public testing::Test {
 protected:
  void Build(ProxySimOptions options = {}) {
    options.cluster.protocol = UpstreamProtocol::kHttp2;
    sim_ = std::make_unique<ProxySim>(1, options);
    client_ = sim_->ConnectH2();
  }

  // A call whose response is held after so many bytes.
  uint32_t CallHeldAfter(size_t bytes) {
    const uint32_t id = client_->Grpc("/grpc-hold-mid?bytes=1000&at=" + std::to_string(bytes));
    EXPECT_TRUE(sim_->Until([&] { return Stream(id).in.body_bytes == bytes; }));
    return id;
  }

  uint32_t CallHeldBeforeItsHead(SimFields fields = {}) {
    const uint32_t id = client_->Grpc("/grpc-hold", 1, true, std::move(fields));
    EXPECT_TRUE(sim_->Until([&] { return sim_->held() == 1; }));
    return id;
  }

  void UntilOver(uint32_t id) {
    ASSERT_TRUE(sim_->Until([&] { return Stream(id).over(); }));
    EXPECT_EQ(client_->complaint(), "");
  }

  void ExpectTrailersOnly(uint32_t id, const std::string& status, const std::string& message) {
    UntilOver(id);
    EXPECT_TRUE(Stream(id).trailers_only);
    EXPECT_EQ(Stream(id).in.Header(":status"), "200");
    EXPECT_EQ(Stream(id).in.Header("content-type"), "application/grpc");
    EXPECT_EQ(Stream(id).in.Header("grpc-status"), status);
    EXPECT_EQ(Stream(id).in.Header("grpc-message"), message);
  }

  void ExpectTrailers(uint32_t id, const std::string& status, const std::string& message) {
    UntilOver(id);
    EXPECT_FALSE(Stream(id).trailers_only);
    EXPECT_THAT(Stream(id).in.trailers,
                ElementsAre(Pair("grpc-status", status), Pair("grpc-message", message)));
  }

  void ExpectReset(uint32_t id, uint32_t error) {
    UntilOver(id);
    EXPECT_FALSE(Stream(id).in.complete);
    EXPECT_EQ(Stream(id).reset_by_peer, error);
  }

  // The upstream was told that nobody waits any more.
  void ExpectCancelledUpstream() {
    EXPECT_TRUE(sim_->Until([&] { return !sim_->h2_origin.resets().empty(); }));
    EXPECT_THAT(sim_->h2_origin.resets(), ElementsAre(h2::kCancel));
    EXPECT_EQ(sim_->h2_origin.open_connections(), 1u) << "it carries other calls";
  }

  const SimH2Stream& Stream(uint32_t id) const { return client_->stream(id); }
  const RequestRecord& LastRecord() const { return sim_->log.back().record; }

  std::unique_ptr<ProxySim> sim_;
  std::unique_ptr<SimH2Client> client_;
};

// ---- deadlines and silence

TEST_F(GrpcSimTest, ADeadlineIsAnsweredAndCancelsTheUpstream) {
  Build();
  const uint32_t id = CallHeldBeforeItsHead({{"grpc-timeout", "2S"}});
  sim_->loop.RunFor(milliseconds(1900));
  EXPECT_FALSE(Stream(id).over());
  ExpectTrailersOnly(id, "4", "the upstream did not answer in time");
  ExpectCancelledUpstream();
  EXPECT_EQ(LastRecord().detail, "grpc_deadline");
  EXPECT_EQ(LastRecord().end, StreamEnd::kComplete);
}

TEST_F(GrpcSimTest, ADeadlineInTheMiddleOfAResponseIsAnsweredInTrailers) {
  Build();
  const uint32_t id =
      client_->Grpc("/grpc-hold-mid?bytes=1000&at=" + std::to_string(kSimGrpcMessage), 1, true,
                    {{"grpc-timeout", "500m"}});
  ExpectTrailers(id, "4", "the upstream did not answer in time");
  ExpectCancelledUpstream();
}

TEST_F(GrpcSimTest, AStreamMayBeSilentForHours) {
  Build();
  const uint32_t id = client_->Grpc("/grpc-echo", 1, false);
  ASSERT_TRUE(sim_->Until([&] { return Stream(id).in.body_bytes == kSimGrpcMessage; }));
  sim_->loop.RunFor(hours(3));
  ASSERT_FALSE(Stream(id).over()) << LastRecord().detail;
  client_->SendBody(id, kSimGrpcMessage);
  client_->Finish(id);
  UntilOver(id);
  EXPECT_EQ(Stream(id).in.body_bytes, 2 * kSimGrpcMessage);
  EXPECT_THAT(Stream(id).in.trailers, ElementsAre(Pair("grpc-status", "0")));
  EXPECT_EQ(LastRecord().grpc_status, 0);
}

TEST_F(GrpcSimTest, AClientThatHasSaidNothingYetIsWaitedFor) {
  Build();
  const uint32_t id = client_->Grpc("/grpc-upload", 0, false);
  sim_->loop.RunFor(minutes(10));
  EXPECT_FALSE(Stream(id).over());
}

TEST_F(GrpcSimTest, ABodyThatIsNotGrpcIsNotWaitedFor) {
  Build();
  const uint32_t id = client_->Begin("POST", "/upload");
  ASSERT_TRUE(sim_->Until([&] { return Stream(id).in.complete; }));
  EXPECT_EQ(Stream(id).in.status, 408);
}

TEST_F(GrpcSimTest, ACallWithoutAResponseEndsWithTheRouteTimeout) {
  Build();
  ExpectTrailersOnly(CallHeldBeforeItsHead(), "4", "the upstream did not answer in time");
  EXPECT_EQ(LastRecord().detail, "route_timeout");
}

// ---- the upstream

TEST_F(GrpcSimTest, AnUpstreamThatDiesBetweenMessagesIsToldInTrailers) {
  Build();
  const uint32_t id = CallHeldAfter(2 * kSimGrpcMessage);
  sim_->h2_origin.CloseAll();
  ExpectTrailers(id, "14", "the upstream broke off or sent no valid response");
}

TEST_F(GrpcSimTest, AnUpstreamThatDiesInAMessageIsToldByAReset) {
  Build();
  const uint32_t id = CallHeldAfter(kSimGrpcMessage + 3);
  sim_->h2_origin.ResetAll();
  ExpectReset(id, h2::kInternalError);
  EXPECT_EQ(LastRecord().end, StreamEnd::kUpstreamFailed);
}

TEST_F(GrpcSimTest, AnUpstreamThatDiesBeforeItsHeadIsUnavailable) {
  Build();
  const uint32_t id = CallHeldBeforeItsHead();
  sim_->h2_origin.ResetAll();
  ExpectTrailersOnly(id, "14", "the upstream broke off or sent no valid response");
}

// ---- the client

TEST_F(GrpcSimTest, ACancelledCallIsCancelledUpstream) {
  Build();
  const uint32_t id = CallHeldAfter(kSimGrpcMessage);
  client_->ResetStream(id);
  ExpectCancelledUpstream();
  EXPECT_EQ(LastRecord().end, StreamEnd::kClientGone);
}

TEST_F(GrpcSimTest, ABodyThatGrowsTooLargeIsResourceExhausted) {
  ProxySimOptions options;
  options.limits.body_bytes = kSimGrpcMessage;
  Build(options);
  const uint32_t id = client_->Grpc("/grpc-echo", 1, false);
  ASSERT_TRUE(sim_->Until([&] { return Stream(id).in.body_bytes == kSimGrpcMessage; }));
  client_->SendBody(id, kSimGrpcMessage);
  ExpectTrailers(id, "8", "body_too_large");
  ExpectCancelledUpstream();
}

// ---- the deadline of a drain

class GrpcDrainTest : public GrpcSimTest {
 protected:
  void SetUp() override {
    ProxySimOptions options;
    options.route_timeout = {};
    Build(options);
  }

  void DrainToTheEnd() {
    sim_->BeginDrain();
    ASSERT_TRUE(sim_->UntilExited());
    ASSERT_EQ(sim_->log.size(), 1u);
    EXPECT_EQ(LastRecord().end, StreamEnd::kCut);
    EXPECT_EQ(LastRecord().protocol, Protocol::kGrpc);
    EXPECT_EQ(sim_->Progress().cut[static_cast<size_t>(Protocol::kGrpc)], 1u);
    EXPECT_EQ(sim_->controller.exit_code(), kExitCut);
  }
};

TEST_F(GrpcDrainTest, ACallWithoutAHeadIsToldInOne) {
  const uint32_t id = CallHeldBeforeItsHead();
  DrainToTheEnd();
  ExpectTrailersOnly(id, "14", "draining");
  EXPECT_EQ(LastRecord().grpc_status, 14);
}

TEST_F(GrpcDrainTest, AStreamIsToldBetweenTwoMessages) {
  const uint32_t id = CallHeldAfter(kSimGrpcMessage);
  DrainToTheEnd();
  ExpectTrailers(id, "14", "draining");
  EXPECT_EQ(LastRecord().grpc_status, 14);
}

TEST_F(GrpcDrainTest, AStreamInTheMiddleOfAMessageIsReset) {
  const uint32_t id = CallHeldAfter(kSimGrpcMessage + 1);
  DrainToTheEnd();
  ExpectReset(id, h2::kInternalError);
  EXPECT_EQ(LastRecord().grpc_status, -1);
}

}  // namespace
}  // namespace sluice
