// Drains of parts of what the process serves: which listener, route, cluster or endpoint is
// drained, since when, and how it goes.
//
//             Drain                 every worker is done
//   serving --------> kDraining ---------------------------> kDrained
//      ^                 | the deadline: the workers are told to cut, once
//      |                 |                                      |
//      +---- Undrain ----+--------------------------------------+
//
// The drain of the process comes before: once it has stopped taking work nothing is drained or
// undrained by itself any more, and its deadline is the one that counts.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <tl/expected.hpp>
#include <vector>

#include "base/metrics.h"
#include "base/time.h"
#include "config/config.h"
#include "lifecycle/drain.h"
#include "lifecycle/part_report.h"
#include "sluice/loop.h"
#include "sluice/part_drain.h"
#include "sluice/result.h"

namespace sluice {

// Why an order was refused.
struct PartRefusal {
  enum class Kind : uint8_t { kUnknownName, kNotNow, kFailed };
  Kind kind;
  std::string message;
};

// What can be drained.
struct PartNames {
  std::array<std::vector<std::string>, kPartKindCount> by_kind;  // without duplicates
  // Clusters that look their endpoints up, and the addresses that they have now.
  std::map<std::string, std::set<std::string>> looked_up;
};
PartNames PartNamesOf(const Config& config);

// Control thread only.
class PartDrainController {
 public:
  struct Surroundings {
    Loop& loop;
    DrainController& process;
    std::vector<PartDrainable*> workers;
    MetricShard& metrics;
    // Called before a part is undrained, with what the workers need for it; may be empty. When it
    // fails the part stays drained.
    std::function<Result<void>(const Part&)> before_undrain;
  };
  // Everything that is referred to must outlive it, but for the loop's posted work: as
  // DrainController.
  PartDrainController(const DrainConfig& config, PartNames names, Surroundings surroundings);
  ~PartDrainController();
  PartDrainController(const PartDrainController&) = delete;

  // For the next drains: a new configuration is in force. Parts that are drained and have no name
  // in it are forgotten, but for an endpoint that a lookup does not find now: it stays drained for
  // as long as its cluster is there, and if it comes back.
  void SetConfig(const DrainConfig& config, PartNames names);

  // Begins to drain a part; one that is drained already stays so. Fails for a name that does not
  // exist, and while the process is neither ready nor lame duck.
  tl::expected<void, PartRefusal> Drain(const Part& part);

  // A new configuration has no place for these (Part::removed_by): what is in flight there has
  // until the deadline, from now. They are forgotten when nothing is left of them.
  struct Removal {
    Part part;
    Duration deadline;
  };
  void DrainRemoved(const std::vector<Removal>& removals);
  // What is left of one may stay after all; what was told goes nevertheless. None of them: nothing.
  void KeepRemoved(const Part& part);

  // The part serves again. Fails for the same reasons, and for a part that is not drained.
  tl::expected<void, PartRefusal> Undrain(const Part& part);

  // What is drained, with the numbers of `progress`, the newest account of the workers.
  std::vector<PartReport> Describe(const DrainProgress& progress) const;

 private:
  class Entry;

  bool Knows(const Part& part) const;
  void NoteClusters(Entry& entry) const;
  tl::expected<void, PartRefusal> Check(const Part& part) const;
  void Begin(const Part& part, Duration deadline);
  void Forget(const Part& part);
  void OnWorkerDone(const Part& part, uint64_t id, const PartProgress& progress);
  void OnDeadline(Entry& entry);
  void OnProcessPhase(Phase to);
  MetricCell& Gauge(const Part& part);

  DrainConfig config_;
  PartNames names_;
  const Surroundings around_;
  std::map<Part, std::unique_ptr<Entry>> entries_;
  uint64_t next_id_ = 0;
};

}  // namespace sluice
