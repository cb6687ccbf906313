#include "proxy/proxied_request.h"

#include <utility>

#include "http/grpc.h"
#include "http/h1_fields.h"
#include "http/websocket_handshake.h"
#include "proxy/mirrored_request.h"
#include "proxy/proxy.h"
#include "proxy/request_hash.h"
#include "proxy/session_cookie.h"

namespace sluice {
ProxiedRequest::ProxiedRequest(Proxy& proxy)
    : proxy_(proxy),
      timeout_(proxy.loop().timers(), Delegate::Bind<&ProxiedRequest::OnTimeout>(this)),
      deadline_(proxy.loop().timers(), Delegate::Bind<&ProxiedRequest::OnDeadline>(this)),
      wait_(proxy.loop().timers(), Delegate::Bind<&ProxiedRequest::Connect>(this)),
      try_timeout_(proxy.loop().timers(), Delegate::Bind<&ProxiedRequest::OnTryTimeout>(this)) {}

void ProxiedRequest::Start(ServerStream& stream, const Route& route, Cluster& cluster,
                           bool end_stream, Duration delay) {
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
  ChooseBy(head);
  proxy_.forwarding().ApplyToRequest(head, stream.downstream(), proxy_.loop().random());
  const std::string_view client_path = head.path;
  const std::string_view client_authority = head.authority;
  route.RewriteRequest(head, stream.downstream());
  upstream_path_ = std::exchange(head.path, client_path);
  upstream_authority_ = std::exchange(head.authority, client_authority);
  Mirror(end_stream);

  retries_.Begin(route.retries(), cluster, IsIdempotent(head.method) && head.upgrade.empty(),
                 grpc_);
  kept_.Begin(route.retries().config().body_bytes);
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
  if (delay == Duration::zero()) {
    Connect();
    return;
  }
  state_ = State::kWaiting;
  stream.record().waiting_for = "delay of a fault";
  HoldRequest();
  wait_.Set(proxy_.loop().Now() + delay);
}

// What goes there is what goes to the upstream.
void ProxiedRequest::Mirror(bool end_stream) {
  if (!route_->config().mirror) return;
  RequestHead& head = stream_->request();
  const std::string_view client_path = std::exchange(head.path, upstream_path_);
  const std::string_view client_authority = std::exchange(head.authority, upstream_authority_);
  mirror_ = proxy_.Mirror(*route_, head, end_stream);
  head.path = client_path;
  head.authority = client_authority;
  if (end_stream) mirror_ = nullptr;
}

void ProxiedRequest::FeedMirror(std::string_view bytes, bool end_stream) {
  mirror_->SendBody(bytes, end_stream);
  if (end_stream) mirror_ = nullptr;
}

// By the request as the client sent it.
void ProxiedRequest::ChooseBy(const RequestHead& head) {
  const ClusterConfig& config = cluster_->config();
  const bool hashes = config.load_balancing == LoadBalancing::kRingHash ||
                      config.load_balancing == LoadBalancing::kMaglev;
  if (hashes) pick_.hash = RequestHash(config.hash_on, head, stream_->downstream());
  if (config.session_cookie) pick_.session = SessionEndpoint(*config.session_cookie, head);
}

void ProxiedRequest::Connect() {
  state_ = State::kConnecting;
  stream_->record().waiting_for = "connection to the upstream";
  pick_.not_these = retries_.tried();
  pick_.reach = retries_.reach();
  const EndpointPool* const before = pick_.not_these.empty() ? nullptr : pick_.not_these.back();
  lease_.Release();
  auto lease = cluster_->Pick(pick_);
  if (!lease) {
    OnNoConnection(lease.error());
    return;
  }
  lease_ = *std::move(lease);
  retries_.OnTried(lease_.pool());
  RequestRecord& record = stream_->record();
  if (record.endpoint_holder.get() != &lease_.pool()) {
    const Hold<Held> kept = std::exchange(record.endpoint_holder, Hold<Held>(&lease_.pool()));
    const std::string_view left = std::exchange(record.endpoint, lease_.pool().address());
    if (left != record.endpoint) proxy_.parts().OnEndpointLeft(left);
  }
  HoldRequest();
  // What one endpoint did to an idle connection says nothing of those to another.
  const bool fresh = fresh_ && &lease_.pool() == before;
  lease_.pool().Acquire(*this, {.fresh = fresh, .checked = !retries_.idempotent()});
}

void ProxiedRequest::OnConnection(ClientConnection& connection, EndpointPool&, bool reused) {
  RequestRecord& record = stream_->record();
  RequestHead& head = stream_->request();
  state_ = State::kExchanging;
  on_reused_ = reused;
  may_go_again_ = retries_.idempotent() || connection.multiplexes() ||  // which may refuse it
                  (grpc_ && route_->retries().retries_grpc());
  end_sent_ = !has_body_ || connects();
  sent_bytes_ = 0;
  record.waiting_for = "response from the upstream";
  ++record.attempts;
  sent_at_ = proxy_.loop().Now();
  const std::string_view client_path = std::exchange(head.path, upstream_path_);
  const std::string_view client_authority = std::exchange(head.authority, upstream_authority_);
  upstream_ = &connection.StartRequest(head, end_sent_, *this);
  head.path = client_path;
  head.authority = client_authority;
  if (end_sent_) {
    LimitTry();
  } else if (echo_ != nullptr) {
    echo_->Resume();
  } else {
    SendClientsRest();
  }
}

// What came from the client before there was an attempt, or in those before; and then the rest.
void ProxiedRequest::SendClientsRest() {
  SendKept(route_->retries().ever());
  if (request_ended_) return;
  if (upstream_->congested()) {
    HoldRequest();
  } else {
    LetRequestGoOn();
  }
}

void ProxiedRequest::SendKept(bool keep) {
  const std::string_view bytes = kept_.Send(proxy_.loop(), keep);
  const bool all = request_ended_ && kept_.trailers().empty();
  if (!bytes.empty() || all) SendBody(bytes, all);
  if (!request_ended_ || all) return;
  end_sent_ = true;
  LimitTry();
  upstream_->SendTrailers(kept_.trailers());
}

void ProxiedRequest::SendBody(std::string_view bytes, bool end_stream) {
  sent_bytes_ += bytes.size();
  if (end_stream) {
    end_sent_ = true;
    LimitTry();
    if (!may_go_again_) kept_.LetGo();
  }
  upstream_->SendBody(bytes, end_stream);
}

// ---- from the client ----

void ProxiedRequest::OnRequestBody(std::string_view bytes, bool end_stream) {
  if (mirror_ != nullptr) FeedMirror(bytes, end_stream);
  if (end_stream) EndOfRequest();
  if (websocket_ != nullptr) {
    OnTunnelBytes(bytes, end_stream);
    return;
  }
  if (state_ == State::kWaiting || state_ == State::kConnecting || echo_ != nullptr) {
    kept_.Add(bytes);
    return;
  }
  kept_.OnSent(bytes);
  SendBody(bytes, end_stream);
  if (state_ == State::kTunnel && end_stream && response_ended_) {
    ExchangeOver();
  } else if (!end_stream && upstream_->congested()) {
    HoldRequest();
  }
}

void ProxiedRequest::OnRequestTrailers(const HeaderList& trailers) {
  if (mirror_ != nullptr) FeedMirror({}, true);
  EndOfRequest();
  const bool waits = state_ != State::kExchanging || echo_ != nullptr;
  kept_.AddTrailers(trailers, stream_->request().arena);
  if (waits) return;
  end_sent_ = true;
  LimitTry();
  upstream_->SendTrailers(trailers);
}

// There is no upstream that takes more of it at present. That lasts no longer than a response may
// take: otherwise it could for ever, since the client is not read meanwhile.
void ProxiedRequest::HoldRequest() {
  if (!has_body_ || request_ended_) return;
  stream_->PauseRequest();
  if (timeout_.active()) return;
  untaken_at_last_look_ = upstream_ == nullptr ? SIZE_MAX : upstream_->untaken_bytes();
  AwaitResponse();
}

// The time is the client's again.
void ProxiedRequest::LetRequestGoOn() {
  if (!connects()) timeout_.Stop();
  stream_->ResumeRequest();
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

// A client that was told to go on is not told again by the next upstream.
void ProxiedRequest::OnInformational(const ResponseHead& head) {
  if (head.status == 100 && std::exchange(told_to_continue_, true)) return;
  stream_->SendInformational(head);
}

void ProxiedRequest::OnResponseHead(ResponseHead& head, bool end_stream) {
  RequestRecord& record = stream_->record();
  record.upstream_time = proxy_.loop().Now() - sent_at_;
  try_timeout_.Stop();
  Learn(head, end_stream);
  if (RetryAfter(head, end_stream)) return;
  const bool switches = head.status == 101 ||
                        (stream_->request().method == Method::kConnect && head.status / 100 == 2);
  const bool streams = grpc_ && IsGrpcContentType(head.headers.Value(HeaderId::kContentType));
  if (streams && end_stream) ReadGrpcStatus(head.headers);
  proxy_.forwarding().ApplyToResponse(head);
  route_->RewriteResponse(head.headers);
  StickToEndpoint(head);
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

void ProxiedRequest::OnResponseTrailers(const HeaderList& trailers) {
  ServerStream& stream = *stream_;
  ReadGrpcStatus(trailers);
  ExchangeOver();
  stream.SendTrailers(trailers);
}

void ProxiedRequest::OnRequestWritable() {
  if (echo_ != nullptr) {
    echo_->Resume();
  } else if (!request_ended_) {
    LetRequestGoOn();
  }
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

// The client is to come back to the endpoint that it has met.
void ProxiedRequest::StickToEndpoint(ResponseHead& head) {
  const auto& cookie = cluster_->config().session_cookie;
  if (!cookie || pick_.session == lease_.identity()) return;
  head.headers.Add("Set-Cookie", SetCookieValue(*cookie, lease_.identity(), head.arena));
}

void ProxiedRequest::OnTimeout() {
  if (stream_->congested()) {  // it is the client that holds the upstream back, under its own limit
    timeout_.Set(proxy_.loop().Now() + route_->timeout());
    return;
  }
  if (!request_ended_ && upstream_ != nullptr) {  // one that reads slowly does read
    const size_t untaken = upstream_->untaken_bytes();
    if (untaken < std::exchange(untaken_at_last_look_, untaken)) {
      timeout_.Set(proxy_.loop().Now() + route_->timeout());
      return;
    }
  }
  if (state_ == State::kExchanging) lease_.Report(Outcome::kGatewayFailure);
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
  for (Timer* const timer : {&timeout_, &deadline_, &wait_, &try_timeout_}) timer->Stop();
  StopWaiting();
  proxy_.long_lived().Remove(*this);
  if (std::exchange(in_session_budget_, false)) proxy_.websockets().Return();
  lease_.Release();
  retries_.End();
  if (mirror_ != nullptr) std::exchange(mirror_, nullptr)->Abandon();
  if (echo_ != nullptr) {
    echo_->Stop();
    proxy_.loop().DeleteLater(std::move(echo_));
  }
  if (RouteLimits* const limits = route_->limits()) limits->in_flight.Return();
  kept_.Reset();
  pick_ = {};
  stream_ = nullptr;
  early_end_ = {};
  grpc_ = may_be_silent_ = told_ = false;
  has_body_ = request_ended_ = response_ended_ = on_reused_ = end_sent_ = fresh_ = false;
  may_go_again_ = told_to_continue_ = false;
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
