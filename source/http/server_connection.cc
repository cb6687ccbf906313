#include "http/server_connection.h"

#include <algorithm>
#include <utility>

#include "http/connection_manager.h"
#include "http/h1_server_codec.h"
#include "http/h2_server_codec.h"

namespace sluice {
namespace {

// The beginning of HTTP/2's preface that tells it from every HTTP/1.1 request: there is no method
// PRI (RFC 9113 11.6).
constexpr std::string_view kPrefaceBegin = "PRI ";

}  // namespace

ServerConnection::ServerConnection(ConnectionManager& manager, ListenerContext& context,
                                   std::unique_ptr<Transport> transport)
    : manager_(manager),
      context_(context),
      transport_(std::move(transport)),
      timer_(manager.loop().timers(), Delegate::Bind<&ServerConnection::OnTimer>(this)),
      pass_(manager.EnterGate(context.direction)),
      accepted_at_(manager.loop().Now()) {
  info_.listener = context.name;
  info_.direction = context.direction;
  info_.peer = transport_->PeerAddress();
  info_.peer_host = info_.peer;
  if (!info_.peer.starts_with("unix:")) {
    info_.peer_host = info_.peer_host.substr(0, info_.peer_host.rfind(':'));
  }
}

ServerConnection::~ServerConnection() {
  // Only a connection that outlives its worker's drain still has streams here.
  if (codec_) codec_->OnTransportError();
}

void ServerConnection::Start() {
  if (!transport_->ready()) {
    state_ = State::kHandshake;
    timer_.Set(loop().Now() + options().timeouts.handshake);
  }
  SpeakHttp1();
  sniffing_ = transport_->ready() && options().http2_enabled;
  transport_->WatchForReset();
  transport_->SetEvents(this);
}

void ServerConnection::SpeakHttp1() {
  codec_ = std::make_unique<H1ServerCodec>(static_cast<CodecHost&>(*this), manager_.h1_streams());
}

void ServerConnection::SpeakHttp2() {
  codec_ = std::make_unique<H2ServerCodec>(static_cast<CodecHost&>(*this), manager_.h2_streams());
  if (std::exchange(leaving_, false)) {  // in this protocol it cannot
    draining_ = true;
    manager_.OnTold();
  }
  if (draining_) codec_->BeginDrain();
}

void ServerConnection::OnReady() {
  info_.tls = true;
  info_.tls_info = transport_->tls();
  state_ = State::kOpen;
  if (info_.tls_info->alpn == "h2") {
    SpeakHttp2();
    return;
  }
  SpeakHttp1();
  if (draining_) {
    // Its request is a round trip away, and the handshake has shown how long that may be.
    const TimePoint round_trip = loop().Now() + (loop().Now() - accepted_at_);
    state_ = State::kIdleGrace;
    timer_.Set(std::max(manager_.NextIdleGraceEnd(context_), round_trip));
  }
}

void ServerConnection::Sniff(std::string_view bytes) {
  const std::string_view wanted = kPrefaceBegin.substr(sniffed_);
  const size_t compared = std::min(wanted.size(), bytes.size());
  const bool preface = bytes.substr(0, compared) == wanted.substr(0, compared);
  if (preface && compared < wanted.size()) {
    // The bytes are known, so it is enough to count them.
    sniffed_ = static_cast<uint8_t>(sniffed_ + compared);
    OnProgress(Expecting::kRequestHead);
    return;
  }
  if (preface) SpeakHttp2();
  EndSniffing();
  sniffing_ = false;
  if (open()) codec_->OnData(bytes);
}

// What was held back belongs to HTTP/1.1, unless HTTP/2 has begun.
void ServerConnection::EndSniffing() {
  if (!sniffing_ || sniffed_ == 0) return;
  sniffing_ = false;
  codec_->OnData(kPrefaceBegin.substr(0, sniffed_));
}

std::string_view ServerConnection::StateName() const {
  switch (state_) {
    case State::kHandshake:
      return "handshake";
    case State::kOpen:
    case State::kIdleGrace:
      return codec_->stream_count() > 0 ? "busy" : "idle";
    case State::kFrozen:
      return "moving";
    case State::kFinishing:
      return "finishing";
    case State::kLingering:
      return "lingering";
    case State::kClosed:
      return "closed";
  }
  return "";
}

// ---- from the transport ----

void ServerConnection::OnData(std::string_view bytes) {
  if (open() && sniffing_) {
    Sniff(bytes);
  } else if (open()) {
    codec_->OnData(bytes);
  }
  // Otherwise: discarded, see the top of the header.
}

void ServerConnection::OnEof() {
  eof_ = true;
  EndSniffing();
  if (state_ == State::kLingering || state_ == State::kHandshake) {
    Close();
  } else if (state_ != State::kFinishing) {
    codec_->OnEof();
  }
}

void ServerConnection::OnWritable() {
  if (open()) codec_->OnWritable();
}

void ServerConnection::OnWriteShut() {
  write_shut_ = true;
  if (state_ == State::kFinishing) Linger();
}

void ServerConnection::Linger() {
  if (eof_) {
    Close();
    return;
  }
  state_ = State::kLingering;
  timer_.Set(loop().Now() + options().timeouts.linger);
}

void ServerConnection::OnError(int) {
  codec_->OnTransportError();
  Close();
}

// ---- from the codec ----

Loop& ServerConnection::loop() { return manager_.loop(); }

const HttpOptions& ServerConnection::options() const { return context_.options; }

void ServerConnection::OnStreamBegin(RequestRecord& record) {
  state_ = State::kOpen;
  ++requests_;
  manager_.OnRequestBegin(context_, record);
}

void ServerConnection::OnStreamEnd(const RequestHead& request, RequestRecord& record) {
  manager_.OnRequestEnd(context_, request, record, info_);
}

void ServerConnection::OnRequest(ServerStream& stream, bool end_stream) {
  context_.handler->OnRequest(stream, end_stream);
}

void ServerConnection::OnProgress(Expecting expecting) {
  if (cut_ || !open()) return;
  if (leaving_ && codec_->at_rest()) manager_.OnRest(*this);
  const bool idle = expecting == Expecting::kFirstRequest || expecting == Expecting::kNextRequest;
  // A head has a fixed time to arrive in, from its first byte: a byte now and then does not extend
  // it (slowloris). Everything else starts anew whenever something moves.
  if (expecting == expecting_ && expecting == Expecting::kRequestHead) return;
  expecting_ = expecting;
  if (expecting == Expecting::kResponseTaken) untaken_at_last_look_ = transport_->untaken_bytes();
  if (draining_ && idle) {
    state_ = State::kIdleGrace;
    timer_.Set(manager_.NextIdleGraceEnd(context_));
    return;
  }
  const Duration limit = LimitFor(expecting);
  timer_.Set(limit == Duration::zero() ? kNever : loop().Now() + limit);
}

bool ServerConnection::ShouldAdviseClose() {
  return draining_ || (!leaving_ && manager_.ShouldAdviseClose());
}

void ServerConnection::OnGoawaySent(std::string_view stage) { context_.CountGoaway(stage); }

void ServerConnection::OnFlood(std::string_view kind) { context_.CountFlood(kind); }

void ServerConnection::Finish() {
  state_ = State::kFinishing;
  if (write_shut_) {  // by a tunnel whose response side ended first
    Linger();
    return;
  }
  transport_->ShutdownWrite();
  if (transport_->queued_bytes() > 0) untaken_at_last_look_ = transport_->untaken_bytes();
  const HttpTimeouts& timeouts = options().timeouts;
  timer_.Set(loop().Now() + (cut_ ? timeouts.linger : std::max(timeouts.write, timeouts.linger)));
}

void ServerConnection::Drop(bool visibly_broken) {
  if (visibly_broken) transport_->Reset();
  Close();
}

void ServerConnection::Close() {
  if (state_ == State::kClosed) return;
  state_ = State::kClosed;
  timer_.Stop();
  transport_->Close();
  pass_.Release();
  manager_.Remove(*this);
}

// ---- time ----

Duration ServerConnection::LimitFor(Expecting expecting) const {
  const HttpTimeouts& timeouts = context_.options.timeouts;
  switch (expecting) {
    case Expecting::kHandshake:
      return timeouts.handshake;
    case Expecting::kNothing:
      return Duration::zero();
    case Expecting::kFirstRequest:
    case Expecting::kRequestHead:
      return timeouts.header;
    case Expecting::kNextRequest:
      return timeouts.idle;
    case Expecting::kRequestBody:
      return timeouts.body;
    case Expecting::kResponseTaken:
      return timeouts.write;
  }
  return Duration::zero();
}

void ServerConnection::OnTimer() {
  if (state_ != State::kFrozen) EndSniffing();
  switch (state_) {
    case State::kFrozen:
      OnFrozenTimer();
      break;
    case State::kHandshake:
      Close();
      break;
    case State::kOpen:
      if (cut_) {
        codec_->Cut();
      } else if (expecting_ == Expecting::kNextRequest) {
        EndIdle();
      } else if (expecting_ == Expecting::kResponseTaken &&
                 transport_->untaken_bytes() < untaken_at_last_look_) {
        OnProgress(expecting_);  // slow, but it moves
      } else {
        codec_->OnTimeout(expecting_);
      }
      break;
    case State::kIdleGrace:
      EndIdle();
      break;
    case State::kFinishing:
      OnFlushTimer();
      break;
    case State::kLingering:
      Close();
      break;
    case State::kClosed:
      break;
  }
}

void ServerConnection::EndIdle() {
  // The last look: a request may have arrived in the moment the time was over (RFC 9112 9.5). If it
  // did, it is read in the next turn of the loop and answered.
  if (!eof_ && transport_->HasUnreadInput()) {
    timer_.Set(loop().Now() + options().timeouts.linger);
    return;
  }
  codec_->OnTimeout(Expecting::kNextRequest);
}

void ServerConnection::OnFlushTimer() {
  const size_t untaken = transport_->untaken_bytes();
  if (!cut_ && untaken < untaken_at_last_look_) {
    untaken_at_last_look_ = untaken;
    timer_.Set(loop().Now() + options().timeouts.write);
    return;
  }
  transport_->Reset();  // the client does not take the end of its response
  Close();
}

// ---- drain ----

void ServerConnection::BeginDrain(TimePoint idle_grace_over) {
  draining_ = true;
  if (sniffing_ && sniffed_ > 0) return;  // what it begins is told as soon as its codec is known
  if (state_ != State::kOpen) return;
  if (!codec_->BeginDrain()) {
    state_ = State::kIdleGrace;
    timer_.Set(idle_grace_over);
  }
}

void ServerConnection::CutStreams(const StreamFilter& concerns, bool again) {
  if (cut_ || !open()) return;
  bool some = false;
  codec_->ForEachStream(
      [&](const RequestRecord& record) { some = some || concerns(record, info_); });
  if (some && !codec_->CutStreams(concerns, again)) Cut();
}

void ServerConnection::Cut() {
  if (state_ == State::kFrozen && adopted_) Resume();
  cut_ = true;
  if (state_ == State::kHandshake) {
    Close();
    return;
  }
  if (state_ == State::kFrozen) {  // what becomes of it is not for us to say, for so long
    timer_.Set(loop().Now() + options().timeouts.linger);
    return;
  }
  EndSniffing();
  if (open()) {
    codec_->Cut();
    const bool still_leaving = state_ == State::kOpen;
    if (still_leaving) timer_.Set(loop().Now() + options().timeouts.linger);
  } else if (state_ == State::kFinishing) {
    timer_.Set(loop().Now() + options().timeouts.linger);
  }
}

}  // namespace sluice
