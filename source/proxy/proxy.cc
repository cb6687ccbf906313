#include "proxy/proxy.h"

#include "http/local_reply.h"
#include "http/websocket_handshake.h"
#include "proxy/fault.h"
#include "proxy/mirrored_request.h"
#include "proxy/path.h"
#include "proxy/proxied_request.h"

namespace sluice {
namespace {

constexpr size_t kMaxFreeRequests = 512;

constexpr std::string_view kDrainingText = "503 Service Unavailable: draining\n";

void Refuse(ServerStream& stream, int status, std::string_view detail, std::string_view text) {
  stream.record().detail = detail;
  SendLocalReply(stream, status, text);
}

// Towards HTTP/2 it is we who answer the key, so we must see that it is one (RFC 6455 4.2.1, 4.4).
bool LacksKeyForHttp2(const RequestHead& head, const Cluster& cluster) {
  return head.version.major == 1 && cluster.config().protocol != UpstreamProtocol::kHttp1 &&
         OffersWebSocket(head) && !IsWebSocketHandshake(head);
}

void RefuseHandshake(ServerStream& stream) {
  if (stream.request().headers.Value(kSecWebSocketVersion) == kWebSocketVersion) {
    Refuse(stream, 400, "websocket_key", "400 Bad Request: no valid Sec-WebSocket-Key\n");
    return;
  }
  stream.record().detail = "websocket_version";
  ResponseHead head;
  head.status = 426;
  head.upgrade = kWebSocketProtocol;  // RFC 9110 15.5.22
  head.headers.Add(kSecWebSocketVersion, kWebSocketVersion);
  head.content_length = 0;
  stream.SendHead(head, true);
}

}  // namespace

Proxy::Proxy(const Surroundings& surroundings)
    : around_(surroundings), free_requests_(kMaxFreeRequests) {}

Proxy::~Proxy() = default;

void Proxy::OnRequest(ServerStream& stream, bool end_stream) {
  stream.record().generation = Hold<Generation>(around_.generation);
  RequestHead& head = stream.request();
  if (!NormalizePath(head)) {
    stream.CloseAfterResponse();
    Refuse(stream, 400, "ambiguous_path", "400 Bad Request: the path is ambiguous\n");
    return;
  }
  const bool may_stop_here = head.method == Method::kOptions || head.method == Method::kTrace;
  if (may_stop_here && !DecrementMaxForwards(head)) {
    AnswerAsRecipient(stream, loop());
    return;
  }
  const Route* route = around_.router.Find(head);
  if (route == nullptr) {
    Refuse(stream, 404, "no_route", "404 Not Found: no route matches\n");
    return;
  }
  stream.record().route = route->name();
  if (!Admit(stream, *route)) return;
  if (around_.parts.Has(PartKind::kRoute, route->name())) {
    Refuse(stream, 503, kPartDraining, kDrainingText);
  } else if (route->redirect() != nullptr) {
    Redirected(stream, *route);
  } else if (route->direct_response() != nullptr) {
    Answer(stream, *route);
  } else {
    Forward(stream, *route, end_stream);
  }
}

bool Proxy::Admit(ServerStream& stream, const Route& route) {
  RouteLimits* const limits = route.limits();
  if (limits == nullptr || !limits->rate) return true;
  const Duration wait = limits->rate->TryTake(loop().Now());
  if (wait == Duration::zero()) return true;
  stream.record().detail = "rate_limit";
  SendLocalReply(stream, 429, "429 Too Many Requests: this route has a rate limit\n", wait);
  return false;
}

void Proxy::Redirected(ServerStream& stream, const Route& route) {
  ResponseHead head;
  head.status = route.redirect()->status;
  head.headers.Add(HeaderId::kLocation, "Location", route.Location(stream.request(), head.arena));
  route.RewriteResponse(head.headers);
  stream.SendHead(head, true);
}

void Proxy::Answer(ServerStream& stream, const Route& route) {
  const DirectResponse& answer = *route.direct_response();
  ResponseHead head;
  head.status = answer.status;
  if (!answer.body.empty()) {
    head.headers.Add(HeaderId::kContentType, "Content-Type", answer.content_type);
  }
  head.content_length = answer.body.size();
  route.RewriteResponse(head.headers);
  stream.SendHead(head, answer.body.empty());
  if (!answer.body.empty()) stream.SendBody(answer.body, true);
}

void Proxy::Forward(ServerStream& stream, const Route& route, bool end_stream) {
  Cluster* const cluster = PickCluster(route);
  if (cluster == nullptr) {
    Refuse(stream, 503, kPartDraining, kDrainingText);
    return;
  }
  if (LacksKeyForHttp2(stream.request(), *cluster)) {
    RefuseHandshake(stream);
    return;
  }
  const FaultPlan fault =
      route.config().fault ? PlanFault(*route.config().fault, loop().random()) : FaultPlan{};
  if (fault.abort_status != 0) {
    Refuse(stream, fault.abort_status, "fault", "the route has a fault to test with\n");
    return;
  }
  if (RouteLimits* const limits = route.limits(); limits && !limits->in_flight.TryTake()) {
    Refuse(stream, 503, "max_in_flight",
           "503 Service Unavailable: too many requests are in flight\n");
    return;
  }
  std::unique_ptr<ProxiedRequest> request = free_requests_.Acquire(*this);
  // It recycles itself.
  request.release()->Start(stream, route, *cluster, end_stream, fault.delay);
}

// Null when all that the route has are drained.
Cluster* Proxy::PickCluster(const Route& route) {
  std::optional<size_t> index;
  if (around_.parts.drains().empty()) {
    index = route.PickCluster(loop().random());
  } else {
    index = route.PickCluster(loop().random(), [this](const std::string& name) {
      return !around_.parts.Has(PartKind::kCluster, name);
    });
  }
  return index ? around_.clusters.at(route.clusters()[*index].cluster).get() : nullptr;
}

// It lives in the list until it is over, and a little longer if the request still feeds it.
std::shared_ptr<MirroredRequest> Proxy::Mirror(const Route& route, const RequestHead& head,
                                               bool end_stream) {
  struct Buried final : Deferred {
    std::shared_ptr<MirroredRequest> request;
  };
  const auto& config = route.config().mirror;
  if (!config || !head.upgrade.empty() || head.method == Method::kConnect) return nullptr;
  // A listener that was removed still serves its clients, but the cluster may be removed with it.
  const bool replaced = around_.generation != nullptr && around_.generation->replaced();
  if (replaced || around_.parts.Has(PartKind::kCluster, config->cluster)) return nullptr;
  if (loop().random().Below(100) >= config->percent) return nullptr;
  const auto place = mirrored_.insert(mirrored_.end(), nullptr);
  *place = std::make_shared<MirroredRequest>(
      MirroredRequest::Surroundings{loop(), *around_.clusters.at(config->cluster),
                                    around_.generation, route.timeout(),
                                    [this, place] {
                                      auto buried = std::make_unique<Buried>();
                                      buried->request = std::move(*place);
                                      mirrored_.erase(place);
                                      loop().DeleteLater(std::move(buried));
                                    }},
      head, end_stream);
  std::shared_ptr<MirroredRequest> mirrored = *place;
  mirrored->Start();
  return mirrored;
}

void Proxy::Recycle(ProxiedRequest& request) {
  free_requests_.Release(std::unique_ptr<ProxiedRequest>(&request));
}

}  // namespace sluice
