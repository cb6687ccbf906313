// Large bodies pass in bounded memory, whichever side is slow: what one side does not take holds
// the other side back (docs/architecture.md). The bound is looked at where bytes can pile up: in
// the queues of both of the proxy's connections.
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>

#include "support/proxy_sim.h"

namespace sluice {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr uint64_t kHuge = 256ull * 1024 * 1024;
// The high watermark is where the source is stopped; what it had read by then comes on top.
constexpr size_t kBound = Transport::kHighWatermark + 192 * 1024;

class BackPressureTest : public ::testing::Test {
 protected:
  static ProxySimOptions Options() {
    ProxySimOptions options;
    options.route_timeout = {};
    return options;
  }

  void AwaitAnswer() {
    ASSERT_TRUE(sim.loop.RunUntil([&] { return client->answered() == 1; }, minutes(60 * 24)))
        << client->complaint();
    EXPECT_EQ(client->responses()[0].status, 200);
    EXPECT_TRUE(client->responses()[0].body_as_expected);
  }

  size_t PeakTowardsClient() const {
    return sim.network.Find(client->local_address())->server->peak_queued;
  }
  size_t PeakTowardsUpstream() const {
    size_t peak = 0;
    for (const SimNetwork::Connection& one : sim.network.connections()) {
      if (one.address == "origin") peak = std::max(peak, one.client->peak_queued);
    }
    return peak;
  }

  ProxySim sim{1, Options()};
  std::unique_ptr<SimClient> client = sim.Connect();
};

TEST_F(BackPressureTest, AHugeDownloadWithASlowReader) {
  client->ReadSlowly(milliseconds(5));
  client->Request("GET", "/big?bytes=" + std::to_string(kHuge));
  AwaitAnswer();
  EXPECT_EQ(client->responses()[0].body_bytes, kHuge);
  EXPECT_GE(PeakTowardsClient(), Transport::kHighWatermark) << "the reader was not slow enough";
  EXPECT_LE(PeakTowardsClient(), kBound);
}

TEST_F(BackPressureTest, AChunkedDownloadWithASlowReader) {
  client->ReadSlowly(milliseconds(5));
  client->Request("GET", "/chunked?chunk=1000&bytes=" + std::to_string(kHuge / 16));
  AwaitAnswer();
  EXPECT_EQ(client->responses()[0].body_bytes, kHuge / 16);
  EXPECT_GE(PeakTowardsClient(), Transport::kHighWatermark) << "the reader was not slow enough";
  EXPECT_LE(PeakTowardsClient(), kBound);
}

TEST_F(BackPressureTest, AHugeUploadToASlowUpstream) {
  client->Upload("/upload?ms=2", kHuge, 64 * 1024);
  AwaitAnswer();
  EXPECT_EQ(sim.origin.seen().at(0).request.body_bytes, kHuge);
  EXPECT_TRUE(sim.origin.seen().at(0).request.body_as_expected);
  EXPECT_GE(PeakTowardsUpstream(), Transport::kHighWatermark) << "the upstream was not slow enough";
  EXPECT_LE(PeakTowardsUpstream(), kBound);
}

TEST_F(BackPressureTest, AReaderThatStopsHoldsTheUpstreamBackUntilItIsCutOff) {
  client->Request("GET", "/big?bytes=" + std::to_string(kHuge));
  ASSERT_TRUE(sim.Until([&] { return client->responses().size() == 1; }));
  client->PauseReading();
  sim.loop.RunFor(seconds(20));
  EXPECT_LE(PeakTowardsClient(), kBound);
  ASSERT_TRUE(sim.Until([&] { return !sim.log.empty(); }));
  EXPECT_EQ(sim.log[0].record.end, StreamEnd::kClientTimeout);
  client->ResumeReading();
  sim.loop.RunFor(seconds(10));
  EXPECT_FALSE(client->responses()[0].complete);
  EXPECT_EQ(sim.network.open_at_client("origin"), 0u) << "the exchange must not go on alone";
}

TEST_F(BackPressureTest, ATunnelHoldsBackWhoeverIsFaster) {
  client->Request("GET", "/upgrade", "Connection: upgrade\r\nUpgrade: echo\r\n");
  ASSERT_TRUE(sim.Until([&] { return client->answered() == 1; }));
  client->PauseReading();
  const std::string bytes = SimBody(0, 64 * 1024);
  for (int i = 0; i < 256; ++i) {
    client->Send(bytes);
    sim.loop.RunFor(milliseconds(1));
  }
  EXPECT_LE(PeakTowardsClient(), kBound);
  EXPECT_LE(PeakTowardsUpstream(), kBound);
  client->ResumeReading();
  ASSERT_TRUE(sim.Until([&] { return client->tunnel().size() == 256 * bytes.size(); }));
}

}  // namespace
}  // namespace sluice
