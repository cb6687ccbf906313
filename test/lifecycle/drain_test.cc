#include "lifecycle/drain.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>

#include "lifecycle/exit_code.h"
#include "lifecycle/fake_drainable.h"
#include "support/sim_loop.h"

namespace sluice {
namespace {

using std::chrono::duration_cast;
using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using Json = nlohmann::json;

// The fixture owns the plumbing: a ready process over one fake Drainable, on simulated time.
class DrainTest : public testing::Test {
 protected:
  DrainTest() {
    config_.propagation_delay = seconds(5);
    config_.jitter = Duration::zero();
  }

  void Serve() {
    hooks_ = {.stop_background = Hook("stop_background"),
              .flush = Hook("flush"),
              .release = Hook("release")};
    drain_.emplace(loop_, config_, target_, hooks_, metrics_.AddShard());
    drain_->AddListener([this](Phase, Phase to) {
      phases_.push_back(std::string(PhaseName(to)));
      if (to == Phase::kExited) exited_at_ = loop_.Now();
    });
    loop_.Dispatch([this] { drain_->OnReady(); });
    started_at_ = loop_.Now();
  }

  void Begin(DrainTrigger trigger = DrainTrigger::kAdmin) {
    loop_.Dispatch([&] { EXPECT_TRUE(drain_->Begin(trigger)); });
    loop_.RunFor(Duration::zero());
  }
  void Signal() {
    loop_.Dispatch([this] { drain_->OnSignal(DrainTrigger::kSigterm); });
    loop_.RunFor(Duration::zero());
  }
  std::string Undrain() {
    std::string error;
    loop_.Dispatch([&] {
      if (const auto undone = drain_->Undrain(); !undone) error = undone.error().message;
    });
    return error;
  }
  void RunFor(Duration span) { loop_.RunFor(span); }
  void RunToExit() {
    ASSERT_TRUE(loop_.RunUntil([this] { return exited(); }, std::chrono::minutes(5)))
        << "stuck in " << PhaseName(drain_->phase());
  }
  bool exited() const { return drain_->phase() == Phase::kExited; }
  Phase phase() const { return drain_->phase(); }
  milliseconds TimeToExit() const { return duration_cast<milliseconds>(exited_at_ - started_at_); }

  Json Report() {
    Json json;
    loop_.Dispatch([&] {
      drain_->Report([&](const DrainReport& r) { json = Json::parse(DrainReportJson(r)); });
    });
    return json;
  }

  // The value of a metric as it stands on the page, e.g. `sluice_phase{phase="ready"}`.
  std::string Metric(const std::string& series) {
    const std::string text = "\n" + metrics_.Text();
    const size_t at = text.find("\n" + series + " ");
    if (at == std::string::npos) return "absent";
    const size_t value = at + series.size() + 2;
    return text.substr(value, text.find('\n', value) - value);
  }

  DrainHooks::Hook Hook(std::string name) {
    return [this, name](std::function<void()> done) {
      target_.calls.push_back(name);
      kept_[name] = done;
      if (name != hangs_) done();
    };
  }

  SimLoop loop_;
  DrainConfig config_;
  FakeDrainable target_;
  Metrics metrics_;
  DrainHooks hooks_;
  std::map<std::string, std::function<void()>> kept_;
  std::string hangs_;
  std::optional<DrainController> drain_;
  std::vector<std::string> phases_;
  TimePoint started_at_;
  TimePoint exited_at_;
};

TEST_F(DrainTest, PhasesInOrderEachWithItsWork) {
  Serve();
  Begin();
  RunToExit();
  EXPECT_THAT(phases_, ElementsAre("ready", "lame_duck", "draining", "stopping_background",
                                   "flushing", "releasing", "exited"));
  EXPECT_THAT(target_.calls, ElementsAre("lame_duck", "drain inbound", "drain everything",
                                         "stop_background", "flush", "release"));
  EXPECT_EQ(drain_->exit_code(), kExitOk);
}

TEST_F(DrainTest, BeginNeverRunsInsideItsCaller) {
  Serve();
  loop_.Dispatch([this] {
    EXPECT_TRUE(drain_->Begin(DrainTrigger::kAdmin));
    EXPECT_EQ(phase(), Phase::kReady);
    EXPECT_TRUE(target_.calls.empty());
  });
  RunFor(Duration::zero());
  EXPECT_EQ(phase(), Phase::kLameDuck);
}

TEST_F(DrainTest, AnIdleProcessWithoutDelayIsGoneAtOnce) {
  config_.propagation_delay = Duration::zero();
  config_.jitter = seconds(10);  // nothing to spread: there is no delay
  Serve();
  Signal();
  EXPECT_TRUE(exited());
  EXPECT_EQ(TimeToExit(), milliseconds(0));
  EXPECT_THAT(phases_, testing::Not(Contains("lame_duck")));
}

TEST_F(DrainTest, AnIdleProcessLeavesWhenTheDelayHasPassed) {
  Serve();
  Begin();
  RunToExit();
  EXPECT_EQ(TimeToExit(), milliseconds(5000));
}

TEST_F(DrainTest, JitterIsOnTopOfTheDelayAndBounded) {
  config_.jitter = milliseconds(500);
  std::vector<int64_t> waits;
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    SimLoop loop(seed);
    FakeDrainable target;
    DrainController drain(loop, config_, target, {}, metrics_.AddShard());
    loop.Dispatch([&] {
      drain.OnReady();
      EXPECT_TRUE(drain.Begin(DrainTrigger::kSigterm));
    });
    loop.RunFor(Duration::zero());
    ASSERT_EQ(drain.phase(), Phase::kLameDuck);
    waits.push_back((target.lame_duck.ends - target.lame_duck.begins).count());
  }
  const auto [least, most] = std::minmax_element(waits.begin(), waits.end());
  EXPECT_GE(*least, Duration(milliseconds(5000)).count());
  EXPECT_LE(*most, Duration(milliseconds(5500)).count());
  EXPECT_GT(*most - *least, Duration(milliseconds(250)).count());
}

TEST_F(DrainTest, LeavesTheMomentNothingIsLeft) {
  target_.SetInFlight(3);
  Serve();
  Begin();
  RunFor(seconds(5) + milliseconds(1234));
  EXPECT_EQ(phase(), Phase::kDraining);
  target_.FinishInbound();
  RunFor(Duration::zero());
  EXPECT_TRUE(exited());
  EXPECT_EQ(TimeToExit(), milliseconds(6234));
  EXPECT_EQ(drain_->exit_code(), kExitOk);
}

TEST_F(DrainTest, OutboundFollowsInbound) {
  target_.SetInFlight(1, 1);
  Serve();
  Begin();
  RunFor(seconds(6));
  EXPECT_EQ(target_.calls.back(), "drain inbound");
  RunFor(seconds(6));
  EXPECT_EQ(target_.calls.back(), "drain inbound");
  target_.FinishInbound();
  RunFor(seconds(1));
  EXPECT_EQ(target_.calls.back(), "drain everything");
  EXPECT_EQ(phase(), Phase::kDraining);
  target_.FinishOutbound();
  RunToExit();
  EXPECT_EQ(TimeToExit(), milliseconds(13000));
  // Both steps share one deadline: that of the phase.
  ASSERT_EQ(target_.orders.size(), 2u);
  EXPECT_EQ(target_.orders[0].deadline, target_.orders[1].deadline);
  EXPECT_EQ(target_.orders[0].deadline, started_at_ + seconds(25));
  EXPECT_EQ(target_.orders[0].idle_grace, config_.idle_grace);
  EXPECT_EQ(target_.orders[0].linger, config_.linger);
}

TEST_F(DrainTest, AtTheDeadlineStragglersAreCutOutboundIncluded) {
  target_.SetInFlight(2, 1);
  Serve();
  Begin();
  RunToExit();
  EXPECT_EQ(TimeToExit(), milliseconds(25000));
  EXPECT_THAT(target_.calls, ElementsAre("lame_duck", "drain inbound", "drain everything",
                                         "cut deadline", "stop_background", "flush", "release"));
  EXPECT_EQ(drain_->exit_code(), kExitCut);
  EXPECT_EQ(Report()["cut"]["by_protocol"]["http1"]["deadline"], 3);
  EXPECT_EQ(Metric(R"(sluice_drain_cut_total{protocol="http1",reason="deadline"})"), "3");
}

TEST_F(DrainTest, ALameDuckIsUndrained) {
  Serve();
  Begin();
  RunFor(seconds(4));
  EXPECT_EQ(Undrain(), "");
  EXPECT_EQ(phase(), Phase::kReady);
  EXPECT_THAT(target_.calls, ElementsAre("lame_duck", "back"));
  EXPECT_TRUE(Report()["trigger"].is_null());
  RunFor(std::chrono::hours(1));
  EXPECT_EQ(phase(), Phase::kReady);
  // And it drains again, as if for the first time.
  Begin();
  RunFor(seconds(4));
  EXPECT_EQ(phase(), Phase::kLameDuck);
  RunFor(seconds(1));
  EXPECT_TRUE(exited());
}

TEST_F(DrainTest, UndrainIsRefusedOutsideLameDuck) {
  target_.SetInFlight(1);
  Serve();
  EXPECT_THAT(Undrain(), HasSubstr("nothing to undrain"));
  Begin();
  RunFor(seconds(6));
  EXPECT_THAT(Undrain(), HasSubstr("the phase is draining"));
  EXPECT_EQ(phase(), Phase::kDraining);
  target_.FinishInbound();
  RunToExit();
  EXPECT_THAT(Undrain(), HasSubstr("the phase is exited"));
}

TEST_F(DrainTest, ASecondSignalCutsWhileLameDuck) {
  target_.SetInFlight(2);
  Serve();
  Signal();
  RunFor(seconds(1));
  EXPECT_EQ(phase(), Phase::kLameDuck);
  Signal();
  EXPECT_TRUE(exited());
  EXPECT_EQ(TimeToExit(), milliseconds(1000));
  EXPECT_THAT(target_.calls,
              ElementsAre("lame_duck", "drain inbound", "drain everything", "cut second_signal",
                          "stop_background", "flush", "release"));
  EXPECT_EQ(drain_->exit_code(), kExitCut);
}

TEST_F(DrainTest, ASecondSignalCutsWhileDraining) {
  target_.SetInFlight(2);
  Serve();
  Signal();
  RunFor(seconds(8));
  EXPECT_EQ(phase(), Phase::kDraining);
  Signal();
  EXPECT_TRUE(exited());
  EXPECT_EQ(TimeToExit(), milliseconds(8000));
  EXPECT_EQ(Report()["cut"]["by_protocol"]["http1"]["second_signal"], 2);
}

TEST_F(DrainTest, ASecondSignalCutsNothingWhereNothingIsInFlight) {
  Serve();
  Signal();
  Signal();
  EXPECT_TRUE(exited());
  EXPECT_EQ(drain_->exit_code(), kExitOk);
}

// Kubernetes: the preStop hook begins the drain, SIGTERM comes after it.
TEST_F(DrainTest, TheFirstSignalAfterAnotherTriggerCutsNothing) {
  target_.SetInFlight(1);
  Serve();
  Begin(DrainTrigger::kPrestop);
  RunFor(seconds(5));
  Signal();
  RunFor(seconds(5));
  EXPECT_EQ(phase(), Phase::kDraining);
  target_.FinishInbound();
  RunToExit();
  EXPECT_EQ(drain_->exit_code(), kExitOk);
  EXPECT_EQ(Report()["trigger"], "prestop");
}

TEST_F(DrainTest, AHundredSignalsAreTheSameAsTwo) {
  target_.SetInFlight(2);
  target_.obeys_cut = false;
  Serve();
  loop_.Dispatch([this] {
    for (int i = 0; i < 100; ++i) drain_->OnSignal(DrainTrigger::kSigterm);
  });
  for (int i = 0; i < 50; ++i) {
    Signal();
    RunFor(milliseconds(10));
  }
  EXPECT_EQ(std::count(target_.calls.begin(), target_.calls.end(), "cut second_signal"), 1);
  RunToExit();
  EXPECT_EQ(std::count(target_.calls.begin(), target_.calls.end(), "release"), 1);
}

TEST_F(DrainTest, AfterUndrainTheNextSignalIsTheFirst) {
  target_.SetInFlight(1);
  Serve();
  Signal();
  EXPECT_EQ(Undrain(), "");
  Signal();
  EXPECT_EQ(phase(), Phase::kLameDuck);
}

TEST_F(DrainTest, TriggersDuringADrainChangeNothing) {
  target_.SetInFlight(1);
  Serve();
  Begin(DrainTrigger::kAdmin);
  RunFor(seconds(3));
  Begin(DrainTrigger::kSelfCheck);
  RunFor(seconds(2));
  EXPECT_EQ(phase(), Phase::kDraining);
  Begin(DrainTrigger::kCli);
  RunFor(seconds(1));
  EXPECT_EQ(Report()["trigger"], "admin");
  EXPECT_EQ(target_.orders.size(), 1u);
  target_.FinishInbound();
  RunToExit();
  EXPECT_FALSE(drain_->Begin(DrainTrigger::kAdmin));
}

TEST_F(DrainTest, ADrainBeforeReadyTellsNobody) {
  drain_.emplace(loop_, config_, target_, DrainHooks{}, metrics_.AddShard());
  loop_.Dispatch([this] { drain_->OnSignal(DrainTrigger::kSigterm); });
  RunFor(Duration::zero());
  EXPECT_TRUE(exited());
  loop_.Dispatch([this] { drain_->OnReady(); });
  EXPECT_TRUE(exited());
}

TEST_F(DrainTest, StragglersThatIgnoreTheCutAreLeftBehindAndCounted) {
  target_.SetInFlight(2);
  target_.obeys_cut = false;
  Serve();
  Begin();
  RunToExit();
  // The deadline, then two lingers of one second and one more for the goodbyes.
  EXPECT_EQ(TimeToExit(), milliseconds(28000));
  EXPECT_EQ(drain_->exit_code(), kExitCut);
  const Json report = Report();
  EXPECT_EQ(report["cut"]["by_protocol"]["http1"]["forced"], 2);
  EXPECT_EQ(report["phases"][1]["overrun"], true);
  EXPECT_EQ(Metric(R"(sluice_phase_overrun_total{phase="draining"})"), "1");
}

TEST_F(DrainTest, WorkersThatDoNotAnswerDoNotHoldTheExit) {
  target_.SetInFlight(4);
  Serve();
  Begin();
  RunFor(seconds(6));
  target_.answers = false;
  target_.obeys_cut = false;
  RunToExit();
  EXPECT_LE(TimeToExit(), milliseconds(28500));
  // What was last known to be in flight counts as lost with them.
  EXPECT_EQ(Report()["cut"]["by_protocol"]["http1"]["forced"], 4);
}

TEST_F(DrainTest, AHangingHookIsLeftBehind) {
  for (const std::string hook : {"stop_background", "flush", "release"}) {
    SCOPED_TRACE(hook);
    hangs_ = hook;
    phases_.clear();
    target_.calls.clear();
    Serve();
    Begin();
    RunToExit();
    const auto budget = hook == "flush" ? config_.flushing : config_.releasing;
    EXPECT_EQ(TimeToExit(), duration_cast<milliseconds>(seconds(5) + budget));
    EXPECT_EQ(target_.calls.back(), "release");
    EXPECT_EQ(drain_->exit_code(), kExitOk);
    // Its answer comes when nobody waits any more.
    kept_[hook]();
    kept_[hook]();
    RunFor(seconds(1));
    EXPECT_EQ(phases_.back(), "exited");
    EXPECT_EQ(std::count(phases_.begin(), phases_.end(), "exited"), 1);
  }
  EXPECT_EQ(Metric(R"(sluice_phase_overrun_total{phase="flushing"})"), "1");
  EXPECT_EQ(Metric(R"(sluice_phase_overrun_total{phase="draining"})"), "0");
}

TEST_F(DrainTest, DoneTwiceIsDoneOnce) {
  target_.SetInFlight(0, 1);
  Serve();
  Begin();
  RunFor(seconds(6));
  // The inbound step is done; saying so again must not stand for the outbound one.
  target_.CallEveryDoneAgain();
  ASSERT_EQ(target_.calls.back(), "drain everything");
  target_.FinishOutbound();
  target_.CallEveryDoneAgain();
  RunToExit();
  target_.CallEveryDoneAgain();
  for (const auto& [name, done] : kept_) done();
  RunFor(seconds(1));
  EXPECT_EQ(std::count(phases_.begin(), phases_.end(), "exited"), 1);
  EXPECT_EQ(std::count(target_.calls.begin(), target_.calls.end(), "flush"), 1);
}

TEST_F(DrainTest, TheSumOfTheBudgetsIsTheTotalDeadline) {
  target_.SetInFlight(1);
  target_.obeys_cut = false;
  config_.linger = seconds(60);  // longer than what is left
  hangs_ = "release";
  Serve();
  Begin();
  RunToExit();
  EXPECT_LE(TimeToExit(), milliseconds(5000 + 20000 + 1000 + 2000 + 1000 + 500));
  EXPECT_EQ(target_.calls.back(), "release");
}

TEST_F(DrainTest, GradualStrategyIsPassedOn) {
  config_.strategy = DrainStrategy::kGradual;
  Serve();
  Begin();
  EXPECT_TRUE(target_.lame_duck.gradual);
  EXPECT_EQ(target_.lame_duck.ends - target_.lame_duck.begins, seconds(5));
}

TEST_F(DrainTest, TheReportSaysWhatHappened) {
  target_.SetInFlight(3, 1);
  target_.progress.stragglers = {{.protocol = Protocol::kHttp1,
                                  .listener = "web",
                                  .route = "default/0",
                                  .peer = "192.0.2.1:1234",
                                  .age = seconds(2),
                                  .bytes_in = 10,
                                  .bytes_out = 20,
                                  .waiting_for = "upstream"}};
  target_.progress.stragglers.emplace_back().age = seconds(9);
  Serve();
  Begin(DrainTrigger::kSigterm);
  RunFor(seconds(7));
  const Json live = Report();
  EXPECT_EQ(live["phase"], "draining");
  EXPECT_EQ(live["in_flight"]["total"], 4);
  EXPECT_DOUBLE_EQ(live["phases"][1]["duration_seconds"].get<double>(), 2);
  target_.FinishInbound();
  RunToExit();

  const Json report = Report();
  EXPECT_EQ(report["trigger"], "sigterm");
  EXPECT_EQ(report["started"], "2026-01-01T00:00:00.000Z");
  EXPECT_EQ(report["phase"], "exited");
  EXPECT_DOUBLE_EQ(report["duration_seconds"].get<double>(), 25);
  ASSERT_EQ(report["phases"].size(), 5u);
  EXPECT_EQ(report["phases"][0]["phase"], "lame_duck");
  EXPECT_DOUBLE_EQ(report["phases"][0]["budget_seconds"].get<double>(), 5);
  EXPECT_EQ(report["phases"][1]["phase"], "draining");
  EXPECT_DOUBLE_EQ(report["phases"][1]["duration_seconds"].get<double>(), 20);
  EXPECT_EQ(report["phases"][1]["overrun"], false);
  EXPECT_EQ(report["phases"][4]["phase"], "releasing");
  EXPECT_EQ(report["in_flight_at_start"]["by_protocol"]["http1"], 4);
  EXPECT_EQ(report["in_flight_at_start"]["by_route"]["default/0"], 3);
  EXPECT_EQ(report["in_flight_at_start"]["by_route"]["egress/0"], 1);
  EXPECT_EQ(report["finished"], 3);
  EXPECT_EQ(report["cut"]["total"], 1);
  EXPECT_EQ(report["in_flight"]["total"], 0);
  ASSERT_EQ(report["stragglers"].size(), 2u);
  EXPECT_EQ(report["stragglers"][0]["age_seconds"], 9);  // the slowest first
  EXPECT_EQ(report["stragglers"][1]["route"], "default/0");
  EXPECT_EQ(report["stragglers"][1]["peer"], "192.0.2.1:1234");
  EXPECT_EQ(report["stragglers"][1]["bytes_out"], 20);
  EXPECT_EQ(report["stragglers"][1]["waiting_for"], "upstream");
  EXPECT_EQ(report["fits_grace_period"], true);
}

TEST_F(DrainTest, ADrainThatOutlastsTheGracePeriodSaysSo) {
  config_.grace_period = seconds(10);
  target_.SetInFlight(1);
  Serve();
  Begin();
  RunToExit();
  EXPECT_EQ(Report()["fits_grace_period"], false);
}

TEST_F(DrainTest, TheReportFileIsThereBeforeTheProcessCanBeKilled) {
  const auto path = std::filesystem::temp_directory_path() /
                    ("sluice_drain_report_test." + std::to_string(getpid()) + ".json");
  config_.report_file = path;
  hangs_ = "release";
  Serve();
  Begin();
  RunFor(seconds(5) + milliseconds(1));
  EXPECT_EQ(Json::parse(std::ifstream(path))["phase"], "flushing");
  RunToExit();
  const Json last = Json::parse(std::ifstream(path));
  EXPECT_EQ(last["phase"], "exited");
  EXPECT_EQ(last["phases"].back()["overrun"], true);
  std::filesystem::remove(path);
}

TEST_F(DrainTest, AReportFileThatCannotBeWrittenDoesNotHoldTheExit) {
  config_.report_file = "/nonexistent/report.json";
  Serve();
  Begin();
  RunToExit();
  EXPECT_EQ(drain_->exit_code(), kExitOk);
}

TEST_F(DrainTest, MetricsFollowThePhases) {
  target_.SetInFlight(2);
  Serve();
  EXPECT_EQ(Metric(R"(sluice_phase{phase="ready"})"), "1");
  EXPECT_EQ(Metric(R"(sluice_phase{phase="starting"})"), "0");
  EXPECT_EQ(Metric(R"(sluice_drain_inflight{protocol="http1"})"), "0");
  Begin();
  EXPECT_EQ(Metric(R"(sluice_phase{phase="ready"})"), "0");
  EXPECT_EQ(Metric(R"(sluice_phase{phase="lame_duck"})"), "1");
  EXPECT_EQ(Metric(R"(sluice_drain_inflight{protocol="http1"})"), "2");
  RunFor(seconds(5));
  EXPECT_EQ(Metric(R"(sluice_drain_inflight_at_start{protocol="http1"})"), "2");
  EXPECT_EQ(Metric(R"(sluice_phase_duration_seconds_sum{phase="lame_duck"})"), "5");
  target_.FinishInbound();
  RunToExit();
  EXPECT_EQ(Metric(R"(sluice_drain_inflight{protocol="http1"})"), "0");
  EXPECT_EQ(Metric(R"(sluice_drain_duration_seconds_count{scope="process"})"), "1");
  EXPECT_EQ(Metric(R"(sluice_drain_cut_total{protocol="tunnel",reason="forced"})"), "0");
}

TEST_F(DrainTest, AReportIsAnsweredInEveryPhase) {
  Serve();
  target_.answers = false;
  bool answered = false, stale = false;
  loop_.Dispatch([&] {
    drain_->Report([&](const DrainReport& report) {
      answered = true;
      stale = report.stale;
    });
  });
  RunFor(seconds(2));
  EXPECT_TRUE(answered);
  EXPECT_TRUE(stale);
  target_.answers = true;
  Begin();
  RunToExit();
  target_.answers = false;
  EXPECT_EQ(Report()["phase"], "exited");
}

}  // namespace
}  // namespace sluice
