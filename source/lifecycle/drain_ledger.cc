#include "lifecycle/drain_ledger.h"

#include <chrono>
#include <string>
#include <utility>

namespace sluice {
namespace {

double Seconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }

MetricLabels PhaseLabel(size_t phase) {
  return {{"phase", std::string(PhaseName(static_cast<Phase>(phase)))}};
}

std::pair<std::string, std::string> ProtocolLabel(size_t protocol) {
  return {"protocol", std::string(ProtocolName(static_cast<Protocol>(protocol)))};
}

}  // namespace

MetricHistogram& DrainDuration(MetricShard& metrics, std::string_view scope) {
  return metrics.Histogram("sluice_drain_duration_seconds",
                           "Time from the trigger of a drain to its end",
                           {{"scope", std::string(scope)}});
}

MetricCell& DrainCut(MetricShard& metrics, Protocol protocol, CutReason reason) {
  return metrics.Counter("sluice_drain_cut_total", "Requests in flight that a drain ended by force",
                         {ProtocolLabel(static_cast<size_t>(protocol)),
                          {"reason", std::string(CutReasonName(reason))}});
}

DrainLedger::Cells DrainLedger::MakeCells(MetricShard& metrics) {
  Cells cells{};
  for (size_t i = 0; i < kPhaseCount; ++i) {
    cells.phase[i] = &metrics.Gauge(
        "sluice_phase", "1 for the phase the process is in, 0 for the others", PhaseLabel(i));
    cells.phase_duration[i] =
        &metrics.Histogram("sluice_phase_duration_seconds",
                           "Time spent in a phase, counted when it is left", PhaseLabel(i));
    cells.phase_overrun[i] =
        &metrics.Counter("sluice_phase_overrun_total",
                         "Phases left behind before their work was done", PhaseLabel(i));
  }
  cells.drain_duration = &DrainDuration(metrics, "process");
  for (size_t i = 0; i < kProtocolCount; ++i) {
    cells.in_flight_at_start[i] =
        &metrics.Gauge("sluice_drain_inflight_at_start",
                       "Requests in flight when the listeners stopped", {ProtocolLabel(i)});
    cells.in_flight[i] = &metrics.Gauge("sluice_drain_inflight",
                                        "Requests in flight, counted while a drain is under way",
                                        {ProtocolLabel(i)});
    for (size_t reason = 0; reason < kCutReasonCount; ++reason) {
      cells.cut[reason][i] =
          &DrainCut(metrics, static_cast<Protocol>(i), static_cast<CutReason>(reason));
    }
  }
  return cells;
}

DrainLedger::DrainLedger(Duration grace_period, MetricShard& metrics, TimePoint now)
    : cells_(MakeCells(metrics)), phase_entered_(now) {
  report_.grace_period = grace_period;
  cells_.phase[static_cast<size_t>(report_.phase)]->Set(1);
}

void DrainLedger::EnterPhase(Phase phase, Duration budget, TimePoint now) {
  const Duration took = now - phase_entered_;
  const auto left = static_cast<size_t>(report_.phase);
  cells_.phase_duration[left]->Observe(Seconds(took));
  cells_.phase[left]->Set(0);
  cells_.phase[static_cast<size_t>(phase)]->Set(1);
  if (!report_.phases.empty()) report_.phases.back().duration = took;

  report_.phase = phase;
  phase_entered_ = now;
  if (phase == Phase::kExited) {
    report_.duration = now - opened_;
    cells_.drain_duration->Observe(Seconds(report_.duration));
  } else if (report_.trigger) {
    report_.phases.push_back({.phase = phase, .budget = budget});
  }
}

void DrainLedger::MarkOverrun() {
  report_.phases.back().overrun = true;
  cells_.phase_overrun[static_cast<size_t>(report_.phase)]->Add();
}

void DrainLedger::Open(DrainTrigger trigger, WallTime wall, TimePoint now) {
  report_.trigger = trigger;
  report_.started = wall;
  opened_ = now;
}

void DrainLedger::Discard() {
  report_.trigger.reset();
  report_.phases.clear();
}

void DrainLedger::NoteStart(const DrainProgress& progress) {
  report_.in_flight_at_start = progress.in_flight;
  report_.in_flight_at_start_by_route = progress.in_flight_by_route;
  for (size_t i = 0; i < kProtocolCount; ++i) {
    cells_.in_flight_at_start[i]->Set(static_cast<int64_t>(progress.in_flight[i]));
  }
}

void DrainLedger::NoteProgress(const DrainProgress& progress, CutReason reason) {
  report_.progress = progress;
  report_.cut = {};
  report_.cut[static_cast<size_t>(reason)] = progress.cut;
  for (size_t i = 0; i < kProtocolCount; ++i) {
    const uint64_t in_flight = report_.trigger ? progress.in_flight[i] : 0;
    cells_.in_flight[i]->Set(static_cast<int64_t>(in_flight));
  }
}

void DrainLedger::Close(CutReason reason) {
  report_.cut = {};
  report_.cut[static_cast<size_t>(reason)] = report_.progress.cut;
  InFlight& forced = report_.cut[static_cast<size_t>(CutReason::kForced)];
  for (size_t i = 0; i < kProtocolCount; ++i) {
    forced[i] += report_.progress.in_flight[i];
    cells_.in_flight[i]->Set(0);
    for (size_t j = 0; j < kCutReasonCount; ++j) {
      cells_.cut[j][i]->Add(static_cast<int64_t>(report_.cut[j][i]));
    }
  }
  report_.progress.in_flight = {};
  report_.progress.in_flight_by_route.clear();
}

DrainReport DrainLedger::Report(TimePoint now) const {
  DrainReport report = report_;
  report.phase_age = now - phase_entered_;
  if (report.phase == Phase::kExited) return report;
  if (report.trigger) report.duration = now - opened_;
  if (!report.phases.empty()) report.phases.back().duration = report.phase_age;
  return report;
}

}  // namespace sluice
