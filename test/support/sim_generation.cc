#include "support/sim_generation.h"

#include <utility>

namespace sluice {

SimGeneration::SimGeneration(ProxySim& sim, const ProxySimOptions& options)
    : sim_(sim),
      snapshot_(MakeSimSnapshot(options)),
      shard_(metrics_.AddShard()),
      websocket_metrics_(shard_, "main"),
      websockets_(options.limits.websockets),
      context_("main", shard_),
      connections(sim.loop, shard_, [](const DrainScope&) {}) {
  clusters_["origin"] =
      std::make_unique<Cluster>(sim.loop, sim.network, snapshot_->config.clusters[0], shard_);
  context_.options = snapshot_->listeners[0].options;
  proxy_ = std::make_unique<Proxy>(Proxy::Surroundings{
      sim.loop, *snapshot_->listeners[0].router, *snapshot_->listeners[0].forwarding, clusters_,
      connections.long_lived(), websocket_metrics_, websockets_, connections.parts()});
  context_.handler = proxy_.get();
  context_.request_log = this;
}

SimGeneration::~SimGeneration() = default;

void SimGeneration::Listen() {
  sim_.network.At("proxy").accept = [this](std::unique_ptr<Transport> transport) {
    connections.Accept(std::move(transport), context_);
  };
}

Result<void> SimGeneration::Adopt(const MovedConnection& moved) {
  return connections.Adopt(moved, context_, adopter_);
}

std::vector<SimLogEntry> SimGeneration::LoggedOf(const std::string& peer) const {
  std::vector<SimLogEntry> found;
  for (const SimLogEntry& one : log) {
    if (one.peer == peer) found.push_back(one);
  }
  return found;
}

void SimGeneration::OnRequestDone(const RequestHead& request, const RequestRecord& record,
                                  const DownstreamInfo& downstream) {
  log.push_back(LogEntryOf(request, record, downstream));
}

void SimMover::Move(const MovedConnection& connection, std::function<void(bool taken)> answer) {
  ++asked;
  MovedConnection sent = connection;
  sent.client = Pipe::Duplicate(connection.client);
  if (connection.upstream >= 0) sent.upstream = Pipe::Duplicate(connection.upstream);
  const bool lost = sim_.loop.random().Chance(refuse_chance);
  const bool silent = sim_.loop.random().Chance(lose_answer_chance);
  sim_.loop.After(Below(most_under_way), [=, this, answer = std::move(answer)] {
    bool took = false;
    if (!lost) {
      const Result<void> result = next_.Adopt(sent);
      took = result.has_value();
      if (!took) refusals.push_back(result.error().message);
    }
    if (took) ++taken;
    Pipe::CloseDuplicate(sent.client);
    if (sent.upstream >= 0) Pipe::CloseDuplicate(sent.upstream);
    if (silent) return;
    sim_.loop.After(Below(most_answer), [answer, took] { answer(took); });
  });
}

}  // namespace sluice
