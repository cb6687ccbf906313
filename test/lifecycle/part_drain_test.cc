#include "lifecycle/part_drain.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>

#include "lifecycle/fake_drainable.h"
#include "lifecycle/fake_part_drainable.h"
#include "support/sim_loop.h"

namespace sluice {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using Kind = PartRefusal::Kind;

const Part kRoute{PartKind::kRoute, "api"};
const Part kOther{PartKind::kRoute, "static"};

// Two workers under a ready process, on simulated time.
class PartDrainTest : public testing::Test {
 protected:
  PartDrainTest() {
    config_.propagation_delay = seconds(5);
    config_.jitter = {};
    config_.deadline = seconds(20);
    config_.spread = seconds(10);
  }

  void Serve() {
    MetricShard& shard = metrics_.AddShard();
    process_.emplace(loop_, config_, target_, DrainHooks{}, shard);
    PartDrainController::Surroundings around{
        loop_, *process_, {&workers_[0], &workers_[1]}, shard, [this](const Part&) -> Result<void> {
          if (preparation_fails_) return Fail("cannot listen on unix:/gone");
          return {};
        }};
    parts_.emplace(config_, PartNamesOf(Names()), around);
    loop_.Dispatch([this] { process_->OnReady(); });
  }

  static Config Names() {
    RouteConfig api;
    api.name = "api";
    RouteConfig rest;
    rest.name = "static";
    ListenerConfig listener;
    listener.name = "in";
    listener.virtual_hosts = {{"default", {"*"}, {api, rest}}};
    ListenerConfig second = listener;
    second.name = "in2";
    Config config;
    config.listeners = {listener, second};
    config.clusters.resize(1);
    config.clusters[0].name = "app";
    config.clusters[0].endpoints = {{"10.0.0.7:80", 1}, {"10.0.0.8:80", 1}};
    return config;
  }

  // What it was refused for, or "".
  std::string Drain(const Part& part) {
    return Order([&] { return parts_->Drain(part); });
  }
  std::string Undrain(const Part& part) {
    return Order([&] { return parts_->Undrain(part); });
  }
  template <typename Call>
  std::string Order(const Call& call) {
    std::string message;
    loop_.Dispatch([&] {
      if (const auto done = call(); !done) {
        refused_ = done.error().kind;
        message = done.error().message;
      }
    });
    Settle();
    return message;
  }
  void Finish(const Part& part) {
    for (FakePartDrainable& worker : workers_) {
      loop_.Dispatch([&] { worker.Finish(part); });
    }
    Settle();
  }
  void Settle() { loop_.RunFor(Duration::zero()); }

  // "api draining", ...
  std::vector<std::string> States() {
    std::vector<std::string> states;
    for (const PartReport& report : parts_->Describe(target_.progress)) {
      const char* state = report.state == PartState::kDrained ? " drained" : " draining";
      states.push_back(report.progress.part.name + state);
    }
    return states;
  }
  bool Shows(const std::string& line) { return metrics_.Text().find(line) != std::string::npos; }

  SimLoop loop_;
  DrainConfig config_;
  FakeDrainable target_;
  FakePartDrainable workers_[2];
  Metrics metrics_;
  std::optional<DrainController> process_;
  std::optional<PartDrainController> parts_;
  std::optional<Kind> refused_;
  bool preparation_fails_ = false;
};

TEST_F(PartDrainTest, IsDrainedWhenEveryWorkerIsDone) {
  Serve();
  EXPECT_THAT(States(), IsEmpty());
  EXPECT_EQ(Drain(kRoute), "");
  EXPECT_THAT(States(), ElementsAre("api draining"));
  loop_.Dispatch([this] { workers_[0].Finish(kRoute); });
  Settle();
  EXPECT_THAT(States(), ElementsAre("api draining"));
  loop_.Dispatch([this] { workers_[1].Finish(kRoute); });
  Settle();
  EXPECT_THAT(States(), ElementsAre("api drained"));
  loop_.RunFor(std::chrono::minutes(5));
  for (const FakePartDrainable& worker : workers_) {
    EXPECT_THAT(worker.calls, ElementsAre("drain api")) << "there was nothing to cut";
  }
}

TEST_F(PartDrainTest, IdleWorkersAreDoneAtOnce) {
  for (FakePartDrainable& worker : workers_) worker.idle = true;
  Serve();
  EXPECT_EQ(Drain(kRoute), "");
  EXPECT_THAT(States(), ElementsAre("api drained"));
}

TEST_F(PartDrainTest, TheOrderHasTheTimesOfTheConfiguration) {
  config_.idle_grace = milliseconds(70);
  config_.linger = seconds(2);
  Serve();
  Drain(kRoute);
  const PartDrainOrder& order = workers_[1].orders.at(0);
  EXPECT_EQ(order.part, kRoute);
  EXPECT_EQ(order.spread, seconds(10));
  EXPECT_EQ(order.idle_grace, milliseconds(70));
  EXPECT_EQ(order.linger, seconds(2));
}

TEST_F(PartDrainTest, TheSpreadLeavesTimeToAnswer) {
  config_.deadline = seconds(4);
  Serve();
  Drain(kRoute);
  EXPECT_EQ(workers_[0].orders.at(0).spread, seconds(3));
}

TEST_F(PartDrainTest, AtTheDeadlineWhatIsLeftIsCutOnce) {
  Serve();
  Drain(kRoute);
  loop_.RunFor(seconds(20) - milliseconds(1));
  EXPECT_THAT(workers_[0].calls, ElementsAre("drain api"));
  loop_.RunFor(milliseconds(1));
  EXPECT_THAT(workers_[0].calls, ElementsAre("drain api", "cut api"));
  EXPECT_THAT(workers_[1].calls, ElementsAre("drain api", "cut api"));
  workers_[0].when_done.cut[static_cast<size_t>(Protocol::kWebSocket)] = 2;
  workers_[1].when_done.cut[static_cast<size_t>(Protocol::kWebSocket)] = 1;
  Finish(kRoute);
  EXPECT_THAT(States(), ElementsAre("api drained"));
  EXPECT_TRUE(Shows(R"(sluice_drain_cut_total{protocol="websocket",reason="deadline"} 3)"));
  EXPECT_TRUE(Shows(R"(sluice_drain_duration_seconds_count{scope="route"} 1)"));
  loop_.RunFor(std::chrono::minutes(5));
  EXPECT_EQ(workers_[0].calls.size(), 2u);
}

TEST_F(PartDrainTest, UndrainServesAgainBeforeAndAfterTheEnd) {
  Serve();
  Drain(kRoute);
  EXPECT_TRUE(Shows(R"(sluice_part_drained{name="api",scope="route"} 1)"));
  EXPECT_EQ(Undrain(kRoute), "");
  EXPECT_THAT(States(), IsEmpty());
  EXPECT_TRUE(Shows(R"(sluice_part_drained{name="api",scope="route"} 0)"));
  loop_.RunFor(std::chrono::minutes(1));
  EXPECT_THAT(workers_[0].calls, ElementsAre("drain api", "undrain api")) << "no deadline is left";

  Drain(kRoute);
  Finish(kRoute);
  EXPECT_THAT(States(), ElementsAre("api drained"));
  EXPECT_EQ(Undrain(kRoute), "");
  EXPECT_THAT(States(), IsEmpty());
}

TEST_F(PartDrainTest, WhatWasRemovedMayStayAfterAll) {
  Serve();
  const Part ill{PartKind::kEndpoint, "10.0.0.7:80", 2, "app"};
  loop_.Dispatch([&] { parts_->DrainRemoved({{ill, seconds(5)}}); });
  EXPECT_THAT(States(), ElementsAre("10.0.0.7:80 draining"));
  loop_.RunFor(seconds(4));
  loop_.Dispatch([&] {
    parts_->KeepRemoved(ill);
    parts_->KeepRemoved(ill);
    parts_->KeepRemoved({PartKind::kEndpoint, "10.0.0.7:80", 9, "app"});
  });
  EXPECT_THAT(States(), IsEmpty());
  loop_.RunFor(seconds(60));
  for (const FakePartDrainable& worker : workers_) {
    EXPECT_THAT(worker.calls, ElementsAre("drain 10.0.0.7:80", "undrain 10.0.0.7:80"));
  }
}

TEST_F(PartDrainTest, AnEndpointThatComesBackToDnsIsStillDrained) {
  for (FakePartDrainable& worker : workers_) worker.idle = true;
  Serve();
  Config config = Names();
  config.clusters[0].dns.emplace();
  const auto use = [&] {
    loop_.Dispatch([&] { parts_->SetConfig(config_, PartNamesOf(config)); });
  };
  const auto is_absent = [&] { return parts_->Describe(target_.progress).at(0).absent; };
  use();
  const Part pod{PartKind::kEndpoint, "10.0.0.7:80"};
  EXPECT_EQ(Drain(pod), "");
  EXPECT_FALSE(is_absent());

  const std::vector<EndpointConfig> both = config.clusters[0].endpoints;
  config.clusters[0].endpoints.erase(config.clusters[0].endpoints.begin());
  use();
  EXPECT_THAT(States(), ElementsAre("10.0.0.7:80 drained"));
  EXPECT_TRUE(is_absent());
  EXPECT_TRUE(Shows(R"(sluice_part_drained{name="10.0.0.7:80",scope="endpoint"} 1)"));
  EXPECT_EQ(Drain(pod), "") << "as one that is there and drained";
  config.clusters[0].endpoints = both;
  use();
  EXPECT_FALSE(is_absent());
  EXPECT_THAT(workers_[0].calls, ElementsAre("drain 10.0.0.7:80"));

  config.clusters[0].endpoints.clear();
  use();
  EXPECT_EQ(Undrain(pod), "");
  EXPECT_THAT(States(), IsEmpty());
  EXPECT_EQ(refused_, std::nullopt);
  EXPECT_THAT(Drain(pod), HasSubstr("there is no endpoint")) << "it is nowhere";

  config.clusters[0].endpoints = both;
  use();
  EXPECT_EQ(Drain(pod), "");
  config.clusters[0].endpoints.clear();
  use();
  config.clusters.clear();
  use();
  EXPECT_THAT(States(), IsEmpty()) << "its cluster is gone";
}

TEST_F(PartDrainTest, OneThatIsWrittenDownGoesWithItsLine) {
  Serve();
  Drain({PartKind::kEndpoint, "10.0.0.7:80"});
  Config config = Names();
  config.clusters[0].endpoints.erase(config.clusters[0].endpoints.begin());
  loop_.Dispatch([&] { parts_->SetConfig(config_, PartNamesOf(config)); });
  EXPECT_THAT(States(), IsEmpty());
}

TEST_F(PartDrainTest, AnAnswerToAnEarlierDrainDoesNotCount) {
  Serve();
  Drain(kRoute);
  Undrain(kRoute);
  FakePartDrainable early = workers_[0];
  Drain(kRoute);
  loop_.Dispatch([&] {
    early.Finish(kRoute);
    early.Finish(kRoute);
  });
  Settle();
  EXPECT_THAT(States(), ElementsAre("api draining"));
}

TEST_F(PartDrainTest, DrainingTwiceChangesNothing) {
  Serve();
  Drain(kRoute);
  loop_.RunFor(seconds(15));
  EXPECT_EQ(Drain(kRoute), "");
  EXPECT_THAT(workers_[0].calls, ElementsAre("drain api"));
  loop_.RunFor(seconds(5));
  EXPECT_THAT(workers_[0].calls, ElementsAre("drain api", "cut api")) << "the first deadline holds";
}

TEST_F(PartDrainTest, PartsAreIndependent) {
  Serve();
  Drain(kRoute);
  Drain(kOther);
  Drain({PartKind::kListener, "in"});
  Finish(kOther);
  EXPECT_THAT(States(), ElementsAre("in draining", "api draining", "static drained"));
  Undrain(kRoute);
  EXPECT_THAT(States(), ElementsAre("in draining", "static drained"));
}

TEST_F(PartDrainTest, UndrainOfWhatServesIsRefused) {
  Serve();
  EXPECT_EQ(Undrain(kRoute), "nothing to undrain: route \"api\" is not drained");
  EXPECT_EQ(refused_, Kind::kNotNow);
  EXPECT_THAT(workers_[0].calls, IsEmpty());
}

TEST_F(PartDrainTest, AnUnknownNameIsAnsweredWithTheNamesThereAre) {
  Serve();
  EXPECT_EQ(Drain({PartKind::kRoute, "apj"}),
            "there is no route \"apj\"; did you mean \"api\"? there are: api, static");
  EXPECT_EQ(refused_, Kind::kUnknownName);
  EXPECT_EQ(Drain({PartKind::kCluster, "elsewhere"}),
            "there is no cluster \"elsewhere\"; there is: app");
  EXPECT_THAT(Drain({PartKind::kListener, "api"}), HasSubstr("there are: in, in2"))
      << "a name of another kind";
  EXPECT_THAT(Undrain({PartKind::kEndpoint, "10.0.0.7"}), HasSubstr("10.0.0.7:80, 10.0.0.8:80"));
  EXPECT_THAT(workers_[0].calls, IsEmpty());
}

TEST_F(PartDrainTest, OnlyWhileReadyOrLameDuck) {
  Serve();
  process_->OnSignal(DrainTrigger::kSigterm);
  Settle();
  ASSERT_EQ(process_->phase(), Phase::kLameDuck);
  EXPECT_EQ(Drain(kRoute), "");
  EXPECT_EQ(Undrain(kRoute), "");
  EXPECT_EQ(Drain(kRoute), "");
  target_.SetInFlight(1);
  loop_.RunFor(seconds(5));
  ASSERT_EQ(process_->phase(), Phase::kDraining);
  EXPECT_THAT(Drain(kOther), HasSubstr("the phase is draining"));
  EXPECT_EQ(refused_, Kind::kNotNow);
  EXPECT_THAT(Undrain(kRoute), HasSubstr("the phase is draining"));
}

TEST_F(PartDrainTest, TheDeadlineOfTheProcessCountsOnceItDrains) {
  Serve();
  Drain(kRoute);
  loop_.RunFor(seconds(10));
  target_.SetInFlight(1);
  process_->OnSignal(DrainTrigger::kSigterm);
  loop_.RunFor(seconds(19));
  EXPECT_EQ(process_->phase(), Phase::kDraining);
  EXPECT_THAT(workers_[0].calls, ElementsAre("drain api"));
}

TEST_F(PartDrainTest, APartThatCannotBePreparedStaysDrained) {
  Serve();
  Drain(kRoute);
  preparation_fails_ = true;
  EXPECT_EQ(Undrain(kRoute), "cannot listen on unix:/gone");
  EXPECT_EQ(refused_, Kind::kFailed);
  EXPECT_THAT(States(), ElementsAre("api draining"));
  EXPECT_THAT(workers_[0].calls, Not(testing::Contains("undrain api")));
}

TEST_F(PartDrainTest, TheReportHasTheNumbersOfTheWorkers) {
  Serve();
  Drain(kRoute);
  loop_.RunFor(seconds(3));
  PartProgress now;
  now.part = kRoute;
  now.in_flight = 4;
  now.told = 7;
  target_.progress.parts = {now};
  const auto reports = parts_->Describe(target_.progress);
  ASSERT_EQ(reports.size(), 1u);
  EXPECT_EQ(reports[0].age, seconds(3));
  EXPECT_EQ(reports[0].progress.in_flight, 4u);
  EXPECT_EQ(reports[0].progress.told, 7u);
}

}  // namespace
}  // namespace sluice
