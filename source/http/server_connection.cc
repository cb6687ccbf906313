#include "http/server_connection.h"

#include <algorithm>
#include <utility>

#include "http/connection_manager.h"
#include "http/h1_server_codec.h"

namespace sluice {

ServerConnection::ServerConnection(ConnectionManager& manager, ListenerContext& context,
                                   std::unique_ptr<Transport> transport)
    : manager_(manager),
      context_(context),
      transport_(std::move(transport)),
      timer_(manager.loop().timers(), Delegate::Bind<&ServerConnection::OnTimer>(this)),
      pass_(manager.EnterGate(context.direction)),
      accepted_at_(manager.loop().Now()) {
  info_.listener = context.name;
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
  codec_ = std::make_unique<H1ServerCodec>(static_cast<CodecHost&>(*this), manager_.h1_streams());
  transport_->SetEvents(this);
}

std::string_view ServerConnection::StateName() const {
  switch (state_) {
    case State::kOpen:
    case State::kIdleGrace:
      return codec_->stream_count() > 0 ? "busy" : "idle";
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
  if (state_ == State::kOpen || state_ == State::kIdleGrace) codec_->OnData(bytes);
  // Otherwise: discarded, see the top of the header.
}

void ServerConnection::OnEof() {
  eof_ = true;
  if (state_ == State::kLingering) {
    Close();
  } else if (state_ != State::kFinishing) {
    codec_->OnEof();
  }
}

void ServerConnection::OnWritable() {
  if (state_ == State::kOpen || state_ == State::kIdleGrace) codec_->OnWritable();
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
  if (cut_ || (state_ != State::kOpen && state_ != State::kIdleGrace)) return;
  const bool idle = expecting == Expecting::kFirstRequest || expecting == Expecting::kNextRequest;
  // A head has a fixed time to arrive in, from its first byte: a byte now and then does not extend
  // it (slowloris). Everything else starts anew whenever something moves.
  if (expecting == expecting_ && expecting == Expecting::kRequestHead) return;
  expecting_ = expecting;
  if (expecting == Expecting::kResponseTaken) untaken_at_last_look_ = transport_->untaken_bytes();
  if (draining_ && idle) {
    state_ = State::kIdleGrace;
    timer_.Set(manager_.NextIdleGraceEnd());
    return;
  }
  const Duration limit = LimitFor(expecting);
  timer_.Set(limit == Duration::zero() ? kNever : loop().Now() + limit);
}

bool ServerConnection::ShouldAdviseClose() { return draining_ || manager_.ShouldAdviseClose(); }

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
  switch (state_) {
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
  Finish();
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
  if (state_ != State::kOpen) return;
  if (!codec_->BeginDrain()) {
    state_ = State::kIdleGrace;
    timer_.Set(idle_grace_over);
  }
}

void ServerConnection::Cut() {
  cut_ = true;
  if (state_ == State::kOpen || state_ == State::kIdleGrace) {
    codec_->Cut();
    const bool still_leaving = state_ == State::kOpen;
    if (still_leaving) timer_.Set(loop().Now() + options().timeouts.linger);
  } else if (state_ == State::kFinishing) {
    timer_.Set(loop().Now() + options().timeouts.linger);
  }
}

}  // namespace sluice
