#include "http/part_drains.h"

#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <vector>

namespace sluice {
namespace {

using std::chrono::milliseconds;

const Part kRoute{PartKind::kRoute, "api"};
const Part kEndpoint{PartKind::kEndpoint, "10.0.0.7:80"};
const Part kListener{PartKind::kListener, "in"};

// The books of one worker; what is in flight is what the test says.
class PartDrainsTest : public testing::Test {
 protected:
  PartDrain& Begin(const Part& part, uint64_t in_flight) {
    there_ = in_flight;
    PartDrain& drain = drains_.Begin({.part = part, .idle_grace = milliseconds(100)}, TimePoint{});
    drain.count = [this] { return there_; };
    drain.long_lived = &long_lived_;
    drain.remaining = in_flight;
    drain.done = [this](const PartProgress& progress) {
      ++done_;
      last_ = progress;
    };
    drains_.Settle(drain);
    return drain;
  }
  // A request of route "api" ends.
  void End(StreamEnd how = StreamEnd::kComplete, std::string_view detail = {},
           bool counts_cut = true) {
    RequestRecord record;
    record.route = "api";
    record.endpoint = "10.0.0.7:80";
    record.protocol = Protocol::kHttp2;
    record.end = how;
    record.detail = detail;
    DownstreamInfo info;
    info.listener = "in";
    drains_.OnRequestEnd(record, info, counts_cut);
  }

  Metrics metrics_;
  MetricShard& shard_ = metrics_.AddShard();
  ListenerContext in_{"in", shard_};
  ListenerContext other_{"other", shard_};
  PartDrains drains_;
  LongLivedDrain long_lived_;
  uint64_t there_ = 0;
  int done_ = 0;
  PartProgress last_;
};

TEST_F(PartDrainsTest, NothingInFlightIsDoneAtOnce) {
  Begin(kRoute, 0);
  EXPECT_EQ(done_, 1);
  EXPECT_TRUE(drains_.Has(PartKind::kRoute, "api"));
  EXPECT_FALSE(drains_.Has(PartKind::kCluster, "api"));
  EXPECT_FALSE(drains_.Has(PartKind::kRoute, "ap"));
  drains_.End(kRoute);
  EXPECT_FALSE(drains_.Has(PartKind::kRoute, "api"));
}

TEST_F(PartDrainsTest, TheLastRequestSaysDoneOnce) {
  Begin(kRoute, 2);
  there_ = 1;
  End();
  EXPECT_EQ(done_, 0);
  there_ = 0;
  End();
  EXPECT_EQ(done_, 1);
  End();
  EXPECT_EQ(done_, 1);
}

TEST_F(PartDrainsTest, RefusedRequestsAreNotThoseThatAreWaitedFor) {
  PartDrain& drain = Begin(kRoute, 1);
  End(StreamEnd::kComplete, kPartDraining);
  EXPECT_EQ(drain.remaining, 1u);
  // One that was refused, and then reset, looks like any other: what is there decides.
  End(StreamEnd::kClientGone, "client_reset");
  EXPECT_EQ(done_, 0);
  EXPECT_EQ(drain.remaining, 1u);
  there_ = 0;
  End();
  EXPECT_EQ(done_, 1);
}

TEST_F(PartDrainsTest, CutsAreCountedByProtocolUnlessTheProcessCountsThem) {
  Begin(kRoute, 3);
  long_lived_.told = 5;
  long_lived_.left = 4;
  End(StreamEnd::kCut, "drain_deadline");
  End(StreamEnd::kCut, "drain_deadline", false);
  there_ = 0;
  End(StreamEnd::kClientGone);
  ASSERT_EQ(done_, 1);
  EXPECT_EQ(last_.part, kRoute);
  EXPECT_EQ(last_.cut[static_cast<size_t>(Protocol::kHttp2)], 1u);
  EXPECT_EQ(last_.cut_total(), 1u);
  EXPECT_EQ(last_.told, 5u);
  EXPECT_EQ(last_.left, 4u);
}

TEST_F(PartDrainsTest, ARequestThatLeavesTheEndpointIsNotWaitedFor) {
  Begin(kEndpoint, 1);
  drains_.OnEndpointLeft("10.0.0.8:80");
  drains_.OnEndpointLeft("");
  EXPECT_EQ(done_, 0);
  there_ = 0;
  drains_.OnEndpointLeft("10.0.0.7:80");
  EXPECT_EQ(done_, 1);
}

TEST_F(PartDrainsTest, AListenerWaitsForItsConnections) {
  Begin(kListener, 1);
  drains_.OnConnectionOpened(in_);  // from its accept queue
  drains_.OnConnectionOpened(other_);
  End();
  drains_.OnConnectionClosed(other_);
  there_ = 1;
  drains_.OnConnectionClosed(in_);
  EXPECT_EQ(done_, 0);
  there_ = 0;
  drains_.OnConnectionClosed(in_);
  EXPECT_EQ(done_, 1);
}

TEST_F(PartDrainsTest, IdleConnectionsAreClosedAtABoundedRate) {
  Begin(kListener, 1);
  const TimePoint now{};
  TimePoint last{};
  for (int i = 0; i < 1000; ++i) last = drains_.NextIdleGraceEnd(in_, now, milliseconds(7));
  EXPECT_EQ(last, now + milliseconds(100 + 19));
  EXPECT_EQ(drains_.NextIdleGraceEnd(other_, now, milliseconds(7)), now + milliseconds(7));
}

TEST_F(PartDrainsTest, WhatIsThereIsCountedForEveryPartItBelongsTo) {
  Begin(kRoute, 1);
  Begin(kListener, 1);
  Begin(kEndpoint, 1);
  RequestRecord record;
  record.route = "api";
  record.endpoint = "10.0.0.8:80";
  DownstreamInfo info;
  info.listener = "in";
  std::vector<PartProgress> progress = drains_.Progress();
  drains_.CountConnection(in_, progress);
  drains_.CountRequest(record, info, progress);
  ASSERT_EQ(progress.size(), 3u);
  EXPECT_EQ(progress[0].in_flight, 1u);
  EXPECT_EQ(progress[0].connections, 0u);
  EXPECT_EQ(progress[1].in_flight, 1u);
  EXPECT_EQ(progress[1].connections, 1u);
  EXPECT_EQ(progress[2].in_flight, 0u);
}

class NumberedGeneration final : public Generation {
 public:
  using Generation::Generation;

 private:
  void OnLetGo() override {}
};

TEST_F(PartDrainsTest, WhatWasRemovedIsOnlyWhatIsOlder) {
  NumberedGeneration before(6);
  NumberedGeneration after(7);
  PartDrain& route = Begin({PartKind::kRoute, "api", 7, "in"}, 1);
  PartDrain& endpoint = Begin({PartKind::kEndpoint, "10.0.0.7:80", 7, "app"}, 1);
  RequestRecord record;
  record.route = "api";
  record.cluster = "app";
  record.endpoint = "10.0.0.7:80";
  record.generation = Hold<Generation>(&before);
  DownstreamInfo info;
  info.listener = "in";
  EXPECT_TRUE(route.concerns(record, info));
  EXPECT_TRUE(endpoint.concerns(record, info));
  record.generation = Hold<Generation>(&after);
  EXPECT_FALSE(route.concerns(record, info));
  EXPECT_FALSE(endpoint.concerns(record, info));
  record.generation = Hold<Generation>(&before);
  record.cluster = "other";
  info.listener = "other";
  EXPECT_FALSE(route.concerns(record, info));
  EXPECT_FALSE(endpoint.concerns(record, info));
}

TEST_F(PartDrainsTest, WhatWasRemovedDoesNotKeepNewWorkFromItsNamesake) {
  Begin({PartKind::kRoute, "api", 7, "in"}, 1);
  EXPECT_FALSE(drains_.Has(PartKind::kRoute, "api"));
  Begin({PartKind::kListener, "in", 7}, 1);
  EXPECT_EQ(drains_.Find(in_), nullptr);
  in_.removed_by = 7;
  EXPECT_NE(drains_.Find(in_), nullptr);
}

}  // namespace
}  // namespace sluice
