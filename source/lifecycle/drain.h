// The drain of the process: when each phase begins and ends. It knows that work is in flight and
// that it can be told, watched and cut (Drainable), and nothing of sockets or protocols.
//
//   Begin -> [lame_duck] -> draining -> stopping_background -> flushing -> releasing -> exited
//                              |
//        inbound told --done--> everything told --done--> counted -> next phase
//             \                      |                       ^
//              +----- deadline, or a second signal           |
//                                    v                       |
//                                   cut --- done, or bound --+
//
// Every wait is bounded: by its phase's budget, and all of them by the sum of the budgets. A phase
// that is not done in time is logged, counted and left behind.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "base/metrics.h"
#include "base/time.h"
#include "config/config.h"
#include "lifecycle/drain_ledger.h"
#include "lifecycle/drain_report.h"
#include "lifecycle/inspection.h"
#include "lifecycle/phase.h"
#include "sluice/drainable.h"
#include "sluice/loop.h"
#include "sluice/result.h"

namespace sluice {

// The work of the phases after the draining. Each hook is called once, on the control thread, and
// calls `done` there when it has finished, from inside the call if it likes; a second or a late
// `done` is ignored. A hook that is empty has nothing to do.
struct DrainHooks {
  using Hook = std::function<void(std::function<void()> done)>;
  Hook stop_background;
  Hook flush;
  // The loop must still run when it is done: the exit is one posted call away.
  Hook release;
};

// Control thread only.
class DrainController {
 public:
  // The loop and the target must outlive this object; so must the metrics. Work it posted must not
  // run after it is gone: destroy it once the loop has stopped.
  DrainController(Loop& loop, const DrainConfig& config, Drainable& target, DrainHooks hooks,
                  MetricShard& metrics);
  DrainController(const DrainController&) = delete;
  DrainController& operator=(const DrainController&) = delete;

  // For the next drain: a new configuration is in force.
  void SetConfig(const DrainConfig& config) { config_ = config; }

  Phase phase() const { return phase_; }

  // Called on every change, after phase() says the new one and before its work begins; for
  // Phase::kExited when the report has been written. Never removed.
  using Listener = std::function<void(Phase from, Phase to)>;
  void AddListener(Listener listener) { listeners_.push_back(std::move(listener)); }

  // Everything needed to serve is there. Does nothing if a drain came first.
  void OnReady();

  // Asks for a drain. It begins on a later turn of the loop, never inside the caller, who may be
  // serving one of the requests it waits for. While a drain is under way this is no error and
  // changes nothing; nor while a new process takes over: it then begins if that fails, and if not
  // there is a drain anyway. Fails after the exit.
  Result<void> Begin(DrainTrigger trigger);

  // A new process asks for the listeners: ready, and still serving. Fails with the reason when the
  // phase is another.
  Result<void> BeginHandOver();
  // It has them: what is in flight here is drained. Or it has not: ready as before.
  void EndHandOver(bool taken);

  // Back to ready, at once. Fails with the reason outside lame_duck.
  Result<void> Undrain();

  // SIGTERM or SIGINT. The first asks for a drain, which may be under way for another reason (a
  // preStop hook, then SIGTERM); the second jumps to the deadline; more of them change nothing.
  void OnSignal(DrainTrigger trigger);

  // Calls `then` once, with fresh numbers if the workers give them within a second. May call it
  // from here.
  void Report(std::function<void(const DrainReport&)> then);

  // kExitOk or kExitCut; final in Phase::kExited.
  int exit_code() const;

 private:
  // How far Phase::kDraining is.
  enum class Stage : uint8_t { kInbound, kEverything, kCut, kCounting };

  void Start(DrainTrigger trigger);
  void OpenDrain(DrainTrigger trigger, Duration wait);
  void EnterLameDuck(Duration wait);
  void EnterDraining();
  void Tell(const DrainScope& scope);
  void Hurry();
  void Cut(CutReason reason);
  void Count(bool overrun);
  void EnterNext(bool overrun);
  void RunHook(const DrainHooks::Hook& hook, Duration budget);

  void Move(PhaseEvent event, Duration budget = {});
  std::function<void()> WhenDone();
  void OnDone();
  void OnTimer();
  TimePoint Bounded(Duration budget) const;

  void LogPhase(Phase from, Duration took) const;
  void LogPhaseFreshly(Phase from, Duration took, std::function<void(const DrainProgress&)> note);
  void Note(const DrainProgress* progress);
  void WriteReportFile() const;
  void WriteReport() const;

  Loop& loop_;
  DrainConfig config_;
  Drainable& target_;
  const DrainHooks hooks_;
  std::vector<Listener> listeners_;
  Inspector inspector_;
  DrainLedger ledger_;
  Timer timer_;  // ends the phase, or in `draining` the stage

  Phase phase_ = Phase::kStarting;
  TimePoint phase_entered_;
  Stage stage_ = Stage::kInbound;  // meaningful in Phase::kDraining
  uint64_t step_ = 0;  // names the wait under way; an answer to an earlier one is too late
  uint32_t signals_ = 0;
  std::optional<DrainTrigger> after_hand_over_;  // asked for in Phase::kHandingOver
  TimePoint total_deadline_ = kNever;
  TimePoint drain_deadline_ = kNever;
  CutReason cut_reason_ = CutReason::kDeadline;
};

}  // namespace sluice
