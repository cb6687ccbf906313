// The handler of a listener on one worker: finds the route of a request, answers what can be
// answered here, and hands the rest to a ProxiedRequest.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/object_pool.h"
#include "proxy/forwarding.h"
#include "proxy/router.h"
#include "sluice/handler.h"
#include "sluice/loop.h"
#include "upstream/cluster.h"

namespace sluice {

class ProxiedRequest;

// All clusters of one worker by name. They outlive every Proxy of the worker.
using ClusterMap = std::unordered_map<std::string, std::unique_ptr<Cluster>>;

class Proxy final : public Handler {
 public:
  // Everything given must outlive the proxy. Every cluster that `router` names is in `clusters`.
  Proxy(Loop& loop, const Router& router, const Forwarding& forwarding, const ClusterMap& clusters);
  ~Proxy() override;

  void OnRequest(ServerStream& stream, bool end_stream) override;

  // For ProxiedRequest.
  Loop& loop() { return loop_; }
  const Forwarding& forwarding() const { return forwarding_; }
  void Recycle(ProxiedRequest& request);

 private:
  void Redirected(ServerStream& stream, const Route& route);
  void Answer(ServerStream& stream, const Route& route);
  void Forward(ServerStream& stream, const Route& route, bool end_stream);

  Loop& loop_;
  const Router& router_;
  const Forwarding& forwarding_;
  const ClusterMap& clusters_;
  ObjectPool<ProxiedRequest> free_requests_;
};

}  // namespace sluice
