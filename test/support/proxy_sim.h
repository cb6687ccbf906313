// The whole proxy, listener to upstream, with the drain machine of the process above it, inside one
// SimLoop: clients of either protocol dial "proxy", the proxy dials "origin", or "h2.origin" if
// HTTP/2 is spoken to its cluster.
//
//   ProxySim sim(seed);
//   auto client = sim.Connect();
//   client->Request("GET", "/hold");
//   sim.Until([&] { return sim.origin.held() == 1; });
//   sim.BeginDrain();
//   sim.origin.Release();
//   ASSERT_TRUE(sim.UntilExited());
//
// One thread. Clients must be destroyed before the simulation.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/metrics.h"
#include "config/config.h"
#include "http/connection_manager.h"
#include "lifecycle/drain.h"
#include "proxy/proxy.h"
#include "server/snapshot.h"
#include "support/sim_client.h"
#include "support/sim_h2_client.h"
#include "support/sim_h2_origin.h"
#include "support/sim_loop.h"
#include "support/sim_network.h"
#include "support/sim_origin.h"

namespace sluice {

struct ProxySimOptions {
  TieBreak tie_break = TieBreak::kFifo;
  ListenerTimeouts timeouts;
  ListenerLimits limits;
  ListenerHttp2 http2;
  ClusterConfig cluster;  // `protocol` chooses the origin
  Duration route_timeout = std::chrono::seconds(15);
  OnDrain on_drain = OnDrain::kByKind;
  WebSocketConfig websocket;
  EventStreamConfig event_stream;
  DrainConfig drain;
  std::function<void(Config&)> edit;  // whatever else is to be otherwise
};

// What such a proxy is configured as.
std::shared_ptr<const Snapshot> MakeSimSnapshot(const ProxySimOptions& options);

// One line of the request log.
struct SimLogEntry {
  std::string peer;
  std::string method;
  std::string target;
  RequestRecord record;  // its views are not valid any more, but for `detail`
};

// It outlives the proxy, so it holds nothing of it.
SimLogEntry LogEntryOf(const RequestHead& request, const RequestRecord& record,
                       const DownstreamInfo& downstream);

class ProxySim final : private RequestLog {
 public:
  explicit ProxySim(uint64_t seed = 1, const ProxySimOptions& options = {});
  ~ProxySim();

  // A client that has begun to connect.
  std::unique_ptr<SimClient> Connect();
  std::unique_ptr<SimH2Client> ConnectH2(const SimH2Options& http2 = {});

  // The requests that either origin holds.
  size_t held() const { return origin.held() + h2_origin.held(); }
  void Release();
  // Open connections of the proxy to its upstream.
  size_t upstream_connections() const;

  // What an operator does. BeginDrain asks for a drain as SIGTERM does; a second call is the second
  // signal.
  void BeginDrain() { controller.OnSignal(DrainTrigger::kSigterm); }
  Result<void> Undrain() { return controller.Undrain(); }

  // Runs until `predicate`, for at most a simulated hour.
  bool Until(const std::function<bool()>& predicate);
  bool UntilPhase(Phase phase);
  bool UntilExited() { return UntilPhase(Phase::kExited); }

  DrainProgress Progress();
  Cluster& cluster(const std::string& name = "origin") { return *clusters_.at(name); }
  // The sum of a metric over its labels, or of those with this text among them.
  double Metric(const std::string& name, const std::string& label = {}) const;
  // The requests of the client with this address that are over, in order.
  std::vector<SimLogEntry> LoggedOf(const std::string& peer) const;
  // How many times `done` of a BeginDrain was called, and how many times it was due.
  size_t drains_done() const { return drainable_.done; }
  size_t drains_begun() const { return drainable_.begun; }

  SimLoop loop;
  SimNetwork network{loop};
  SimOrigin origin{loop, network, "origin"};
  SimH2Origin h2_origin{loop, network, "h2.origin"};
  std::vector<SimLogEntry> log;

 private:
  // Stands between the machine and the connections and counts what passes.
  struct CountingDrainable final : Drainable {
    void EnterLameDuck(const LameDuckOrder& order) override { target->EnterLameDuck(order); }
    void LeaveLameDuck() override { target->LeaveLameDuck(); }
    void BeginDrain(const DrainOrder& order, std::function<void()> on_done) override;
    void Cut(CutReason reason) override { target->Cut(reason); }
    void Inspect(std::function<void(const DrainProgress&)> report) override {
      target->Inspect(std::move(report));
    }
    Drainable* target = nullptr;
    size_t begun = 0;
    size_t done = 0;
  };

  void OnRequestDone(const RequestHead& request, const RequestRecord& record,
                     const DownstreamInfo& downstream) override;
  void Listen();
  DrainHooks Hooks();

  const std::shared_ptr<const Snapshot> snapshot_;
  Metrics metrics_;
  MetricShard& shard_;
  ClusterMap clusters_;
  WebSocketMetrics websocket_metrics_;
  Budget websockets_;
  std::unique_ptr<Proxy> proxy_;  // refers to the connections
  ListenerContext context_;
  CountingDrainable drainable_;

 public:
  ConnectionManager connections;
  DrainController controller;
};

}  // namespace sluice
