#include "lifecycle/phase.h"

#include <array>

namespace sluice {
namespace {

constexpr std::array<std::string_view, kPhaseCount> kPhaseNames = {
    "starting", "ready",     "lame_duck", "draining",     "stopping_background",
    "flushing", "releasing", "exited",    "handing_over",
};

constexpr std::array<std::string_view, kPhaseEventCount> kEventNames = {
    "started", "drain", "drain_now", "undrain", "phase_over", "hand_over", "hand_over_failed",
};

struct Transition {
  Phase from;
  PhaseEvent event;
  Phase to;
};

constexpr Transition kTransitions[] = {
    {Phase::kStarting, PhaseEvent::kStarted, Phase::kReady},
    // Nobody was told that we serve, so nobody has to be told that we stop.
    {Phase::kStarting, PhaseEvent::kDrainNow, Phase::kDraining},

    {Phase::kReady, PhaseEvent::kDrain, Phase::kLameDuck},
    {Phase::kReady, PhaseEvent::kDrainNow, Phase::kDraining},
    {Phase::kReady, PhaseEvent::kHandOver, Phase::kHandingOver},

    {Phase::kLameDuck, PhaseEvent::kDrainNow, Phase::kDraining},
    {Phase::kLameDuck, PhaseEvent::kUndrain, Phase::kReady},

    // The new process has said that it is ready: it is the news.
    {Phase::kHandingOver, PhaseEvent::kDrainNow, Phase::kDraining},
    {Phase::kHandingOver, PhaseEvent::kHandOverFailed, Phase::kReady},

    {Phase::kDraining, PhaseEvent::kPhaseOver, Phase::kStoppingBackground},
    {Phase::kStoppingBackground, PhaseEvent::kPhaseOver, Phase::kFlushing},
    {Phase::kFlushing, PhaseEvent::kPhaseOver, Phase::kReleasing},
    {Phase::kReleasing, PhaseEvent::kPhaseOver, Phase::kExited},
};

}  // namespace

std::string_view PhaseName(Phase phase) { return kPhaseNames[static_cast<size_t>(phase)]; }

std::string_view PhaseEventName(PhaseEvent event) {
  return kEventNames[static_cast<size_t>(event)];
}

std::optional<Phase> NextPhase(Phase phase, PhaseEvent event) {
  for (const Transition& transition : kTransitions) {
    if (transition.from == phase && transition.event == event) return transition.to;
  }
  return std::nullopt;
}

}  // namespace sluice
