// One configuration as one worker serves it: the clusters it names, and a Proxy for each of its
// listeners. Every request that a proxy takes holds it, so it outlives its successor for as long as
// requests go by it.
//
// One worker thread.
#pragma once

#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "proxy/proxy.h"
#include "server/snapshot.h"
#include "sluice/held.h"

namespace sluice {

class WorkerGeneration final : public Generation {
 public:
  // `let_go` is called when nobody holds it any more; it must not be destroyed inside.
  WorkerGeneration(std::shared_ptr<const Snapshot> snapshot, ClusterMap clusters,
                   std::function<void()> let_go)
      : Generation(snapshot->generation),
        snapshot_(std::move(snapshot)),
        clusters_(std::move(clusters)),
        let_go_(std::move(let_go)) {}

  const Snapshot& snapshot() const { return *snapshot_; }

  // What else a proxy needs; everything must outlive the generation.
  struct Services {
    Loop& loop;
    LongLivedStreams& long_lived;
    PartDrains& parts;
    WebSocketMetrics& websocket_metrics;
    Budget& websockets;
  };
  // The handler of the listener at this place in the snapshot; lives as long as the generation.
  Handler& AddProxy(size_t listener, const Services& services) {
    const Snapshot::Listener& compiled = snapshot_->listeners[listener];
    proxies_.push_back(std::make_unique<Proxy>(Proxy::Surroundings{
        services.loop, *compiled.router, *compiled.forwarding, clusters_, services.long_lived,
        services.websocket_metrics, services.websockets, services.parts, this}));
    return *proxies_.back();
  }

 private:
  void OnLetGo() override { let_go_(); }

  const std::shared_ptr<const Snapshot> snapshot_;
  const ClusterMap clusters_;
  const std::function<void()> let_go_;
  std::vector<std::unique_ptr<Proxy>> proxies_;
};

}  // namespace sluice
