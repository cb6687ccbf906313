#include "proxy/proxied_request.h"

#include <utility>

#include "http/grpc.h"
#include "http/h1_fields.h"
#include "http/websocket_handshake.h"
#include "proxy/proxy.h"

namespace sluice {
namespace {

// An upstream that keeps refusing means it.
constexpr uint8_t kMaxRefusals = 3;

// What is younger is about to end by itself, more likely than not.
constexpr Duration kYoung = std::chrono::seconds(1);

bool IsWebSocket(std::string_view upgrade) { return EqualsIgnoreCase(upgrade, kWebSocketProtocol); }

}  // namespace

ProxiedRequest::ProxiedRequest(Proxy& proxy)
    : proxy_(proxy),
      timeout_(proxy.loop().timers(), Delegate::Bind<&ProxiedRequest::OnTimeout>(this)),
      deadline_(proxy.loop().timers(), Delegate::Bind<&ProxiedRequest::OnDeadline>(this)) {}

void ProxiedRequest::Start(ServerStream& stream, const Route& route, Cluster& cluster,
                           bool end_stream) {
  stream_ = &stream;
  route_ = &route;
  cluster_ = &cluster;
  has_body_ = !end_stream;
  request_ended_ = end_stream;
  stream.SetReceiver(this);

  RequestHead& head = stream.request();
  RequestRecord& record = stream.record();
  record.cluster = cluster.config().name;
  grpc_ = AsksForGrpc(stream);
  if (grpc_) {
    if (const auto limit = GrpcTimeout(head)) deadline_.Set(record.started + *limit);
  }
  proxy_.forwarding().ApplyToRequest(head, stream.downstream(), proxy_.loop().random());
  const std::string_view client_path = head.path;
  const std::string_view client_authority = head.authority;
  route.RewriteRequest(head, stream.downstream());
  upstream_path_ = std::exchange(head.path, client_path);
  upstream_authority_ = std::exchange(head.authority, client_authority);

  safe_to_repeat_ = IsIdempotent(head.method) && head.upgrade.empty();
  if (end_stream || connects()) AwaitResponse();
  // What may become one: Upgrade offers a list, of which the upstream chooses.
  if (HasToken(head.upgrade, kWebSocketProtocol)) {
    in_session_budget_ = proxy_.websockets().TryTake();
    if (!in_session_budget_) {
      Fail(kWebSocketLimit);
      return;
    }
  }
  if (route.on_drain() == OnDrain::kEndEarly) proxy_.long_lived().Add(*this);
  Connect(Replay::kNone);
}

void ProxiedRequest::Connect(Replay replay) {
  state_ = State::kConnecting;
  stream_->record().waiting_for = "connection to the upstream";
  lease_ = cluster_->Pick(replay == Replay::kRefused ? &lease_.pool() : nullptr);
  if (!lease_) {
    OnNoConnection(ConnectFailure::kNoEndpoint);
    return;
  }
  RequestRecord& record = stream_->record();
  if (record.endpoint_holder.get() != &lease_.pool()) {
    const Hold<Held> before = std::exchange(record.endpoint_holder, Hold<Held>(&lease_.pool()));
    const std::string_view left = std::exchange(record.endpoint, lease_.pool().address());
    if (left != record.endpoint) proxy_.parts().OnEndpointLeft(left);
  }
  if (has_body_) stream_->PauseRequest();
  lease_.pool().Acquire(*this, {.replay = replay, .checked = !safe_to_repeat_});
}

void ProxiedRequest::OnConnection(ClientConnection& connection, EndpointPool&, bool reused) {
  RequestRecord& record = stream_->record();
  RequestHead& head = stream_->request();
  state_ = State::kExchanging;
  on_reused_ = reused;
  record.waiting_for = "response from the upstream";
  ++record.attempts;
  sent_at_ = proxy_.loop().Now();
  const std::string_view client_path = std::exchange(head.path, upstream_path_);
  const std::string_view client_authority = std::exchange(head.authority, upstream_authority_);
  upstream_ = &connection.StartRequest(head, !has_body_ || connects(), *this);
  head.path = client_path;
  head.authority = client_authority;
  if (!has_body_ || connects()) return;
  // HTTP/2 may refuse a request on any connection.
  SendKept(connection.multiplexes() || (reused && safe_to_repeat_));
  if (!request_ended_ && !upstream_->congested()) stream_->ResumeRequest();
}

void ProxiedRequest::SendKept(bool keep) {
  const std::string_view bytes = kept_.Send(proxy_.loop(), keep);
  if (!bytes.empty()) upstream_->SendBody(bytes, false);
  if (!request_ended_) return;
  if (kept_.trailers().empty()) {
    upstream_->SendBody({}, true);
  } else {
    upstream_->SendTrailers(kept_.trailers());
  }
}

// ---- from the client ----

void ProxiedRequest::OnRequestBody(std::string_view bytes, bool end_stream) {
  if (end_stream) EndOfRequest();
  if (websocket_ != nullptr) {
    OnTunnelBytes(bytes, end_stream);
    return;
  }
  if (state_ == State::kConnecting) {
    kept_.Add(bytes);
    return;
  }
  kept_.OnSent(bytes);
  upstream_->SendBody(bytes, end_stream);
  if (state_ == State::kTunnel && end_stream && response_ended_) {
    ExchangeOver();
  } else if (!end_stream && upstream_->congested()) {
    stream_->PauseRequest();
  }
}

void ProxiedRequest::OnTunnelBytes(std::string_view bytes, bool end_stream) {
  WebSocketTunnel& websocket = *websocket_;  // unlike *this it lives until the end of the dispatch
  if (!bytes.empty()) websocket.OnClientBytes(bytes);
  if (end_stream && !websocket.over()) websocket.OnClientEnd();
  if (websocket.over() || end_stream) return;
  if (upstream_ != nullptr && upstream_->congested()) stream_->PauseRequest();
}

void ProxiedRequest::OnRequestTrailers(const HeaderList& trailers) {
  EndOfRequest();
  if (kept_.whole()) kept_.AddTrailers(trailers, stream_->request().arena);
  if (state_ == State::kExchanging) upstream_->SendTrailers(trailers);
}

void ProxiedRequest::EndOfRequest() {
  request_ended_ = true;
  AwaitResponse();
}

// The upstream has all that it needs for an answer.
void ProxiedRequest::AwaitResponse() {
  if (route_->timeout() != Duration::zero() && !may_be_silent_) {
    timeout_.Set(proxy_.loop().Now() + route_->timeout());
  }
}

void ProxiedRequest::OnResponseWritable() {
  if (upstream_ != nullptr) upstream_->ResumeResponse();
}

void ProxiedRequest::OnReset(StreamEnd) { Done(); }

// ---- from the upstream ----

void ProxiedRequest::OnInformational(const ResponseHead& head) { stream_->SendInformational(head); }

void ProxiedRequest::OnResponseHead(ResponseHead& head, bool end_stream) {
  RequestRecord& record = stream_->record();
  record.upstream_time = proxy_.loop().Now() - sent_at_;
  const bool switches = head.status == 101 ||
                        (stream_->request().method == Method::kConnect && head.status / 100 == 2);
  const bool streams = grpc_ && IsGrpcContentType(head.headers.Value(HeaderId::kContentType));
  if (streams && end_stream) ReadGrpcStatus(head.headers);
  proxy_.forwarding().ApplyToResponse(head);
  route_->RewriteResponse(head.headers);
  if (switches) {
    BeginTunnel(head);
  } else {
    kept_.LetGo();
    if (!end_stream) FollowBody(head);
  }
  if (switches || streams) {
    StopTimeout();
  } else {
    RestartTimeout();
  }
  ServerStream& stream = *stream_;
  if (end_stream) ExchangeOver();
  stream.SendHead(head, end_stream);  // a tunnel may deliver from here what the client sent ahead
  if (state_ == State::kTunnel && !request_ended_) stream.ResumeRequest();
}

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

void ProxiedRequest::OnResponseBody(std::string_view bytes, bool end_stream) {
  ServerStream& stream = *stream_;
  if (websocket_ != nullptr) {
    OnUpstreamTunnelBytes(bytes, end_stream);
    return;
  }
  if (told_ && !end_stream) {
    RelayToEnd(bytes);
    return;
  }
  early_end_.Feed(bytes);
  if (end_stream) {
    response_ended_ = true;
    if (state_ != State::kTunnel || request_ended_) ExchangeOver();
  }
  stream.SendBody(bytes, end_stream);
  if (end_stream || state_ == State::kDone) return;
  RestartTimeout();
  if (stream.congested()) upstream_->PauseResponse();
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

void ProxiedRequest::OnResponseTrailers(const HeaderList& trailers) {
  ServerStream& stream = *stream_;
  ReadGrpcStatus(trailers);
  ExchangeOver();
  stream.SendTrailers(trailers);
}

void ProxiedRequest::OnRequestWritable() {
  if (!request_ended_) stream_->ResumeRequest();
}

void ProxiedRequest::OnUpstreamFailure(const UpstreamFailure& failure) {
  upstream_ = nullptr;
  if (websocket_ != nullptr && websocket_->OnUpstreamGone()) return;
  if (const Replay replay = ReplayAfter(failure); replay != Replay::kNone) {
    Connect(replay);
  } else {
    Fail(FailureOf(failure));
  }
}

// An interim response counts as begun: who sends one has taken the request up.
Replay ProxiedRequest::ReplayAfter(const UpstreamFailure& failure) {
  if (failure.response_begun || stream_->record().status != 0 || !kept_.whole()) {
    return Replay::kNone;
  }
  switch (failure.kind) {
    case UpstreamFailure::Kind::kRefused:
      // RFC 9113 8.7: not processed, so any method may be repeated. The first time costs nothing
      // from the budget: one GOAWAY may refuse all that was on its way, which is not more work for
      // the cluster than before.
      if (refusals_ == kMaxRefusals) return Replay::kNone;
      if (refusals_++ > 0 && !TakeFromBudget()) return Replay::kNone;
      return Replay::kRefused;
    case UpstreamFailure::Kind::kReset:
      if (!on_reused_ || !safe_to_repeat_ || lost_ || !TakeFromBudget()) return Replay::kNone;
      lost_ = true;
      return Replay::kLost;
    case UpstreamFailure::Kind::kStreamReset:
    case UpstreamFailure::Kind::kProtocol:
      break;
  }
  return Replay::kNone;
}

bool ProxiedRequest::TakeFromBudget() {
  in_budget_ = in_budget_ || cluster_->TryReplay();
  return in_budget_;
}

void ProxiedRequest::OnNoConnection(ConnectFailure failure) { Fail(FailureOf(failure)); }

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

// ---- ends ----

// The upstream has given a sign of life: its time begins anew.
void ProxiedRequest::RestartTimeout() {
  if (timeout_.active()) timeout_.Set(proxy_.loop().Now() + route_->timeout());
}

// A tunnel is silent whenever nobody has anything to say, and so is a gRPC stream that the server
// has taken up. What bounds it is the client's deadline, and the drain's.
void ProxiedRequest::StopTimeout() {
  may_be_silent_ = true;
  timeout_.Stop();
}

void ProxiedRequest::OnTimeout() {
  if (stream_->congested()) {  // it is the client that holds the upstream back, under its own limit
    timeout_.Set(proxy_.loop().Now() + route_->timeout());
    return;
  }
  Fail(kRouteTimeout);
}

void ProxiedRequest::ReadGrpcStatus(const HeaderList& fields) {
  if (grpc_) stream_->record().grpc_status = static_cast<int8_t>(GrpcStatusIn(fields));
}

void ProxiedRequest::Fail(const Failure& failure) {
  ServerStream& stream = *stream_;
  Done();
  TellClient(stream, failure);
}

// The exchange has ended by itself; what follows to the client needs nothing from here.
void ProxiedRequest::ExchangeOver() {
  upstream_ = nullptr;
  Done();
}

void ProxiedRequest::Done() {
  state_ = State::kDone;
  timeout_.Stop();
  deadline_.Stop();
  StopWaiting();
  proxy_.long_lived().Remove(*this);
  if (std::exchange(in_session_budget_, false)) proxy_.websockets().Return();
  lease_.Release();
  if (std::exchange(in_budget_, false)) cluster_->EndReplay();
  kept_.Reset();
  stream_ = nullptr;
  early_end_ = {};
  grpc_ = may_be_silent_ = told_ = false;
  has_body_ = request_ended_ = response_ended_ = on_reused_ = safe_to_repeat_ = lost_ = false;
  refusals_ = 0;
  ClientStream* const upstream = std::exchange(upstream_, nullptr);
  if (websocket_ != nullptr) {
    websocket_->Stop();
    if (upstream != nullptr)
      upstream->Leave();  // its last words may be no older than this dispatch
    proxy_.loop().DeleteLater(std::move(websocket_));
  } else if (upstream != nullptr) {
    upstream->Cancel();
  }
  proxy_.Recycle(*this);
}

}  // namespace sluice
