#include "proxy/proxied_request.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "http/grpc.h"
#include "proxy/proxy.h"

namespace sluice {
namespace {

// Request bodies up to this size can be sent again when a reused connection turns out to be dead.
constexpr size_t kMaxReplayBody = 64 * 1024;

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
  route.RewriteRequest(head);
  upstream_path_ = std::exchange(head.path, client_path);
  upstream_authority_ = std::exchange(head.authority, client_authority);

  replayable_ = IsIdempotent(head.method) && head.upgrade.empty();
  if (end_stream) EndOfRequest();
  Connect(false);
}

void ProxiedRequest::Connect(bool fresh) {
  state_ = State::kConnecting;
  stream_->record().waiting_for = "connection to the upstream";
  lease_ = cluster_->Pick();
  if (!lease_) {
    OnNoConnection(ConnectFailure::kNoEndpoint);
    return;
  }
  stream_->record().endpoint = lease_.pool().address();
  if (has_body_) stream_->PauseRequest();
  lease_.pool().Acquire(*this, {.fresh = fresh, .checked = !replayable_});
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
  upstream_ = &connection.StartRequest(head, !has_body_, *this);
  head.path = client_path;
  head.authority = client_authority;
  if (!has_body_) return;
  SendKept();
  if (!request_ended_ && !upstream_->congested()) stream_->ResumeRequest();
}

void ProxiedRequest::SendKept() {
  if (!kept_.empty()) {
    // Lent until the end of the dispatch, within which kept_ may change.
    char* bytes = proxy_.loop().Scratch(kept_.size());
    std::memcpy(bytes, kept_.view().data(), kept_.size());
    const size_t size = kept_.size();
    if (!on_reused_ || size > kMaxReplayBody) replayable_ = false;
    if (!replayable_) kept_.Clear();
    upstream_->SendBody({bytes, size}, false);
  }
  if (!request_ended_) return;
  if (trailers_.empty()) {
    upstream_->SendBody({}, true);
  } else {
    upstream_->SendTrailers(trailers_);
  }
}

// ---- from the client ----

void ProxiedRequest::OnRequestBody(std::string_view bytes, bool end_stream) {
  if (end_stream) EndOfRequest();
  if (state_ == State::kConnecting) {
    kept_.Append(bytes);
    return;
  }
  if (state_ == State::kExchanging) KeepForReplay(bytes);
  upstream_->SendBody(bytes, end_stream);
  if (state_ == State::kTunnel && end_stream && response_ended_) {
    ExchangeOver();
  } else if (!end_stream && upstream_->congested()) {
    stream_->PauseRequest();
  }
}

// What is sent on a reused connection before its first response byte may have to be sent again.
void ProxiedRequest::KeepForReplay(std::string_view bytes) {
  if (!replayable_) return;
  if (on_reused_ && kept_.size() + bytes.size() <= kMaxReplayBody) {
    kept_.Append(bytes);
  } else if (!bytes.empty()) {
    replayable_ = false;
    kept_.Clear();
  }
}

void ProxiedRequest::OnRequestTrailers(const HeaderList& trailers) {
  EndOfRequest();
  if (state_ == State::kConnecting || replayable_) {
    Arena& arena = stream_->request().arena;
    for (const HeaderField& field : trailers) {
      trailers_.Add(field.id, arena.Copy(field.name), arena.Copy(field.value));
    }
  }
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
  replayable_ = false;
  kept_.Clear();
  const bool switches = head.status == 101 ||
                        (stream_->request().method == Method::kConnect && head.status / 100 == 2);
  const bool streams = grpc_ && IsGrpcContentType(head.headers.Value(HeaderId::kContentType));
  if (streams && end_stream) ReadGrpcStatus(head.headers);
  proxy_.forwarding().ApplyToResponse(head);
  route_->RewriteResponse(head.headers);
  if (switches) {
    state_ = State::kTunnel;
    has_body_ = true;
    request_ended_ = response_ended_ = false;
  }
  if (switches || streams) {
    StopTimeout();
  } else {
    RestartTimeout();
  }
  ServerStream& stream = *stream_;
  if (end_stream) ExchangeOver();
  stream.SendHead(head, end_stream);  // a tunnel may deliver from here what the client sent ahead
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
  if (MayReplay(failure)) {
    replaying_ = true;
    Connect(true);
    return;
  }
  Fail(FailureOf(failure));
}

bool ProxiedRequest::MayReplay(const UpstreamFailure& failure) const {
  return on_reused_ && !replaying_ && replayable_ && !failure.response_begun &&
         failure.kind == UpstreamFailure::Kind::kReset && stream_->record().status == 0 &&
         cluster_->TryReplay();
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
  ConnectionWaiter::Unlink();
  lease_.Release();
  if (std::exchange(replaying_, false)) cluster_->EndReplay();
  kept_.Clear();
  trailers_.Clear();
  stream_ = nullptr;
  grpc_ = may_be_silent_ = false;
  has_body_ = request_ended_ = response_ended_ = on_reused_ = replayable_ = false;
  if (ClientStream* upstream = std::exchange(upstream_, nullptr)) upstream->Cancel();
  proxy_.Recycle(*this);
}

}  // namespace sluice
