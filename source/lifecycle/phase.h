// The phases of the process and the events that move it from one to the next (docs/drain.md).
//
//              +--- kUndrain ---+
//              v                |
//   starting -> ready -> lame_duck -> draining -> stopping_background -> flushing -> releasing
//      |        |  ^                   ^    ^                                            |
//      |        |  |                   |    |                                            v
//      +--------)--)---- kDrainNow ----+    |                                         exited
//               v  |                        |
//             handing_over --- kDrainNow ---+
//
// Pure functions: thread safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace sluice {

enum class Phase : uint8_t {
  kStarting,            // not serving yet
  kReady,               // serving, and saying so
  kLameDuck,            // serving, but readiness says no
  kDraining,            // taking no new work, finishing what is in flight
  kStoppingBackground,  // nothing is in flight: timers, checks and watches stop
  kFlushing,            // logs, final metrics and the report are written
  kReleasing,           // threads, sockets and files are given back
  kExited,              // over: the process may end
  kHandingOver,         // a new process is taking the listeners
};
inline constexpr size_t kPhaseCount = 9;

// "starting", "ready", "lame_duck", ...
std::string_view PhaseName(Phase phase);

enum class PhaseEvent : uint8_t {
  kStarted,         // everything needed to serve is there
  kDrain,           // a drain was asked for: say "not ready", go on serving
  kDrainNow,        // the news has spread, or nobody needs to hear it: stop taking new work
  kUndrain,         // the drain was taken back
  kPhaseOver,       // the phase has done its work, or has used up its budget
  kHandOver,        // a new process asks for the listeners
  kHandOverFailed,  // ... and did not become ready
};
inline constexpr size_t kPhaseEventCount = 7;

// "started", "drain", "drain_now", ...
std::string_view PhaseEventName(PhaseEvent event);

// Where `event` leads from `phase`; nothing when it has no meaning there.
std::optional<Phase> NextPhase(Phase phase, PhaseEvent event);

// True in the phases in which readiness says yes.
inline bool IsReady(Phase phase) { return phase == Phase::kReady || phase == Phase::kHandingOver; }

}  // namespace sluice
