// The drain report: one JSON document that says what a drain did, or is doing (docs/drain.md,
// "What is reported"). Plain data and pure functions.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/time.h"
#include "lifecycle/part_report.h"
#include "lifecycle/phase.h"
#include "sluice/drainable.h"
#include "sluice/result.h"

namespace sluice {

// Who asked for the drain.
enum class DrainTrigger : uint8_t {
  kSigterm,
  kSigint,
  kAdmin,
  kCli,
  kPrestop,
  kSelfCheck,
  kHandOver
};
std::string_view DrainTriggerName(DrainTrigger trigger);  // "sigterm", "sigint", "admin", ...

struct PhaseRecord {
  Phase phase = Phase::kStarting;
  Duration duration{};  // so far, for the phase under way
  Duration budget{};
  bool overrun = false;  // it was left behind before its work was done
};

inline constexpr size_t kCutReasonCount = 3;
using CutCounts = std::array<InFlight, kCutReasonCount>;  // by CutReason, then by Protocol

struct DrainReport {
  std::optional<DrainTrigger> trigger;  // nothing: no drain was asked for
  WallTime started{};                   // meaningful with a trigger
  Phase phase = Phase::kStarting;
  Duration phase_age{};  // in the present phase
  Duration duration{};   // since the trigger
  Duration grace_period{};
  std::vector<PhaseRecord> phases;  // of the drain, in order

  // At the start of `draining`, when the listeners stopped.
  InFlight in_flight_at_start{};
  std::vector<std::pair<std::string, uint64_t>> in_flight_at_start_by_route;

  // The newest account of the workers. `stale`: they did not answer this time.
  DrainProgress progress;
  bool stale = false;
  CutCounts cut{};  // while the drain runs, what is cut counts under its order's reason

  // The parts that are drained by themselves; nothing where that is not asked for.
  std::optional<std::vector<PartReport>> parts;

  uint64_t cut_total() const;
  bool fits_grace_period() const { return duration <= grace_period; }
};

// The document, indented for people; `indent` -1 writes it on one line.
std::string DrainReportJson(const DrainReport& report, int indent = 2);

// Writes `text` to `path` so that a reader sees the old file or the whole new one, never a part:
// a temporary file beside it, renamed over it. The error names the path and the reason.
Result<void> WriteFileAtomically(const std::string& path, std::string_view text);

}  // namespace sluice
