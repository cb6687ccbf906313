// The proxy of the next process beside a ProxySim: it listens when the old one has stopped, and
// takes the connections that the old one moves to it.
//
//   ProxySim sim;
//   SimGeneration next(sim);
//   SimMover mover(sim, next);
//   sim.connections.MoveTo(&mover);
//   sim.BeginDrain();
//   ASSERT_TRUE(sim.UntilExited());
//
// One thread. Must be destroyed before the simulation, and after its clients.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "support/pipe.h"
#include "support/proxy_sim.h"

namespace sluice {

class SimGeneration final : private RequestLog {
 public:
  explicit SimGeneration(ProxySim& sim, const ProxySimOptions& options = {});
  ~SimGeneration();

  void Listen();
  Result<void> Adopt(const MovedConnection& moved);
  std::vector<SimLogEntry> LoggedOf(const std::string& peer) const;
  int64_t moved(const char* kind, const char* result) {
    return shard_
        .Counter("sluice_connections_moved_total", "", {{"kind", kind}, {"result", result}})
        .value();
  }

  std::vector<SimLogEntry> log;

 private:
  void OnRequestDone(const RequestHead& request, const RequestRecord& record,
                     const DownstreamInfo& downstream) override;

  ProxySim& sim_;
  const std::shared_ptr<const Snapshot> snapshot_;
  Metrics metrics_;
  MetricShard& shard_;
  ClusterMap clusters_;
  WebSocketMetrics websocket_metrics_;
  Budget websockets_;
  std::unique_ptr<Proxy> proxy_;  // refers to the connections
  ListenerContext context_;
  PipeAdopter adopter_;

 public:
  ConnectionManager connections;
};

// Carries connections from one to the other: what is between two processes.
class SimMover final : public ConnectionMover {
 public:
  SimMover(ProxySim& sim, SimGeneration& next) : sim_(sim), next_(next) {}

  void Move(const MovedConnection& connection, std::function<void(bool taken)> answer) override;

  // Each drawn below these, for each connection.
  Duration most_under_way{};
  Duration most_answer{};
  // Does not even reach the other process, by this chance; or its answer never comes back.
  double refuse_chance = 0;
  double lose_answer_chance = 0;

  size_t asked = 0;
  size_t taken = 0;
  std::vector<std::string> refusals;

 private:
  Duration Below(Duration most) {
    return Duration(static_cast<Duration::rep>(
        sim_.loop.random().Below(static_cast<uint64_t>(most.count()) + 1)));
  }

  ProxySim& sim_;
  SimGeneration& next_;
};

}  // namespace sluice
