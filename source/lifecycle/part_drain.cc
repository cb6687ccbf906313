#include "lifecycle/part_drain.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>

#include "base/log.h"
#include "config/suggest.h"
#include "lifecycle/drain_ledger.h"

namespace sluice {
namespace {

// A name that does not exist is answered with those that do; a thousand endpoints would help
// nobody.
constexpr size_t kMaxNamesListed = 50;

double Seconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }

tl::unexpected<PartRefusal> Refuse(PartRefusal::Kind kind, std::string message) {
  return tl::unexpected(PartRefusal{kind, std::move(message)});
}

std::string Described(const Part& part) {
  return fmt::format("{} \"{}\"", PartKindName(part.kind), part.name);
}

void AddName(std::vector<std::string>& names, const std::string& name) {
  if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
}

}  // namespace

PartNames PartNamesOf(const Config& config) {
  PartNames names;
  const auto of = [&names](PartKind kind) -> std::vector<std::string>& {
    return names.by_kind[static_cast<size_t>(kind)];
  };
  for (const ListenerConfig& listener : config.listeners) {
    AddName(of(PartKind::kListener), listener.name);
    for (const VirtualHost& host : listener.virtual_hosts) {
      for (const RouteConfig& route : host.routes) AddName(of(PartKind::kRoute), route.name);
    }
  }
  for (const ClusterConfig& cluster : config.clusters) {
    AddName(of(PartKind::kCluster), cluster.name);
    for (const EndpointConfig& one : cluster.endpoints) {
      AddName(of(PartKind::kEndpoint), one.address);
    }
    if (!cluster.dns) continue;
    auto& addresses = names.looked_up[cluster.name];
    for (const EndpointConfig& one : cluster.endpoints) addresses.insert(one.address);
  }
  return names;
}

// One part that is drained.
class PartDrainController::Entry {
 public:
  Entry(PartDrainController& controller, const Part& what, uint64_t number, size_t workers)
      : part(what),
        id(number),
        began(controller.around_.loop.Now()),
        entered(began),
        undone(workers),
        deadline(controller.around_.loop.timers(), Delegate::Bind<&Entry::OnTimer>(this)),
        controller_(controller) {
    progress.part = part;
  }

  const Part part;
  const uint64_t id;  // an answer to an earlier drain of the part is too late
  const TimePoint began;
  TimePoint entered;
  PartState state = PartState::kDraining;
  size_t undone;          // workers that are not done
  PartProgress progress;  // of those that are
  Timer deadline;
  std::set<std::string> clusters;  // in which a lookup has found it

 private:
  void OnTimer() { controller_.OnDeadline(*this); }

  PartDrainController& controller_;
};

PartDrainController::PartDrainController(const DrainConfig& config, PartNames names,
                                         Surroundings surroundings)
    : config_(config), names_(std::move(names)), around_(std::move(surroundings)) {
  around_.process.AddListener([this](Phase, Phase to) { OnProcessPhase(to); });
}

PartDrainController::~PartDrainController() = default;

bool PartDrainController::Knows(const Part& part) const {
  const auto& known = names_.by_kind[static_cast<size_t>(part.kind)];
  return std::find(known.begin(), known.end(), part.name) != known.end();
}

void PartDrainController::SetConfig(const DrainConfig& config, PartNames names) {
  config_ = config;
  names_ = std::move(names);
  for (auto entry = entries_.begin(); entry != entries_.end();) {
    const Part part = entry->first;
    NoteClusters(*entry->second);
    const bool stays = part.removed_by != 0 || Knows(part) || !entry->second->clusters.empty();
    ++entry;
    if (stays) continue;
    Gauge(part).Set(0);
    Forget(part);
  }
}

// Those that are there and find this endpoint, or have found it.
void PartDrainController::NoteClusters(Entry& entry) const {
  if (entry.part.kind != PartKind::kEndpoint || entry.part.removed_by != 0) return;
  for (const auto& [cluster, addresses] : names_.looked_up) {
    if (addresses.contains(entry.part.name)) entry.clusters.insert(cluster);
  }
  std::erase_if(entry.clusters,
                [&](const std::string& cluster) { return !names_.looked_up.contains(cluster); });
}

tl::expected<void, PartRefusal> PartDrainController::Check(const Part& part) const {
  const Phase phase = around_.process.phase();
  if (phase != Phase::kReady && phase != Phase::kLameDuck) {
    return Refuse(
        PartRefusal::Kind::kNotNow,
        fmt::format("not now: the phase is {}, and a part is drained or undrained only in "
                    "ready and lame_duck",
                    PhaseName(phase)));
  }
  if (Knows(part) || entries_.contains(part)) return {};
  const auto& known = names_.by_kind[static_cast<size_t>(part.kind)];
  const std::string nearest = NearestName(part.name, known);
  const std::string hint = nearest.empty() ? "" : fmt::format(" did you mean \"{}\"?", nearest);
  const size_t listed = std::min(known.size(), kMaxNamesListed);
  std::string message = fmt::format(
      "there is no {};{} there {}: {}{}", Described(part), hint, known.size() == 1 ? "is" : "are",
      fmt::join(known.begin(), known.begin() + static_cast<long>(listed), ", "),
      listed < known.size() ? ", ..." : "");
  return Refuse(PartRefusal::Kind::kUnknownName, std::move(message));
}

tl::expected<void, PartRefusal> PartDrainController::Drain(const Part& part) {
  if (auto checked = Check(part); !checked) return checked;
  if (entries_.contains(part)) return {};
  Begin(part, config_.deadline);
  Gauge(part).Set(1);
  return {};
}

void PartDrainController::DrainRemoved(const std::vector<Removal>& removals) {
  for (const Removal& removal : removals) Begin(removal.part, removal.deadline);
}

void PartDrainController::KeepRemoved(const Part& part) {
  if (!entries_.contains(part)) return;
  LogEvent(Level::kInfo, "part_undrained",
           {{"scope", PartKindName(part.kind)}, {"name", part.name}});
  Forget(part);
}

void PartDrainController::Begin(const Part& part, Duration deadline) {
  const uint64_t id = next_id_++;
  Entry& entry =
      *entries_.emplace(part, std::make_unique<Entry>(*this, part, id, around_.workers.size()))
           .first->second;
  NoteClusters(entry);
  entry.deadline.Set(around_.loop.Now() + deadline);
  LogEvent(Level::kInfo, "part_drain",
           {{"scope", PartKindName(part.kind)},
            {"name", part.name},
            {"removed", part.removed_by != 0},
            {"deadline_seconds", Seconds(deadline)}});
  // The last who are told need some time to answer, too.
  const PartDrainOrder order{.part = part,
                             .spread = std::min(config_.spread, deadline * 3 / 4),
                             .idle_grace = config_.idle_grace,
                             .linger = config_.linger};
  for (PartDrainable* worker : around_.workers) {
    worker->DrainPart(order, [this, part, id](const PartProgress& progress) {
      around_.loop.Post([this, part, id, progress] { OnWorkerDone(part, id, progress); });
    });
  }
}

// Nothing is left of it, or its name: what drains it can go.
void PartDrainController::Forget(const Part& part) {
  entries_.erase(part);
  for (PartDrainable* worker : around_.workers) worker->UndrainPart(part);
}

void PartDrainController::OnWorkerDone(const Part& part, uint64_t id,
                                       const PartProgress& progress) {
  const auto found = entries_.find(part);
  if (found == entries_.end() || found->second->id != id) return;
  Entry& entry = *found->second;
  entry.progress.Add(progress);
  if (--entry.undone > 0) return;
  entry.deadline.Stop();
  entry.state = PartState::kDrained;
  entry.entered = around_.loop.Now();
  const double took = Seconds(entry.entered - entry.began);
  DrainDuration(around_.metrics, PartKindName(part.kind)).Observe(took);
  for (size_t i = 0; i < kProtocolCount; ++i) {
    DrainCut(around_.metrics, static_cast<Protocol>(i), CutReason::kDeadline)
        .Add(static_cast<int64_t>(entry.progress.cut[i]));
  }
  const uint64_t cut = entry.progress.cut_total();
  LogEvent(cut == 0 ? Level::kInfo : Level::kWarning, "part_drained",
           {{"scope", PartKindName(part.kind)},
            {"name", part.name},
            {"seconds", std::round(took * 1e3) / 1e3},
            {"told", entry.progress.told},
            {"left", entry.progress.left},
            {"cut", cut}});
  if (part.removed_by != 0) Forget(Part(part));
}

void PartDrainController::OnDeadline(Entry& entry) {
  LogEvent(Level::kWarning, "part_cut",
           {{"scope", PartKindName(entry.part.kind)}, {"name", entry.part.name}});
  for (PartDrainable* worker : around_.workers) worker->CutPart(entry.part);
}

tl::expected<void, PartRefusal> PartDrainController::Undrain(const Part& part) {
  if (auto checked = Check(part); !checked) return checked;
  const auto found = entries_.find(part);
  if (found == entries_.end()) {
    return Refuse(PartRefusal::Kind::kNotNow,
                  "nothing to undrain: " + Described(part) + " is not drained");
  }
  if (around_.before_undrain) {
    if (auto prepared = around_.before_undrain(part); !prepared) {
      return Refuse(PartRefusal::Kind::kFailed, prepared.error().message);
    }
  }
  entries_.erase(found);
  Gauge(part).Set(0);
  LogEvent(Level::kInfo, "part_undrained",
           {{"scope", PartKindName(part.kind)}, {"name", part.name}});
  for (PartDrainable* worker : around_.workers) worker->UndrainPart(part);
  return {};
}

void PartDrainController::OnProcessPhase(Phase to) {
  if (to != Phase::kDraining) return;
  for (const auto& [part, entry] : entries_) entry->deadline.Stop();
}

std::vector<PartReport> PartDrainController::Describe(const DrainProgress& progress) const {
  std::vector<PartReport> reports;
  for (const auto& [part, entry] : entries_) {
    PartReport& report = reports.emplace_back();
    report.state = entry->state;
    report.age = around_.loop.Now() - entry->entered;
    report.absent = part.removed_by == 0 && !Knows(part);
    report.progress.part = part;
    for (const PartProgress& one : progress.parts) {
      if (one.part == part) report.progress = one;
    }
  }
  return reports;
}

MetricCell& PartDrainController::Gauge(const Part& part) {
  return around_.metrics.Gauge(
      "sluice_part_drained", "1 while a part of what is served is drained by itself",
      {{"scope", std::string(PartKindName(part.kind))}, {"name", part.name}});
}

}  // namespace sluice
