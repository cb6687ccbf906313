#include "lifecycle/drain.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <string>
#include <utility>

#include "base/log.h"
#include "lifecycle/exit_code.h"

namespace sluice {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// A worker that has not said within this how it stands is not going to.
constexpr Duration kReportBound = seconds(1);
constexpr Duration kCountBound = milliseconds(500);

// At the deadline a response that has been handed over whole gets one linger to leave and another
// after it; this comes on top, for the goodbyes to be written.
constexpr int kLingers = 2;
constexpr Duration kGoodbyeBound = seconds(1);

// In whole milliseconds, as a person reads a log.
double Seconds(Duration duration) {
  return std::round(std::chrono::duration<double, std::milli>(duration).count()) / 1e3;
}

// In the later phases the account is closed, and the workers are about to go.
bool WorkersAnswer(Phase phase) {
  switch (phase) {
    case Phase::kStarting:
    case Phase::kReady:
    case Phase::kLameDuck:
    case Phase::kDraining:
    case Phase::kHandingOver:
      return true;
    case Phase::kStoppingBackground:
    case Phase::kFlushing:
    case Phase::kReleasing:
    case Phase::kExited:
      return false;
  }
  return false;
}

}  // namespace

DrainController::DrainController(Loop& loop, const DrainConfig& config, Drainable& target,
                                 DrainHooks hooks, MetricShard& metrics)
    : loop_(loop),
      config_(config),
      target_(target),
      hooks_(std::move(hooks)),
      inspector_(loop, target),
      ledger_(config.grace_period, metrics, loop.Now()),
      timer_(loop.timers(), Delegate::Bind<&DrainController::OnTimer>(this)),
      phase_entered_(loop.Now()) {}

void DrainController::OnReady() {
  if (phase_ != Phase::kStarting) return;
  const Duration took = loop_.Now() - phase_entered_;
  Move(PhaseEvent::kStarted);
  LogPhase(Phase::kStarting, took);
}

Result<void> DrainController::Begin(DrainTrigger trigger) {
  if (phase_ == Phase::kExited) return Fail("cannot drain: the process has exited");
  if (phase_ == Phase::kHandingOver) {
    after_hand_over_ = trigger;
    return {};
  }
  loop_.Post([this, trigger] { Start(trigger); });
  return {};
}

Result<void> DrainController::BeginHandOver() {
  if (phase_ != Phase::kReady) {
    return Fail("cannot hand over: the phase is " + std::string(PhaseName(phase_)) +
                ", and only a ready process can");
  }
  const Duration took = loop_.Now() - phase_entered_;
  Move(PhaseEvent::kHandOver);
  LogPhase(Phase::kReady, took);
  return {};
}

void DrainController::EndHandOver(bool taken) {
  if (phase_ != Phase::kHandingOver) return;
  const auto asked = std::exchange(after_hand_over_, std::nullopt);
  if (taken) {
    OpenDrain(DrainTrigger::kHandOver, {});
    EnterDraining();
    return;
  }
  const Duration took = loop_.Now() - phase_entered_;
  Move(PhaseEvent::kHandOverFailed);
  LogPhase(Phase::kHandingOver, took);
  if (asked) Begin(*asked);
}

Result<void> DrainController::Undrain() {
  if (phase_ == Phase::kReady) return Fail("nothing to undrain: the phase is ready");
  if (phase_ != Phase::kLameDuck) {
    return Fail("cannot undrain: the phase is " + std::string(PhaseName(phase_)) +
                ", and only lame_duck can be taken back");
  }
  const Duration took = loop_.Now() - phase_entered_;
  signals_ = 0;
  total_deadline_ = kNever;
  ledger_.Discard();
  Move(PhaseEvent::kUndrain);
  target_.LeaveLameDuck();
  LogPhase(Phase::kLameDuck, took);
  return {};
}

void DrainController::OnSignal(DrainTrigger trigger) {
  if (signals_ == 2) return;
  ++signals_;
  if (signals_ == 2) {
    loop_.Post([this] { Hurry(); });
    return;
  }
  if (const auto begun = Begin(trigger); !begun) {
    signals_ = 0;  // the next one may try again
    LogEvent(Level::kWarning, "signal_refused", {{"error", begun.error().message}});
  }
}

void DrainController::Report(std::function<void(const DrainReport&)> then) {
  if (!WorkersAnswer(phase_)) {
    then(ledger_.Report(loop_.Now()));
    return;
  }
  inspector_.Ask(kReportBound, [this, then = std::move(then)](const DrainProgress* progress) {
    Note(progress);
    DrainReport report = ledger_.Report(loop_.Now());
    report.stale = progress == nullptr;
    then(report);
  });
}

int DrainController::exit_code() const { return ledger_.cut() == 0 ? kExitOk : kExitCut; }

void DrainController::Start(DrainTrigger trigger) {
  if (phase_ != Phase::kStarting && phase_ != Phase::kReady) return;
  const bool was_ready = phase_ == Phase::kReady;
  Duration wait{};
  if (was_ready && config_.propagation_delay > Duration::zero()) {
    const auto jitter = static_cast<uint64_t>(config_.jitter.count());
    wait = config_.propagation_delay +
           Duration(static_cast<int64_t>(loop_.random().Below(jitter + 1)));
  }
  OpenDrain(trigger, wait);
  if (wait > Duration::zero()) {
    EnterLameDuck(wait);
  } else {
    EnterDraining();
  }
}

void DrainController::OpenDrain(DrainTrigger trigger, Duration wait) {
  ledger_.Open(trigger, loop_.WallNow(), loop_.Now());
  total_deadline_ = loop_.Now() + wait + config_.deadline + config_.stopping_background +
                    config_.flushing + config_.releasing;
  LogEvent(Level::kInfo, "drain",
           {{"trigger", DrainTriggerName(trigger)},
            {"at_most_seconds", Seconds(total_deadline_ - loop_.Now())},
            {"grace_period_seconds", Seconds(config_.grace_period)}});
}

void DrainController::EnterLameDuck(Duration wait) {
  const TimePoint now = loop_.Now();
  const Duration took = now - phase_entered_;
  Move(PhaseEvent::kDrain, wait);
  LogPhaseFreshly(Phase::kReady, took, nullptr);
  target_.EnterLameDuck(
      {.begins = now, .ends = now + wait, .gradual = config_.strategy == DrainStrategy::kGradual});
  timer_.Set(now + wait);
}

void DrainController::EnterDraining() {
  const Phase from = phase_;
  const Duration took = loop_.Now() - phase_entered_;
  Move(PhaseEvent::kDrainNow, config_.deadline);
  stage_ = Stage::kInbound;
  drain_deadline_ = Bounded(config_.deadline);
  // Asked before anybody is told, so that it is what was in flight at the start.
  LogPhaseFreshly(from, took,
                  [this](const DrainProgress& progress) { ledger_.NoteStart(progress); });
  timer_.Set(drain_deadline_);
  Tell({.inbound = true, .outbound = false});
}

void DrainController::Tell(const DrainScope& scope) {
  target_.BeginDrain({.scope = scope,
                      .deadline = drain_deadline_,
                      .spread = config_.spread,
                      .idle_grace = config_.idle_grace,
                      .linger = config_.linger},
                     WhenDone());
}

void DrainController::Hurry() {
  // The drain that the first signal began may have been taken back since.
  if (signals_ < 2) return;
  LogEvent(Level::kWarning, "second_signal", {{"phase", PhaseName(phase_)}});
  if (phase_ == Phase::kLameDuck) EnterDraining();
  if (phase_ == Phase::kDraining) Cut(CutReason::kSecondSignal);
}

void DrainController::Cut(CutReason reason) {
  if (stage_ != Stage::kInbound && stage_ != Stage::kEverything) return;
  // The outbound listeners have served the application for as long as they could.
  if (stage_ == Stage::kInbound) Tell({.inbound = true, .outbound = true});
  stage_ = Stage::kCut;
  cut_reason_ = reason;
  inspector_.Ask(kCountBound, [this, reason](const DrainProgress* progress) {
    Note(progress);
    LogEvent(Level::kWarning, "drain_cut",
             {{"reason", CutReasonName(reason)}, {"in_flight", ledger_.in_flight()}});
  });
  target_.Cut(reason);
  timer_.Set(Bounded(kLingers * config_.linger + kGoodbyeBound));
}

// The drain is over but for its account, which the exit code hangs on.
void DrainController::Count(bool overrun) {
  stage_ = Stage::kCounting;
  timer_.Stop();
  inspector_.Ask(kCountBound, [this, overrun](const DrainProgress* progress) {
    Note(progress);
    ledger_.Close(cut_reason_);
    EnterNext(overrun || progress == nullptr);
  });
}

void DrainController::EnterNext(bool overrun) {
  const Phase from = phase_;
  const Duration took = loop_.Now() - phase_entered_;
  if (overrun) {
    ledger_.MarkOverrun();
    LogEvent(Level::kWarning, "phase_overrun",
             {{"phase", PhaseName(from)}, {"seconds", Seconds(took)}});
  }
  switch (*NextPhase(from, PhaseEvent::kPhaseOver)) {
    case Phase::kStoppingBackground:
      Move(PhaseEvent::kPhaseOver, config_.stopping_background);
      LogPhase(from, took);
      RunHook(hooks_.stop_background, config_.stopping_background);
      break;
    case Phase::kFlushing:
      Move(PhaseEvent::kPhaseOver, config_.flushing);
      LogPhase(from, took);
      // All but the last two phases, in case the process is killed in one of them.
      WriteReportFile();
      RunHook(hooks_.flush, config_.flushing);
      break;
    case Phase::kReleasing:
      Move(PhaseEvent::kPhaseOver, config_.releasing);
      LogPhase(from, took);
      RunHook(hooks_.release, config_.releasing);
      break;
    default:
      Move(PhaseEvent::kPhaseOver);
  }
}

void DrainController::RunHook(const DrainHooks::Hook& hook, Duration budget) {
  timer_.Set(Bounded(budget));
  auto done = WhenDone();
  if (hook) {
    hook(std::move(done));
  } else {
    done();
  }
}

void DrainController::Move(PhaseEvent event, Duration budget) {
  const auto next = NextPhase(phase_, event);
  if (!next) std::abort();
  const Phase from = std::exchange(phase_, *next);
  const Duration took = loop_.Now() - std::exchange(phase_entered_, loop_.Now());
  timer_.Stop();
  ++step_;
  ledger_.EnterPhase(phase_, budget, loop_.Now());
  if (phase_ == Phase::kExited) {
    LogPhase(from, took);
    WriteReport();
  }
  for (const Listener& listener : listeners_) listener(from, phase_);
}

// A callback that ends the present wait, at most once, and only if nothing else has ended it.
// Posted, so that whoever is done is left alone on its stack.
std::function<void()> DrainController::WhenDone() {
  return [this, step = ++step_] {
    loop_.Post([this, step] {
      if (step == step_) OnDone();
    });
  };
}

void DrainController::OnDone() {
  ++step_;
  if (phase_ != Phase::kDraining) {
    EnterNext(false);
  } else if (stage_ == Stage::kInbound) {
    stage_ = Stage::kEverything;
    Tell({.inbound = true, .outbound = true});
  } else {
    Count(false);
  }
}

void DrainController::OnTimer() {
  if (phase_ == Phase::kLameDuck) {
    EnterDraining();
  } else if (phase_ != Phase::kDraining) {
    EnterNext(true);
  } else if (stage_ == Stage::kCut) {
    ++step_;
    Count(true);
  } else {
    Cut(CutReason::kDeadline);
  }
}

TimePoint DrainController::Bounded(Duration budget) const {
  return std::min(loop_.Now() + budget, total_deadline_);
}

void DrainController::LogPhase(Phase from, Duration took) const {
  if (!ledger_.Report(loop_.Now()).trigger) {
    LogEvent(Level::kInfo, "phase",
             {{"phase", PhaseName(phase_)}, {"from", PhaseName(from)}, {"seconds", Seconds(took)}});
    return;
  }
  LogEvent(Level::kInfo, "phase",
           {{"phase", PhaseName(phase_)},
            {"from", PhaseName(from)},
            {"seconds", Seconds(took)},
            {"in_flight", ledger_.in_flight()},
            {"finished", ledger_.finished()},
            {"cut", ledger_.cut()}});
}

// As LogPhase, with what is in flight now; written when the workers have said it.
void DrainController::LogPhaseFreshly(Phase from, Duration took,
                                      std::function<void(const DrainProgress&)> note) {
  inspector_.Ask(kReportBound, [this, from, to = phase_, took,
                                note = std::move(note)](const DrainProgress* progress) {
    Note(progress);
    if (progress && note) note(*progress);
    LogEvent(Level::kInfo, "phase",
             {{"phase", PhaseName(to)},
              {"from", PhaseName(from)},
              {"seconds", Seconds(took)},
              {"in_flight", ledger_.in_flight()}});
  });
}

void DrainController::Note(const DrainProgress* progress) {
  if (progress && WorkersAnswer(phase_)) ledger_.NoteProgress(*progress, cut_reason_);
}

void DrainController::WriteReportFile() const {
  if (config_.report_file.empty()) return;
  const std::string document = DrainReportJson(ledger_.Report(loop_.Now())) + "\n";
  if (const auto written = WriteFileAtomically(config_.report_file, document); !written) {
    LogEvent(Level::kError, "drain_report_failed", {{"error", written.error().message}});
  }
}

void DrainController::WriteReport() const {
  const DrainReport report = ledger_.Report(loop_.Now());
  WriteReportFile();
  const bool good = report.cut_total() == 0 && report.fits_grace_period();
  LogJson(good ? Level::kInfo : Level::kWarning, "drain_report", "report",
          DrainReportJson(report, -1));
  FlushLog();
}

}  // namespace sluice
