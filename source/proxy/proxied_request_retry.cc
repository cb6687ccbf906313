// ProxiedRequest, as far as attempts fail and are followed by others.

#include <algorithm>
#include <utility>

#include "http/grpc.h"
#include "proxy/proxied_request.h"
#include "proxy/proxy.h"
#include "proxy/retry_after.h"

namespace sluice {
namespace {

constexpr int kPartialPostReplay = 379;  // draft-frindell-httpbis-partial-post-replay

Outcome OutcomeOf(int status) {
  if (status < 500) return Outcome::kSuccess;
  return status >= 502 && status <= 504 ? Outcome::kGatewayFailure : Outcome::k5xx;
}

}  // namespace

// Before this something has to have come of the request: what is not over by then is cut.
TimePoint ProxiedRequest::LastMoment() const {
  return std::min({timeout_.deadline(), deadline_.deadline(), proxy_.long_lived().cut_at()});
}

// How long to wait before the request goes again, if it does.
std::optional<Duration> ProxiedRequest::MayRetry(RetryCause cause, Duration retry_after) {
  if (stream_->record().status != 0) return std::nullopt;
  const Duration time_left = LastMoment() - proxy_.loop().Now();
  return retries_.Next({cause, kept_.whole(), UpstreamHasAll(), time_left, retry_after},
                       proxy_.loop().random());
}

// With the last byte that was announced the upstream has the request, whatever comes behind it (RFC
// 9112 6.2).
bool ProxiedRequest::UpstreamHasAll() const {
  const auto& length = stream_->request().content_length;
  return end_sent_ || (length && sent_bytes_ >= *length);
}

// True when the request goes again, or has even failed again. The attempt before is over.
bool ProxiedRequest::Retry(RetryCause cause) {
  const auto wait = MayRetry(cause, {});
  if (wait) GoAgain(cause, *wait);
  return wait.has_value();
}

void ProxiedRequest::GoAgain(RetryCause cause, Duration wait) {
  fresh_ = cause == RetryCause::kLost || cause == RetryCause::kRefused;
  // What made one idle connection die (a restart) has most likely killed them all.
  if (cause == RetryCause::kLost) lease_.pool().CloseIdle();
  if (wait == Duration::zero()) {
    Connect();
    return;
  }
  lease_.Release();
  state_ = State::kWaiting;
  stream_->record().waiting_for = "backoff before a retry";
  HoldRequest();
  wait_.Set(proxy_.loop().Now() + wait);
}

void ProxiedRequest::OnNoConnection(ConnectFailure failure) {
  const bool tried = failure == ConnectFailure::kRefused || failure == ConnectFailure::kTimeout;
  if (tried && Retry(RetryCause::kConnectFailure)) return;
  Fail(FailureOf(failure));
}

void ProxiedRequest::OnUpstreamFailure(const UpstreamFailure& failure) {
  upstream_ = nullptr;
  try_timeout_.Stop();
  if (websocket_ != nullptr && websocket_->OnUpstreamGone()) return;
  if (!RetryAfter(failure)) Fail(FailureOf(failure));
}

// An interim response counts as begun: who sends one has taken the request up, unless it lacks the
// end of it.
bool ProxiedRequest::RetryAfter(const UpstreamFailure& failure) {
  using Kind = UpstreamFailure::Kind;
  const bool lost = failure.kind == Kind::kReset && on_reused_ && !failure.response_begun;
  const bool blames = !lost && failure.kind != Kind::kRefused && state_ != State::kTunnel;
  if (blames) lease_.Report(Outcome::kGatewayFailure);
  if (failure.response_begun && UpstreamHasAll()) return false;
  switch (failure.kind) {
    case Kind::kRefused:
      return Retry(RetryCause::kRefused);
    case Kind::kReset:
      return Retry(lost ? RetryCause::kLost : RetryCause::kReset);
    case Kind::kStreamReset:
    case Kind::kProtocol:
      break;
  }
  return false;
}

void ProxiedRequest::LimitTry() {
  const Duration limit = route_->retries().config().per_try_timeout;
  if (limit != Duration::zero() && state_ == State::kExchanging && !connects()) {
    try_timeout_.Set(proxy_.loop().Now() + limit);
  }
}

void ProxiedRequest::OnTryTimeout() {
  lease_.Report(Outcome::kGatewayFailure);
  GiveUpAttempt(/*ended=*/false);
  if (!Retry(RetryCause::kTryTimeout)) Fail(kTryTimeout);
}

void ProxiedRequest::GiveUpAttempt(bool ended) {
  ClientStream* const upstream = std::exchange(upstream_, nullptr);
  if (!ended) upstream->Cancel();
}

// What the response says of its endpoint.
void ProxiedRequest::Learn(ResponseHead& head, bool end_stream) {
  const UpstreamDrainConfig& drain = cluster_->config().upstream_drain;
  if (const HeaderField* const field = head.headers.Find(HeaderId::kXSluiceDrain)) {
    if (drain.header && EqualsIgnoreCase(field->value, "true")) lease_.ReportDrain();
    head.headers.Remove(HeaderId::kXSluiceDrain);
  }
  const bool unavailable = grpc_ && end_stream &&
                           GrpcStatusIn(head.headers) == static_cast<int>(GrpcStatus::kUnavailable);
  lease_.Report(unavailable ? Outcome::kGatewayFailure : OutcomeOf(head.status));
}

// True when the client does not get this response.
bool ProxiedRequest::RetryAfter(const ResponseHead& head, bool end_stream) {
  if (head.status == kPartialPostReplay) {
    TakeBack(end_stream);
    return true;
  }
  const RetryPolicy& policy = route_->retries();
  const bool by_grpc = grpc_ && end_stream && policy.RetriesGrpcStatus(GrpcStatusIn(head.headers));
  if (!by_grpc && !policy.RetriesStatus(head.status)) return false;
  const RetryCause cause = by_grpc ? RetryCause::kGrpcStatus : RetryCause::kStatus;
  const auto wait = MayRetry(cause, RetryAfterIn(head.headers, proxy_.loop().WallNow()));
  if (!wait) return false;
  GiveUpAttempt(end_stream);
  GoAgain(cause, *wait);
  return true;
}

// ---- uploads that an upstream gives back because it restarts

// It had `sent_bytes_` of the body. What of that is not here comes back as the body of the
// response, and goes to the next upstream before anything else.
void ProxiedRequest::TakeBack(bool end_stream) {
  const bool understood = cluster_->config().partial_post_replay;
  const bool needs_echo = !kept_.whole() && sent_bytes_ > 0;
  if (!understood || (needs_echo && (end_stream || echo_ != nullptr))) {
    GiveUpAttempt(end_stream);
    Fail(kPartialPost);
    return;
  }
  if (cluster_->config().upstream_drain.header) lease_.ReportDrain();
  // So that an upstream knows how often it was passed on.
  stream_->request().headers.Set("Partial-Post-Replay", "1");
  if (needs_echo) {
    kept_.LetGo();
    ClientStream& exchange = *std::exchange(upstream_, nullptr);
    echo_ = std::make_unique<EchoedUpload>(static_cast<EchoedUpload::Owner&>(*this), exchange,
                                           std::move(lease_), sent_bytes_, proxy_.loop());
  } else {
    GiveUpAttempt(end_stream);
  }
  if (!Retry(RetryCause::kPartialPost)) Fail(kPartialPost);
}

void ProxiedRequest::OnEcho(std::string_view bytes) {
  RestartTimeout();
  SendBody(bytes, false);
  if (upstream_ != nullptr && upstream_->congested()) echo_->Pause();
}

void ProxiedRequest::OnEchoOver() {
  proxy_.loop().DeleteLater(std::move(echo_));
  SendClientsRest();
}

void ProxiedRequest::OnEchoFailed() { Fail(kPartialPost); }

}  // namespace sluice
