#include "http/h2_stall_watch.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include "support/sim_loop.h"

namespace sluice {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using Stall = H2StallWatch::Stall;
using Wait = H2StallWatch::Wait;

// Holds what a test says it holds.
class StuckTransport final : public Transport {
 public:
  void SetEvents(TransportEvents*) override {}
  void Write(std::string_view) override {}
  void FlushNow() override {}
  size_t queued_bytes() const override { return queued; }
  size_t untaken_bytes() const override { return untaken; }
  void ShutdownWrite() override {}
  void Close() override {}
  void Reset() override {}
  void PauseReading() override {}
  void ResumeReading() override {}
  bool HasUnreadInput() override { return false; }
  std::string PeerAddress() const override { return {}; }
  std::string LocalAddress() const override { return {}; }

  size_t queued = 0;
  size_t untaken = 0;
};

// A connection with one stream, and what was told of it.
class H2StallWatchTest : public testing::Test, public H2StallWatch::Owner {
 protected:
  H2StallWatchTest() {
    timeouts_.body = seconds(20);
    timeouts_.write = seconds(30);
    timeouts_.linger = seconds(1);
  }

  bool HasStreams() const override { return wait_.has_value(); }
  void LookAtStreams() override {
    ++looks_;
    stall_ = watch_.StallOf(*wait_, moved_at_);
    if (stall_) wait_.reset();
  }
  void OnTransportStalled() override {
    transport_stalled_ = true;
    watch_.Stop();
  }

  void Begin(Wait wait) {
    wait_ = wait;
    moved_at_ = loop_.Now();
    watch_.Start();
  }
  // How long it takes from now until the stream, or the transport, is said to stand still.
  std::optional<Duration> StandsStillAfter(Duration bound = std::chrono::hours(1)) {
    const TimePoint before = loop_.Now();
    const auto told = [&] { return stall_.has_value() || transport_stalled_; };
    if (!loop_.RunUntil(told, bound)) return std::nullopt;
    return loop_.Now() - before;
  }

  SimLoop loop_;
  StuckTransport transport_;
  HttpTimeouts timeouts_;
  H2StallWatch watch_{loop_, transport_, timeouts_, *this};
  std::optional<Wait> wait_;
  TimePoint moved_at_{};
  std::optional<Stall> stall_;
  int looks_ = 0;
  bool transport_stalled_ = false;
};

TEST_F(H2StallWatchTest, AStreamThatIsOwedABodyHasTheBodyTimeout) {
  Begin(Wait::kSendBody);
  EXPECT_EQ(StandsStillAfter(), seconds(20));
  EXPECT_EQ(stall_, Stall::kNoBody);
}

TEST_F(H2StallWatchTest, AStreamWhoseBytesAreNotTakenHasTheWriteTimeout) {
  Begin(Wait::kTakeBytes);
  EXPECT_EQ(StandsStillAfter(), seconds(30));
  EXPECT_EQ(stall_, Stall::kNotTaken);
}

TEST_F(H2StallWatchTest, WhatMovesIsGivenItsWholeTimeAgain) {
  Begin(Wait::kSendBody);
  loop_.RunFor(seconds(19));
  moved_at_ = loop_.Now();
  EXPECT_EQ(StandsStillAfter(), seconds(20));
}

TEST_F(H2StallWatchTest, AStreamThatWaitsForTheUpstreamIsNeverStalled) {
  Begin(Wait::kNothing);
  EXPECT_EQ(StandsStillAfter(), std::nullopt);
  EXPECT_GT(looks_, 0);
}

TEST_F(H2StallWatchTest, WithoutABodyTimeoutNobodyOwesABody) {
  timeouts_.body = Duration::zero();
  Begin(Wait::kSendBody);
  EXPECT_EQ(StandsStillAfter(), std::nullopt);
}

TEST_F(H2StallWatchTest, BehindTheLastByteOfTheClientBytesAreGivenUpSoon) {
  Begin(Wait::kTakeBytes);
  loop_.RunFor(seconds(5));
  watch_.OnEof();
  moved_at_ = loop_.Now();
  EXPECT_EQ(StandsStillAfter(), seconds(1));
  EXPECT_EQ(stall_, Stall::kNeverTaken);
}

TEST_F(H2StallWatchTest, ButNotBeforeTheyWereTried) {
  timeouts_.linger = Duration::zero();
  Begin(Wait::kTakeBytes);
  watch_.OnEof();
  EXPECT_EQ(StandsStillAfter(), milliseconds(10));
}

TEST_F(H2StallWatchTest, BytesBehindAFullTransportAreNotGivenUpAtTheEof) {
  transport_.queued = transport_.untaken = 1000;
  Begin(Wait::kTakeBytes);
  watch_.OnEof();
  EXPECT_EQ(StandsStillAfter(), seconds(30));
  EXPECT_TRUE(transport_stalled_);
  EXPECT_FALSE(stall_.has_value());
}

TEST_F(H2StallWatchTest, ATransportThatDoesNotMoveStallsWithItsStreams) {
  transport_.queued = transport_.untaken = 1000;
  Begin(Wait::kSendBody);
  EXPECT_EQ(StandsStillAfter(), seconds(30));
  EXPECT_TRUE(transport_stalled_);
  EXPECT_EQ(looks_, 0) << "no stream can move";
}

TEST_F(H2StallWatchTest, ASlowReaderIsSeenByWhatItsKernelTakes) {
  transport_.queued = 1000;
  transport_.untaken = 100'000;
  watch_.Start();
  for (int i = 0; i < 10; ++i) {
    loop_.RunFor(seconds(20));
    transport_.untaken -= 1000;
  }
  EXPECT_FALSE(transport_stalled_);
  EXPECT_TRUE(StandsStillAfter().has_value());
}

TEST_F(H2StallWatchTest, WithNothingToWatchItSleepsUntilItIsStarted) {
  watch_.Start();
  EXPECT_TRUE(loop_.RunUntilIdle(seconds(1)));
  Begin(Wait::kSendBody);
  wait_.reset();
  EXPECT_TRUE(loop_.RunUntilIdle(seconds(20))) << "one look, which finds nothing";
  EXPECT_FALSE(stall_.has_value());
}

TEST_F(H2StallWatchTest, StoppedItLooksNoMore) {
  Begin(Wait::kSendBody);
  watch_.Stop();
  const int looks = looks_;
  Begin(Wait::kSendBody);
  watch_.OnEof();
  EXPECT_EQ(StandsStillAfter(), std::nullopt);
  EXPECT_EQ(looks_, looks);
}

}  // namespace
}  // namespace sluice
