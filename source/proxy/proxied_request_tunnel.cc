// ProxiedRequest, as far as what it relays is a tunnel, or ends before its upstream ends it.

#include <utility>

#include "http/h1_fields.h"
#include "http/websocket_handshake.h"
#include "proxy/proxied_request.h"
#include "proxy/proxy.h"

namespace sluice {
namespace {

// What is younger is about to end by itself, more likely than not.
constexpr Duration kYoung = std::chrono::seconds(1);

bool IsWebSocket(std::string_view upgrade) { return EqualsIgnoreCase(upgrade, kWebSocketProtocol); }

}  // namespace

// HTTP/1.1 has ended its request to become a tunnel; the body of a CONNECT over HTTP/2, extended or
// not, is already the tunnel's one direction, which had to wait.
void ProxiedRequest::BeginTunnel(const ResponseHead& head) {
  state_ = State::kTunnel;
  if (has_body_ && connects()) {
    SendKept(false);
  } else {
    request_ended_ = false;
  }
  kept_.LetGo();
  has_body_ = true;
  response_ended_ = false;
  if (!IsWebSocket(head.upgrade)) return;
  websocket_ = std::make_unique<WebSocketTunnel>(
      proxy_.loop(), static_cast<WebSocketTunnel::Owner&>(*this), *stream_, *upstream_,
      route_->websocket(), HasWebSocketExtensions(head), proxy_.websocket_metrics());
  if (route_->on_drain() == OnDrain::kByKind) proxy_.long_lived().Add(*this);
}

// An event stream that is compressed, or promises its length, is a body as any other.
void ProxiedRequest::FollowBody(const ResponseHead& head) {
  const OnDrain on_drain = route_->on_drain();
  if (grpc_) {
    // Over HTTP/1.1 there are no trailers to end it with, so it is a body as any other.
    const bool has_trailers = stream_->record().protocol == Protocol::kGrpc;
    if (on_drain == OnDrain::kEndEarly && has_trailers) early_end_.FollowGrpc(head);
    return;
  }
  if (!IsEventStreamContentType(head.headers.Value(HeaderId::kContentType))) return;
  stream_->record().protocol = Protocol::kEventStream;
  if (head.content_length || head.headers.Find("Content-Encoding") != nullptr) return;
  early_end_.FollowEvents();
  if (on_drain == OnDrain::kByKind) proxy_.long_lived().Add(*this);
}

void ProxiedRequest::OnTunnelBytes(std::string_view bytes, bool end_stream) {
  WebSocketTunnel& websocket = *websocket_;  // unlike *this it lives until the end of the dispatch
  if (!bytes.empty()) websocket.OnClientBytes(bytes);
  if (end_stream && !websocket.over()) websocket.OnClientEnd();
  if (websocket.over() || end_stream) return;
  if (upstream_ != nullptr && upstream_->congested()) stream_->PauseRequest();
}

void ProxiedRequest::OnUpstreamTunnelBytes(std::string_view bytes, bool end_stream) {
  WebSocketTunnel& websocket = *websocket_;
  if (!bytes.empty()) websocket.OnUpstreamBytes(bytes);
  if (end_stream && !websocket.over()) websocket.OnUpstreamEnd();
  if (websocket.over()) return;
  if (websocket.exchange_over()) {
    upstream_ = nullptr;
  } else if (!end_stream && stream_->congested()) {
    upstream_->PauseResponse();
  }
}

// ---- a drain ----

bool ProxiedRequest::Tell() {
  if (websocket_ != nullptr) {
    websocket_->Tell("going away");
    return true;
  }
  ServerStream& stream = *stream_;
  const RequestRecord& record = stream.record();
  const bool early = route_->on_drain() == OnDrain::kEndEarly;
  if (early && proxy_.loop().Now() - record.started < kYoung) return false;
  if (early_end_.follows()) {
    told_ = true;
    if (early_end_.at_boundary()) EndEarly();
  } else if (early && record.status == 0) {
    Fail(kEndedEarly);
  } else if (early) {
    stream.record().detail = kEndedEarly.detail;
    Done();
    stream.Abort(StreamEnd::kCut);
  }
  return true;
}

void ProxiedRequest::RelayToEnd(std::string_view bytes) {
  const size_t taken = early_end_.FeedToBoundary(bytes);
  stream_->SendBody(bytes.substr(0, taken), false);
  if (early_end_.at_boundary()) {
    EndEarly();
    return;
  }
  RestartTimeout();
  if (stream_->congested()) upstream_->PauseResponse();
}

// Where a response stands between two of its pieces, so that it is complete when it ends here.
void ProxiedRequest::EndEarly() {
  ServerStream& stream = *stream_;
  const EarlyEnd end = early_end_;
  const EventStreamConfig& config = route_->event_stream();
  stream.record().detail = "drain";
  Done();
  if (end.is_grpc()) {
    EndWithGrpcStatus(stream, GrpcStatus::kUnavailable, "draining");
  } else {
    stream.SendBody(EventStreamRetry(config, proxy_.loop()), true);
  }
}

void ProxiedRequest::OnCut() {
  if (websocket_ != nullptr) {
    websocket_->OnCut();
  } else if (early_end_.follows() && !early_end_.is_grpc() && early_end_.at_boundary()) {
    EndEarly();
  }
}

void ProxiedRequest::OnTunnelOver(bool exchange_over) {
  ClientStream* const upstream = std::exchange(upstream_, nullptr);
  if (upstream != nullptr && !exchange_over) upstream->Leave();
  Done();
}

}  // namespace sluice
