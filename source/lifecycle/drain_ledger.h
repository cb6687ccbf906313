// The books of a drain: how long each phase took, what was in flight, what was cut. Everything a
// person sees of it, on the metrics page and in the report, comes from here.
#pragma once

#include <array>
#include <string_view>
#include <vector>

#include "base/metrics.h"
#include "base/time.h"
#include "lifecycle/drain_report.h"
#include "lifecycle/phase.h"
#include "sluice/drainable.h"

namespace sluice {

// The numbers that the drain of the process and those of parts have in common. `scope` is
// "process", or the kind of the part.
MetricHistogram& DrainDuration(MetricShard& metrics, std::string_view scope);
MetricCell& DrainCut(MetricShard& metrics, Protocol protocol, CutReason reason);

// Control thread only.
class DrainLedger {
 public:
  // `metrics` must outlive this object.
  DrainLedger(Duration grace_period, MetricShard& metrics, TimePoint now);

  // The process enters `phase`, which may take `budget`.
  void EnterPhase(Phase phase, Duration budget, TimePoint now);

  // The present phase is left behind before its work was done.
  void MarkOverrun();

  // A drain begins; call before its first EnterPhase.
  void Open(DrainTrigger trigger, WallTime wall, TimePoint now);
  // It was taken back: as if it had never been.
  void Discard();

  // What is in flight as the listeners stop.
  void NoteStart(const DrainProgress& progress);
  // The newest account; `reason` is that of the cut which was ordered, if one was.
  void NoteProgress(const DrainProgress& progress, CutReason reason);
  // The last account. What is still in flight dies with the process: it counts as cut by force.
  void Close(CutReason reason);

  // As of `now`; the duration stands still once the process has exited.
  DrainReport Report(TimePoint now) const;

  uint64_t in_flight() const { return report_.progress.in_flight_total(); }
  uint64_t finished() const { return report_.progress.finished; }
  uint64_t cut() const { return report_.cut_total(); }

 private:
  using PerProtocol = std::array<MetricCell*, kProtocolCount>;
  struct Cells {
    std::array<MetricCell*, kPhaseCount> phase;
    std::array<MetricHistogram*, kPhaseCount> phase_duration;
    std::array<MetricCell*, kPhaseCount> phase_overrun;
    MetricHistogram* drain_duration;
    PerProtocol in_flight_at_start;
    PerProtocol in_flight;
    std::array<PerProtocol, kCutReasonCount> cut;
  };
  static Cells MakeCells(MetricShard& metrics);

  Cells cells_;
  TimePoint phase_entered_;
  TimePoint opened_{};
  DrainReport report_;  // its durations are filled in when somebody asks
};

}  // namespace sluice
