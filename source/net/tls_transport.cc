#include "net/tls_transport.h"

#include <openssl/err.h>

#include <algorithm>
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
      ssl_(std::move(parts.ssl)),
      metrics_(metrics) {
  BIO* const bio = BIO_new(BioMethod());
  if (ssl_ == nullptr || bio == nullptr) std::abort();  // out of memory
  BIO_set_data(bio, this);
  BIO_set_init(bio, 1);
  SSL_set_bio(ssl_.get(), bio, bio);
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

// ---- between OpenSSL and the inner transport ----

const BIO_METHOD* TlsTransport::BioMethod() {
  static const BIO_METHOD* const method = [] {
    BIO_METHOD* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "sluice");
    if (made == nullptr) std::abort();
    BIO_meth_set_read(made, BioRead);
    BIO_meth_set_write(made, BioWrite);
    BIO_meth_set_ctrl(made, BioControl);
    return made;
  }();
  return method;
}

int TlsTransport::BioRead(BIO* bio, char* out, int size) {
  auto& self = *static_cast<TlsTransport*>(BIO_get_data(bio));
  BIO_clear_retry_flags(bio);
  const size_t count = std::min(self.input_.size(), static_cast<size_t>(size));
  if (count == 0) {
    BIO_set_retry_read(bio);
    return -1;
  }
  std::memcpy(out, self.input_.data(), count);
  self.input_.remove_prefix(count);
  return static_cast<int>(count);
}

int TlsTransport::BioWrite(BIO* bio, const char* bytes, int size) {
  auto& self = *static_cast<TlsTransport*>(BIO_get_data(bio));
  BIO_clear_retry_flags(bio);
  self.WriteCiphertext({bytes, static_cast<size_t>(size)});
  return size;
}

long TlsTransport::BioControl(BIO*, int command, long, void*) {
  return command == BIO_CTRL_FLUSH ? 1 : 0;
}

void TlsTransport::WriteCiphertext(std::string_view bytes) {
  if (!encrypting_) {
    if (inner_->queued_bytes() == 0) unasked_bytes_ = 0;
    unasked_bytes_ += bytes.size();
    wrote_while_reading_ = true;
  }
  char* const copy = loop_.Scratch(bytes.size());
  std::memcpy(copy, bytes.data(), bytes.size());
  inner_->Write({copy, bytes.size()});
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
  if (state_ == State::kOpen && !input_.empty()) kept_.Append(input_);
  input_ = {};
}

void TlsTransport::Consume(std::string_view ciphertext) {
  input_ = ciphertext;
  if (state_ == State::kHandshake) Handshake();
  ReadPlaintext();
}

void TlsTransport::ReadPlaintext() {
  while (state_ == State::kOpen && !paused_ && read_side_ == Side::kOpen) {
    char* const bytes = loop_.Scratch(kRecord);
    size_t got = 0;
    wrote_while_reading_ = false;
    ERR_clear_error();
    const int result = SSL_read_ex(ssl_.get(), bytes, kRecord, &got);
    if (!wrote_while_reading_) loop_.ReturnScratch(kRecord - got);
    if (unasked_bytes_ > kMaxUnasked) {
      Fail(EPROTO);
    } else if (result == 1) {
      partial_seen_ = false;
      events_->OnData({bytes, got});
    } else {
      OnReadStopped(result);
      return;
    }
    if (input_.empty() && SSL_has_pending(ssl_.get()) == 0) return;
  }
  // After its end the peer has nothing to say.
  if (read_side_ != Side::kOpen) input_ = {};
}

void TlsTransport::OnReadStopped(int result) {
  switch (SSL_get_error(ssl_.get(), result)) {
    case SSL_ERROR_WANT_READ:
      break;
    case SSL_ERROR_ZERO_RETURN:
      read_side_ = Side::kShut;
      input_ = {};
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
  kept_.Consume(kept_.size() - input_.size());
  input_ = {};
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
  gathered_.push_back(bytes);
  gathered_bytes_ += bytes.size();
  if (queued_bytes() >= kHighWatermark) promise_ = Promise::kLowWatermark;
  loop_.FlushLater(*this);
}

size_t TlsTransport::queued_bytes() const { return gathered_bytes_ + inner_->queued_bytes(); }

size_t TlsTransport::untaken_bytes() const { return gathered_bytes_ + inner_->untaken_bytes(); }

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
    encrypting_ = true;
    SSL_shutdown(ssl_.get());
    encrypting_ = false;
    ERR_clear_error();
    inner_->ShutdownWrite();
  }
  inner_->FlushNow();
  TellWritable();
  if (state_ == State::kOpen && !kept_.empty() && !paused_) DrainKept();
}

// Gathered slices become records: what is large is encrypted where it lies, what is small is first
// put together.
bool TlsTransport::Encrypt() {
  if (gathered_.empty()) return true;
  encrypting_ = true;
  ERR_clear_error();
  bool ok = true;
  for (size_t next = 0; ok && next < gathered_.size();) {
    std::string_view& slice = gathered_[next];
    if (slice.size() >= kRecord) {
      const size_t whole = slice.size() - slice.size() % kRecord;
      ok = EncryptSlice(slice.substr(0, whole));
      slice.remove_prefix(whole);
      if (slice.empty()) ++next;
    } else if (next + 1 == gathered_.size()) {
      ok = EncryptSlice(slice);
      ++next;
    } else {
      ok = EncryptSmall(&next);
    }
  }
  encrypting_ = false;
  gathered_.clear();
  gathered_bytes_ = 0;
  return ok;
}

// One record of slices from `*next` on, the last of them perhaps in part.
bool TlsTransport::EncryptSmall(size_t* next) {
  char record[kRecord];
  size_t size = 0;
  while (*next < gathered_.size() && size < kRecord) {
    std::string_view& slice = gathered_[*next];
    const size_t count = std::min(slice.size(), kRecord - size);
    std::memcpy(record + size, slice.data(), count);
    size += count;
    slice.remove_prefix(count);
    if (slice.empty()) ++*next;
  }
  return EncryptSlice({record, size});
}

bool TlsTransport::EncryptSlice(std::string_view bytes) {
  size_t written = 0;
  if (SSL_write_ex(ssl_.get(), bytes.data(), bytes.size(), &written) == 1) return true;
  ERR_clear_error();
  return false;
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
    encrypting_ = true;
    SSL_shutdown(ssl_.get());
    ERR_clear_error();
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
  gathered_.clear();
  gathered_bytes_ = 0;
}

}  // namespace sluice
