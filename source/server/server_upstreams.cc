// The part of the server that keeps the workers informed about upstreams.
#include <algorithm>
#include <set>
#include <string>
#include <utility>

#include "base/log.h"
#include "server/removed_parts.h"
#include "server/server.h"

namespace sluice {

Result<void> Server::BuildUpstreams() {
  self_check_ = std::make_unique<SelfCheck>(
      control_, snapshot_->config.self_drain, control_shard_,
      [this] { control_.Post([this] { drain_->Begin(DrainTrigger::kSelfCheck); }); });
  drain_->AddListener([this](Phase, Phase to) {
    if (to == Phase::kReady) self_check_->Begin();
  });
  upstreams_ = std::make_unique<UpstreamWatch>(UpstreamWatch::Surroundings{
      .loop = control_,
      .shard = control_shard_,
      .found =
          [this](const std::string& cluster, const std::vector<EndpointConfig>& endpoints) {
            OnEndpointsFound(cluster, endpoints);
          },
      .health = [this](const HealthFinding& finding) { OnHealth(finding); },
      .reach = [this](size_t critical,
                      size_t out_of_reach) { self_check_->OnReach(critical, out_of_reach); }});
  return upstreams_->Use(snapshot_);
}

// A new configuration is in force.
void Server::UseUpstreams() {
  self_check_->SetConfig(snapshot_->config.self_drain);
  std::set<std::pair<std::string, std::string>> present;
  for (const ClusterConfig& cluster : snapshot_->config.clusters) {
    for (const EndpointConfig& endpoint : cluster.endpoints) {
      present.insert({cluster.name, endpoint.address});
    }
  }
  std::erase_if(unhealthy_, [&](const auto& entry) { return !present.contains(entry.first); });
  if (auto used = upstreams_->Use(snapshot_); !used) {
    LogEvent(Level::kError, "upstream_watch_failed", {{"error", used.error().message}});
  }
}

// Goes over to a snapshot that differs from the present one in nothing that has to be opened or
// compiled.
void Server::Succeed(std::shared_ptr<const Snapshot> next) {
  snapshot_ = std::move(next);
  SendToWorkers(
      [this, budgets = BudgetsFor(snapshot_->config)](size_t) {
        const size_t listeners = snapshot_->config.listeners.size();
        return WorkerUpdate{snapshot_, std::vector<std::vector<Fd>>(listeners), budgets,
                            access_log_.get(), upstreams_->Health()};
      },
      [] {});
  part_drain_->SetConfig(snapshot_->config.drain, PartNamesOf(snapshot_->config));
}

// As a reload that changes nothing else. While the process drains, those that it has have to do; so
// they have while a new process takes over, which may fail: OnReadyAgain.
void Server::OnEndpointsFound(const std::string& cluster,
                              const std::vector<EndpointConfig>& endpoints) {
  const Phase phase = drain_->phase();
  if (phase != Phase::kStarting && phase != Phase::kReady && phase != Phase::kLameDuck) return;
  LogEvent(Level::kInfo, "endpoints_found",
           {{"cluster", cluster}, {"endpoints", endpoints.size()}});
  const std::shared_ptr<const Snapshot> before = snapshot_;
  Succeed(WithEndpoints(*snapshot_, cluster, endpoints));
  part_drain_->DrainRemoved(RemovedParts(before->config, snapshot_->config, snapshot_->generation));
  UseUpstreams();
}

void Server::OnHealth(const HealthFinding& finding) {
  for (const auto& worker : workers_) {
    worker->loop().Post([&worker = *worker, finding] { worker.SetHealth(finding); });
  }
  const auto drained = unhealthy_.find({finding.cluster, finding.address});
  // What was to be drained for may be over before it was.
  std::erase_if(turned_unhealthy_, [&](const HealthFinding& other) {
    return other.cluster == finding.cluster && other.address == finding.address;
  });
  if (finding.health.healthy && drained != unhealthy_.end()) {
    part_drain_->KeepRemoved(drained->second);
    unhealthy_.erase(drained);
  } else if (!finding.health.healthy && drained == unhealthy_.end()) {
    // A host takes many of them along: they are drained together.
    if (turned_unhealthy_.empty()) control_.Post([this] { DrainUnhealthy(); });
    turned_unhealthy_.push_back(finding);
  }
}

// What is in flight on an endpoint whose health check fails has the cluster's drain_timeout, as if
// the endpoint had been removed: the next generation begins here, and what goes by those before is
// drained. Unless all of the cluster fail, because then there is nothing better.
void Server::DrainUnhealthy() {
  const Phase phase = drain_->phase();
  if (phase == Phase::kHandingOver) return;  // OnReadyAgain
  const std::vector<HealthFinding> findings = std::exchange(turned_unhealthy_, {});
  if (phase != Phase::kReady && phase != Phase::kLameDuck) return;
  auto next = std::make_shared<Snapshot>(*snapshot_);
  ++next->generation;
  std::vector<PartDrainController::Removal> removals;
  for (const HealthFinding& finding : findings) {
    if (upstreams_->OutOfReach(finding.cluster)) continue;
    for (const ClusterConfig& config : next->config.clusters) {
      if (config.name != finding.cluster) continue;
      const Part part{PartKind::kEndpoint, finding.address, next->generation, finding.cluster};
      unhealthy_[{finding.cluster, finding.address}] = part;
      removals.push_back({part, config.drain_timeout});
    }
  }
  if (removals.empty()) return;
  Succeed(std::move(next));
  part_drain_->DrainRemoved(removals);
}

// The new process has not taken over. What was found out in the meantime is still to be used.
void Server::OnReadyAgain() {
  DrainUnhealthy();
  upstreams_->TellFound();
}

void Server::OnEndpointNews(size_t finder, const std::string& cluster, const EndpointNews& news) {
  upstreams_->OnNews(cluster, news);
  for (size_t i = 0; i < workers_.size(); ++i) {
    if (i == finder) continue;
    workers_[i]->loop().Post(
        [&worker = *workers_[i], cluster, news] { worker.Learn(cluster, news); });
  }
}

}  // namespace sluice
