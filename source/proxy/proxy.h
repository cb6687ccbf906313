// The handler of a listener on one worker: finds the route of a request, answers what can be
// answered here, and hands the rest to a ProxiedRequest.
#pragma once

#include <list>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/budget.h"
#include "base/object_pool.h"
#include "http/long_lived_streams.h"
#include "http/part_drains.h"
#include "proxy/forwarding.h"
#include "proxy/router.h"
#include "proxy/websocket_tunnel.h"
#include "sluice/handler.h"
#include "sluice/loop.h"
#include "upstream/cluster.h"

namespace sluice {

class MirroredRequest;
class ProxiedRequest;

// The clusters of one configuration on one worker, by name. They outlive its proxies.
using ClusterMap = std::unordered_map<std::string, std::shared_ptr<Cluster>>;

class Proxy final : public Handler {
 public:
  // Everything that is referred to must outlive the proxy. Every cluster that `router` names is in
  // `clusters`.
  struct Surroundings {
    Loop& loop;
    const Router& router;
    const Forwarding& forwarding;
    const ClusterMap& clusters;
    LongLivedStreams& long_lived;
    WebSocketMetrics& websocket_metrics;
    Budget& websockets;
    PartDrains& parts;
    Generation* generation = nullptr;  // what all of this lives in, held by every request
  };
  explicit Proxy(const Surroundings& surroundings);
  ~Proxy() override;

  void OnRequest(ServerStream& stream, bool end_stream) override;
  // Refuses a tunnel whose route, cluster or endpoint is not there or drained, or one too many.
  Result<void> Adopt(ServerStream& stream, const FrozenTunnel& tunnel,
                     TransportAdopter& adopter) override;

  // For ProxiedRequest.
  Loop& loop() { return around_.loop; }
  const Forwarding& forwarding() const { return around_.forwarding; }
  LongLivedStreams& long_lived() { return around_.long_lived; }
  WebSocketMetrics& websocket_metrics() { return around_.websocket_metrics; }
  Budget& websockets() { return around_.websockets; }
  PartDrains& parts() { return around_.parts; }
  void Recycle(ProxiedRequest& request);
  // A copy of the request for the route's mirror; null when it has none, or this one is not for it.
  std::shared_ptr<MirroredRequest> Mirror(const Route& route, const RequestHead& head,
                                          bool end_stream);

 private:
  bool Admit(ServerStream& stream, const Route& route);
  void Redirected(ServerStream& stream, const Route& route);
  void Answer(ServerStream& stream, const Route& route);
  void Forward(ServerStream& stream, const Route& route, bool end_stream);
  Cluster* PickCluster(const Route& route);

  const Surroundings around_;
  ObjectPool<ProxiedRequest> free_requests_;
  std::list<std::shared_ptr<MirroredRequest>> mirrored_;  // that are under way
};

}  // namespace sluice
