#include "proxy/proxied_request.h"

#include <utility>

#include "http/grpc.h"
#include "proxy/proxy.h"

namespace sluice {
namespace {

// An upstream that keeps refusing means it.
constexpr uint8_t kMaxRefusals = 3;

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
  if (end_stream) EndOfRequest();
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
  stream_->record().endpoint = lease_.pool().address();
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

void ProxiedRequest::OnRequestTrailers(const HeaderList& trailers) {
  EndOfRequest();
  if (kept_.whole()) kept_.AddTrailers(trailers, stream_->request().arena);
  if (state_ == State::kExchanging) upstream_->SendTrailers(trailers);
}

void ProxiedRequest::EndOfRequest() {
  request_ended_ = true;
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
  if (!switches) {
    kept_.LetGo();
  } else {
    BeginTunnel();
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

// HTTP/1.1 has ended its request to become a tunnel; the body of a CONNECT over HTTP/2 is already
// the tunnel's one direction, which had to wait.
void ProxiedRequest::BeginTunnel() {
  state_ = State::kTunnel;
  if (has_body_ && connects()) {
    SendKept(false);
  } else {
    request_ended_ = false;
  }
  kept_.LetGo();
  has_body_ = true;
  response_ended_ = false;
}

void ProxiedRequest::OnResponseBody(std::string_view bytes, bool end_stream) {
  ServerStream& stream = *stream_;
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
  if (!request_ended_) stream_->ResumeRequest();
}

void ProxiedRequest::OnUpstreamFailure(const UpstreamFailure& failure) {
  upstream_ = nullptr;
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
  lease_.Release();
  if (std::exchange(in_budget_, false)) cluster_->EndReplay();
  kept_.Reset();
  stream_ = nullptr;
  grpc_ = may_be_silent_ = false;
  has_body_ = request_ended_ = response_ended_ = on_reused_ = safe_to_repeat_ = lost_ = false;
  refusals_ = 0;
  if (ClientStream* upstream = std::exchange(upstream_, nullptr)) upstream->Cancel();
  proxy_.Recycle(*this);
}

}  // namespace sluice
