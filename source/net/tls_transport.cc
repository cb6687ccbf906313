#include "net/tls_transport.h"

#include <openssl/err.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/log.h"

namespace sluice {
namespace {

constexpr size_t kRecord = SSL3_RT_MAX_PLAIN_LENGTH;  // of plaintext

// Alerts and key updates that a peer provokes and does not take; a handshake's flights are smaller,
// too.
constexpr size_t kMaxUnasked = 256 * 1024;

constexpr std::string_view kPlainHttpAnswer =
    "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n"
    "Content-Length: 57\r\n\r\n400 Bad Request: this port speaks HTTPS; use https://...\n";

}  // namespace

std::unique_ptr<Transport> TlsTransport::Accept(Loop& loop, std::unique_ptr<Transport> inner,
                                                std::shared_ptr<const TlsServerContext> context,
                                                TlsHandshakeMetrics& metrics) {
  SslPtr ssl = context->NewSsl();
  return std::unique_ptr<Transport>(new TlsTransport(
      loop, {std::move(inner), std::move(ssl), std::move(context), nullptr}, metrics));
}

std::unique_ptr<Transport> TlsTransport::Connect(Loop& loop, std::unique_ptr<Transport> inner,
                                                 std::shared_ptr<const TlsClientContext> context,
                                                 std::shared_ptr<TlsSessionSlot> slot,
                                                 TlsHandshakeMetrics& metrics) {
  SslPtr ssl = context->NewSsl(*slot);
  return std::unique_ptr<Transport>(new TlsTransport(
      loop, {std::move(inner), std::move(ssl), std::move(context), std::move(slot)}, metrics));
}

TlsTransport::TlsTransport(Loop& loop, Parts parts, TlsHandshakeMetrics& metrics)
    : loop_(loop),
      inner_(std::move(parts.inner)),
      context_(std::move(parts.context)),
      slot_(std::move(parts.slot)),
      bio_(loop, *inner_),
      ssl_(std::move(parts.ssl)),
      metrics_(metrics) {
  bio_.Attach(ssl_.get());
}

TlsTransport::~TlsTransport() {
  Close();
  // However the connection ended, its session can be resumed (RFC 8446 6.1).
  SSL_set_shutdown(ssl_.get(), SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
}

void TlsTransport::SetEvents(TransportEvents* events) {
  const bool first = events_ == nullptr;
  events_ = events;
  if (!first || state_ != State::kHandshake) return;
  inner_->SetEvents(this);
  if (AtClient()) Handshake();
}

// ---- handshake ----

void TlsTransport::Handshake() {
  ERR_clear_error();
  const int result = SSL_do_handshake(ssl_.get());
  if (result == 1) {
    state_ = State::kOpen;
    info_ = MakeTlsInfo(ssl_.get());
    metrics_.CountDone(*info_);
    if (paused_) inner_->PauseReading();
    events_->OnReady();
    return;
  }
  if (SSL_get_error(ssl_.get(), result) == SSL_ERROR_WANT_READ) return;
  HandshakeFailed(TakeTlsFailure(ssl_.get()));
}

void TlsTransport::HandshakeFailed(const TlsFailureCause& cause) {
  CountFailure(cause);
  if (AtClient()) {
    Fail(EPROTO);
    return;
  }
  // The client shall read why before it meets a reset: our alert is written, and whatever else it
  // sends is read and discarded until it closes, for as long as the owner waits for a handshake.
  state_ = State::kFailing;
  inner_->ShutdownWrite();
}

void TlsTransport::AnswerPlainHttp() {
  CountFailure({TlsFailure::kPlainHttp, "an HTTP request without TLS"});
  state_ = State::kFailing;
  inner_->Write(kPlainHttpAnswer);
  inner_->ShutdownWrite();
}

void TlsTransport::CountFailure(const TlsFailureCause& cause) {
  metrics_.CountFailed(cause.failure);
  LogEvent(Level::kDebug, "tls_handshake_failed",
           {{"peer", inner_->PeerAddress()},
            {"side", AtClient() ? "upstream" : "downstream"},
            {"reason", TlsFailureName(cause.failure)},
            {"detail", cause.detail}});
}

// ---- reading ----

void TlsTransport::OnData(std::string_view bytes) {
  if (state_ == State::kFailing || state_ == State::kClosed) return;
  if (!kept_.empty()) {  // it waits for its turn
    kept_.Append(bytes);
    return;
  }
  // Every record of a handshake begins with a small number, every method of HTTP with a letter.
  const bool first = !std::exchange(heard_, true);
  if (first && !AtClient() && bytes[0] >= 'A' && bytes[0] <= 'Z') {
    AnswerPlainHttp();
    return;
  }
  Consume(bytes);
  if (state_ == State::kOpen) kept_.Append(bio_.input());
  bio_.SetInput({});
}

void TlsTransport::Consume(std::string_view ciphertext) {
  bio_.SetInput(ciphertext);
  if (state_ == State::kHandshake) Handshake();
  ReadPlaintext();
}

void TlsTransport::ReadPlaintext() {
  while (state_ == State::kOpen && !paused_ && read_side_ == Side::kOpen) {
    char* const bytes = loop_.Scratch(kRecord);
    size_t got = 0;
    const size_t written = bio_.written();
    ERR_clear_error();
    const int result = SSL_read_ex(ssl_.get(), bytes, kRecord, &got);
    if (bio_.written() == written) loop_.ReturnScratch(kRecord - got);
    if (bio_.unasked() > kMaxUnasked) {
      Fail(EPROTO);
    } else if (result == 1) {
      partial_seen_ = false;
      events_->OnData({bytes, got});
    } else {
      OnReadStopped(result);
      return;
    }
    if (bio_.input().empty() && SSL_has_pending(ssl_.get()) == 0) return;
  }
  // After its end the peer has nothing to say.
  if (read_side_ != Side::kOpen) bio_.SetInput({});
}

void TlsTransport::OnReadStopped(int result) {
  switch (SSL_get_error(ssl_.get(), result)) {
    case SSL_ERROR_WANT_READ:
      break;
    case SSL_ERROR_ZERO_RETURN:
      read_side_ = Side::kShut;
      bio_.SetInput({});
      events_->OnEof();
      break;
    default:
      // Once the peer's alert, or the record that it is, is known nothing else can follow.
      ERR_clear_error();
      Fail(ECONNRESET);
      break;
  }
}

void TlsTransport::OnEof() {
  switch (state_) {
    case State::kHandshake:
      CountFailure({TlsFailure::kClosed, "the peer closed during the handshake"});
      Fail(ECONNRESET);
      break;
    case State::kFailing:
      Fail(EPROTO);
      break;
    case State::kOpen:
      if (read_side_ == Side::kOpen) Fail(ECONNRESET);  // truncated; see the top of the header
      break;
    case State::kClosed:
      break;
  }
}

void TlsTransport::PauseReading() {
  paused_ = true;
  if (state_ == State::kOpen) inner_->PauseReading();
}

void TlsTransport::ResumeReading() {
  if (!std::exchange(paused_, false) || state_ != State::kOpen) return;
  if (kept_.empty()) {
    inner_->ResumeReading();
  } else {
    loop_.FlushLater(*this);
  }
}

void TlsTransport::DrainKept() {
  Consume(kept_.view());
  kept_.Consume(kept_.size() - bio_.input().size());
  bio_.SetInput({});
  if (state_ == State::kOpen && !paused_) inner_->ResumeReading();
}

bool TlsTransport::HasUnreadInput() {
  if (state_ == State::kClosed) return true;
  if (!kept_.empty() || SSL_pending(ssl_.get()) > 0 || inner_->HasUnreadInput()) return true;
  // A record has begun to arrive. One that never ends must not hold its connection for ever, so
  // each is told of once.
  return SSL_has_pending(ssl_.get()) == 1 && !std::exchange(partial_seen_, true);
}

// ---- writing ----

void TlsTransport::Write(std::string_view bytes) {
  if (state_ != State::kOpen || write_side_ != Side::kOpen || bytes.empty()) return;
  gathered_.Add(bytes);
  if (queued_bytes() >= kHighWatermark) promise_ = Promise::kLowWatermark;
  loop_.FlushLater(*this);
}

size_t TlsTransport::queued_bytes() const { return gathered_.size() + inner_->queued_bytes(); }

size_t TlsTransport::untaken_bytes() const { return gathered_.size() + inner_->untaken_bytes(); }

void TlsTransport::FlushNow() {
  if (state_ != State::kOpen) return;
  if (!Encrypt()) write_error_ = EPROTO;
  inner_->FlushNow();
  // Whatever there is to tell is told at the end of the dispatch.
  loop_.FlushLater(*this);
}

void TlsTransport::Flush() {
  if (state_ != State::kOpen) return;
  if (!Encrypt() || write_error_ != 0) {
    Fail(EPROTO);
    return;
  }
  if (write_side_ == Side::kShutting) {
    write_side_ = Side::kShut;
    SayCloseNotify();
    inner_->ShutdownWrite();
  }
  inner_->FlushNow();
  TellWritable();
  if (state_ == State::kOpen && !kept_.empty() && !paused_) DrainKept();
}

bool TlsTransport::Encrypt() {
  const TlsBio::Asked asked(bio_);
  return gathered_.Write(ssl_.get());
}

void TlsTransport::SayCloseNotify() {
  const TlsBio::Asked asked(bio_);
  SSL_shutdown(ssl_.get());
  ERR_clear_error();
}

// As SocketTransport does: the inner transport knows only of the ciphertext it was given, which may
// be less than what the owner has seen waiting.
void TlsTransport::TellWritable() {
  if (state_ != State::kOpen) return;
  const size_t queued = queued_bytes();
  if (queued > 0 && promise_ == Promise::kNothing) promise_ = Promise::kEmpty;
  const bool kept = queued == 0 || (promise_ == Promise::kLowWatermark && queued <= kLowWatermark);
  if (promise_ == Promise::kNothing || !kept) return;
  promise_ = queued == 0 ? Promise::kNothing : Promise::kEmpty;
  if (write_side_ == Side::kOpen) events_->OnWritable();
}

// ---- ends ----

void TlsTransport::ShutdownWrite() {
  if (state_ == State::kHandshake) inner_->ShutdownWrite();
  if (state_ != State::kOpen || write_side_ != Side::kOpen) return;
  write_side_ = Side::kShutting;
  loop_.FlushLater(*this);
}

void TlsTransport::OnWriteShut() {
  if (state_ == State::kOpen) events_->OnWriteShut();
}

void TlsTransport::OnError(int error) {
  if (state_ == State::kHandshake) {
    CountFailure({TlsFailure::kClosed, std::strerror(error)});
  }
  Fail(error);
}

void TlsTransport::Close() {
  if (state_ == State::kClosed) return;
  if (state_ == State::kHandshake) {
    CountFailure({TlsFailure::kTimeout, "given up"});
  } else if (state_ == State::kOpen && write_side_ == Side::kOpen && queued_bytes() == 0) {
    SayCloseNotify();
    inner_->FlushNow();
  }
  Release();
  inner_->Close();
}

void TlsTransport::Reset() {
  if (state_ == State::kClosed) return;
  Release();
  inner_->Reset();
}

void TlsTransport::Fail(int error) {
  inner_->FlushNow();  // an alert
  TransportEvents* const events = events_;
  Release();
  inner_->Close();
  if (events != nullptr) events->OnError(error);
}

void TlsTransport::Release() {
  state_ = State::kClosed;
  events_ = nullptr;
  Flushable::Unlink();
  gathered_.Clear();
}

}  // namespace sluice
