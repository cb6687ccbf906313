// ProxiedRequest and Proxy, as far as tunnels move between processes.

#include <utility>

#include "proxy/moved_tunnel.h"
#include "proxy/proxied_request.h"
#include "proxy/proxy.h"
#include "sluice/moved_connection.h"

namespace sluice {

std::optional<FrozenTunnel> ProxiedRequest::Freeze() {
  if (websocket_ == nullptr || upstream_ == nullptr || !websocket_->can_move()) {
    return std::nullopt;
  }
  const std::optional<FrozenTransport> transport = upstream_->Freeze();
  if (!transport) return std::nullopt;
  proxy_.long_lived().Withdraw(*this);
  MovedTunnel tunnel;
  tunnel.route = route_->name();
  tunnel.cluster = cluster_->config().name;
  tunnel.endpoint = lease_.pool().address();
  tunnel.unsent = transport->unsent;
  tunnel.upstream_time = stream_->record().upstream_time;
  tunnel.attempts = stream_->record().attempts;
  tunnel.websocket = websocket_->Freeze();
  return FrozenTunnel{EncodeMovedTunnel(tunnel), transport->descriptor};
}

void ProxiedRequest::Thaw() {
  websocket_->Thaw();
  upstream_->Thaw();
  if (route_->on_drain() != OnDrain::kFinish && !LongLivedStream::linked())
    proxy_.long_lived().Add(*this);
}

void ProxiedRequest::Adopt(ServerStream& stream, const Route& route, Cluster& cluster,
                           Cluster::Lease lease, const MovedTunnel& tunnel,
                           std::unique_ptr<Transport> upstream) {
  stream_ = &stream;
  route_ = &route;
  cluster_ = &cluster;
  lease_ = std::move(lease);
  stream.SetReceiver(this);
  RequestRecord& record = stream.record();
  record.route = route.name();
  record.cluster = cluster.config().name;
  record.endpoint = lease_.pool().address();
  record.endpoint_holder = Hold<Held>(&lease_.pool());
  record.upstream_time = tunnel.upstream_time;
  record.attempts = tunnel.attempts;
  state_ = State::kTunnel;
  has_body_ = may_be_silent_ = in_session_budget_ = true;
  upstream_ = &lease_.pool().Adopt(std::move(upstream), *this, tunnel.unsent);
  websocket_ = std::make_unique<WebSocketTunnel>(
      proxy_.loop(), static_cast<WebSocketTunnel::Owner&>(*this), stream, *upstream_,
      route.websocket(), tunnel.websocket, proxy_.websocket_metrics());
}

Result<void> Proxy::Adopt(ServerStream& stream, const FrozenTunnel& frozen,
                          TransportAdopter& adopter) {
  const Result<MovedTunnel> tunnel = DecodeMovedTunnel(frozen.state);
  if (!tunnel) return Fail(tunnel.error().message);
  const Route* const route = around_.router.FindByName(tunnel->route);
  const auto found = around_.clusters.find(tunnel->cluster);
  const bool drained = around_.parts.Has(PartKind::kRoute, tunnel->route) ||
                       around_.parts.Has(PartKind::kCluster, tunnel->cluster);
  if (route == nullptr || drained) return Fail("there is no route " + tunnel->route);
  if (found == around_.clusters.end() || found->second->config().tls) {
    return Fail("there is no cluster " + tunnel->cluster + " without TLS");
  }
  Cluster& cluster = *found->second;
  Cluster::Lease lease = cluster.PickAddress(tunnel->endpoint);
  if (!lease)
    return Fail("the cluster " + tunnel->cluster + " has no endpoint " + tunnel->endpoint);
  if (!websockets().TryTake()) return Fail("the limit of WebSockets is reached");
  RouteLimits* const limits = route->limits();
  if (limits != nullptr && !limits->in_flight.TryTake()) {
    websockets().Return();
    return Fail("the limit of requests of the route " + tunnel->route + " is reached");
  }
  std::unique_ptr<Transport> upstream = adopter.Adopt(frozen.upstream, tunnel->endpoint);
  if (upstream == nullptr) {
    if (limits != nullptr) limits->in_flight.Return();
    websockets().Return();
    return Fail("the socket to the upstream could not be taken over");
  }
  stream.record().generation = Hold<Generation>(around_.generation);
  std::unique_ptr<ProxiedRequest> request = free_requests_.Acquire(*this);
  request.release()->Adopt(stream, *route, cluster, std::move(lease), *tunnel, std::move(upstream));
  return {};
}

}  // namespace sluice
