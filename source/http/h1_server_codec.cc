#include "http/h1_server_codec.h"

#include <cstring>
#include <utility>

#include "http/http_options.h"
#include "http/local_reply.h"

namespace sluice {
namespace {

// How much a client may send ahead of its turn before it is held back.
constexpr size_t kMaxKept = 64 * 1024;

// How much of a request body is read and thrown away after the response to it has ended, for the
// sake of the connection. Beyond that a new connection is cheaper for everybody.
constexpr uint64_t kMaxDiscarded = 256 * 1024;

}  // namespace

H1ServerCodec::H1ServerCodec(CodecHost& host, H1StreamPool& pool)
    : host_(host), pool_(pool), parser_(*this, host.options().limits) {
  UpdateExpectation();
}

H1ServerCodec::~H1ServerCodec() { ReleaseStream(); }

// ---- bytes in ----

void H1ServerCodec::OnData(std::string_view bytes) {
  if (state_ == State::kOver) return;
  if (stream_ && stream_->request_over()) {
    Keep(bytes);
  } else {
    Feed(bytes);
  }
}

void H1ServerCodec::Feed(std::string_view bytes) {
  feeding_ = true;
  while (!bytes.empty() && state_ == State::kOpen) {
    if (!stream_) StartStream();
    H1ServerStream& stream = *stream_;
    if (stream.request_state_ == RequestState::kTunnel) {
      DeliverTunnel(bytes);
      break;
    }
    if (stream.request_over()) {
      Keep(bytes);
      break;
    }
    const size_t used = parser_.Execute(bytes);
    bytes.remove_prefix(used);
    unparsed_ = bytes.size();
    if (state_ == State::kOver) break;
    if (stream.request_state_ == RequestState::kHead && parser_.in_message()) CountStream();
    if (parser_.error()) {
      CountStream();
      Refuse(parser_.error()->status, parser_.error()->detail, StreamEnd::kComplete);
      break;
    }
    if (head_ready_) DispatchRequest();
    if (state_ == State::kOpen && stream.response_state_ == ResponseState::kDone) TurnOver();
  }
  unparsed_ = 0;
  feeding_ = false;
  const bool nothing_yet = stream_ && stream_->request_state_ == RequestState::kHead &&
                           !stream_->in_flight_;  // only empty lines so far
  if (state_ == State::kOver || nothing_yet) ReleaseStream();
  // After a half-close the last requests sent ahead are answered, but nothing more can come.
  if (state_ == State::kOpen && eof_ && !(stream_ && stream_->request_over())) OnEof();
  UpdateExpectation();
}

void H1ServerCodec::Keep(std::string_view bytes) {
  kept_.Append(bytes);
  UpdateReading();
}

void H1ServerCodec::FeedKept() {
  if (feeding_ || kept_.empty()) return;
  // Handlers are lent the bytes until the end of the dispatch, so they move to memory that lasts.
  const size_t size = kept_.size();
  char* bytes = host_.loop().Scratch(size);
  std::memcpy(bytes, kept_.view().data(), size);
  kept_.Clear();
  UpdateReading();
  Feed({bytes, size});
}

void H1ServerCodec::OnEof() {
  if (state_ == State::kOver) return;
  eof_ = true;
  if (!stream_ || !stream_->in_flight_) {
    Finish();
    return;
  }
  switch (stream_->request_state_) {
    case RequestState::kHead:
    case RequestState::kBody:
      stream_->record_.detail = "client_closed_mid_request";
      ResetReceiver(StreamEnd::kClientGone);
      EndStream(StreamEnd::kClientGone);
      Drop(false);
      break;
    case RequestState::kTunnel:
      stream_->request_state_ = RequestState::kTunnelEnded;
      EndTunnelInput();
      if (stream_ && stream_->response_state_ == ResponseState::kDone) OnResponseLeft();
      break;
    case RequestState::kDiscarded:
    case RequestState::kEnded:
    case RequestState::kTunnelEnded:
      break;  // a client may half-close after its last request and still wants the answer
  }
}

// ---- from the parser ----

void H1ServerCodec::StartStream() {
  stream_ = pool_.Acquire();
  stream_->Start(this, host_.loop().Now());
  parser_.BeginRequest(stream_->request_);
}

void H1ServerCodec::CountStream() {
  if (std::exchange(stream_->in_flight_, true)) return;
  host_.OnStreamBegin(stream_->record_);
}

void H1ServerCodec::OnHead(H1Framing framing, bool keep_alive) {
  stream_->close_after_ = !keep_alive;
  stream_->client_closes_ = !keep_alive && framing == H1Framing::kNone;
  request_framing_ = framing;
  head_ready_ = true;
  // The handler runs outside of the parser, where it may end the connection without harm.
  parser_.Stop();
}

void H1ServerCodec::DispatchRequest() {
  head_ready_ = false;
  H1ServerStream& stream = *stream_;
  CountStream();
  const HttpOptions& options = host_.options();
  RequestHead& head = stream.request_;
  if (host_.downstream().tls) head.scheme = "https";
  const bool end_stream = request_framing_ == H1Framing::kNone;
  // RFC 9110 7.8: a server may ignore Upgrade; after a body the switch would have no clear place.
  if (!end_stream) head.upgrade = {};
  stream.request_state_ = end_stream ? RequestState::kEnded : RequestState::kBody;
  stream.record_.waiting_for = end_stream ? "response" : "request body";
  if (++requests_ == options.limits.requests_per_connection) stream.close_after_ = true;

  const uint64_t most = options.limits.body_bytes;
  if (head.method == Method::kConnect && !options.allow_connect) {
    Refuse(405, "connect_not_allowed", StreamEnd::kComplete);
  } else if (most != 0 && head.content_length.value_or(0) > most) {
    Refuse(413, "body_too_large", StreamEnd::kComplete);
  } else {
    host_.OnRequest(stream, end_stream);
  }
}

void H1ServerCodec::OnBody(std::string_view bytes) {
  H1ServerStream& stream = *stream_;
  if (stream.request_state_ == RequestState::kDiscarded) {
    stream.discarded_ += bytes.size();
    if (stream.discarded_ > kMaxDiscarded) {
      Finish();
      parser_.Stop();
    }
    return;
  }
  stream.record_.bytes_in += bytes.size();
  const uint64_t most = host_.options().limits.body_bytes;
  if (most != 0 && stream.record_.bytes_in > most) {
    Refuse(413, "body_too_large", StreamEnd::kComplete);
    parser_.Stop();
    return;
  }
  if (stream.receiver_ != nullptr) stream.receiver_->OnRequestBody(bytes, false);
  if (state_ == State::kOver || stream.response_state_ == ResponseState::kDone) parser_.Stop();
}

void H1ServerCodec::OnTrailers(const HeaderList& trailers) {
  if (stream_->request_state_ != RequestState::kBody) return;
  stream_->request_state_ = RequestState::kEnded;
  if (stream_->receiver_ != nullptr) stream_->receiver_->OnRequestTrailers(trailers);
}

void H1ServerCodec::OnMessageEnd() {
  const RequestState before = std::exchange(stream_->request_state_, RequestState::kEnded);
  if (before != RequestState::kBody) return;
  if (stream_->response_state_ == ResponseState::kNone) stream_->record_.waiting_for = "response";
  if (stream_->receiver_ != nullptr) stream_->receiver_->OnRequestBody({}, true);
}

void H1ServerCodec::DeliverTunnel(std::string_view bytes) {
  stream_->record_.bytes_in += bytes.size();
  if (stream_->receiver_ != nullptr) stream_->receiver_->OnRequestBody(bytes, false);
}

void H1ServerCodec::EndTunnelInput() {
  RequestReceiver* receiver = stream_->receiver_;
  if (receiver == nullptr) return;
  // With both directions ended the handler is done with the stream.
  if (stream_->response_state_ != ResponseState::kBody) stream_->receiver_ = nullptr;
  receiver->OnRequestBody({}, true);
}

// ---- responses out ----

void H1ServerCodec::OnResponseEnded() {
  H1ServerStream& stream = *stream_;
  stream.response_state_ = ResponseState::kEnded;
  if (!stream.tunnel() || stream.request_over()) stream.receiver_ = nullptr;
  Transport& transport = host_.transport();
  if (stream.tunnel()) transport.ShutdownWrite();
  transport.FlushNow();
  if (transport.queued_bytes() == 0) {
    OnResponseLeft();
  } else {
    stream.record_.waiting_for = "client to take the response";
    UpdateExpectation();
  }
}

void H1ServerCodec::OnResponseLeft() {
  H1ServerStream& stream = *stream_;
  stream.response_state_ = ResponseState::kDone;
  if (stream.tunnel()) {
    if (stream.request_state_ == RequestState::kTunnelEnded) {
      EndStream(StreamEnd::kComplete);
      Finish();
    } else {
      UpdateExpectation();
    }
    return;
  }
  EndStream(StreamEnd::kComplete);
  if (feeding_) return;  // Feed goes on from here
  if (TurnOver()) {
    FeedKept();
    if (state_ == State::kOpen && eof_ && !stream_) Finish();
  }
  UpdateExpectation();
}

bool H1ServerCodec::TurnOver() {
  H1ServerStream& stream = *stream_;
  if (stream.tunnel()) return false;
  if (stream.client_closes_ && !HasPipelined()) {
    // RFC 9112 9.6: lingering protects the response from the reset that later requests would cause.
    // A client that said close must not send any, so the connection can go at once.
    Drop(false);
    return false;
  }
  if (stream.close_after_) {
    if (cut_before_) CutKept();
    Finish();
    return false;
  }
  if (!stream.request_over()) {
    stream.request_state_ = RequestState::kDiscarded;
    stream.request_paused_ = false;
    UpdateReading();
    return false;
  }
  ReleaseStream();
  return true;
}

void H1ServerCodec::OnWritable() {
  if (state_ == State::kOver || !stream_) return;
  if (stream_->response_state_ == ResponseState::kEnded) {
    if (host_.transport().queued_bytes() == 0) OnResponseLeft();
    return;
  }
  if (stream_->receiver_ != nullptr) stream_->receiver_->OnResponseWritable();
  UpdateExpectation();
}

// ---- ends ----

void H1ServerCodec::Refuse(int status, std::string_view detail, StreamEnd why) {
  H1ServerStream& stream = *stream_;
  stream.record_.detail = detail;
  ResetReceiver(why == StreamEnd::kComplete ? StreamEnd::kClientGone : why);
  if (stream.response_state_ != ResponseState::kNone) {
    BreakOff(why);
    return;
  }
  stream.close_after_ = true;
  ResponseHead head;
  std::string_view text = MakeRefusal(stream, host_.loop(), status, detail, head);
  // Half a head may be that of a HEAD, to which a body would be bytes that belong to nothing.
  if (stream.request_state_ == RequestState::kHead && !parser_.error()) text = {};
  head.content_length = text.size();
  const std::string_view waited_for = stream.record_.waiting_for;
  stream.SendHead(head, false);
  stream.record_.waiting_for = waited_for;  // the account is of the request, not of the refusal
  if (stream.response_framing_ == H1Framing::kLength) {
    host_.transport().Write(text);
    stream.record_.bytes_out = text.size();
  }
  EndStream(why);
  Finish();
}

void H1ServerCodec::BreakOff(StreamEnd why) {
  const bool needs_reset = stream_->response_framing_ == H1Framing::kUntilClose ||
                           stream_->response_state_ == ResponseState::kNone;
  EndStream(why);
  if (needs_reset) {
    Drop(true);
  } else {
    Finish();  // a chunked body without its last chunk, or fewer bytes than promised
  }
}

void H1ServerCodec::EndStream(StreamEnd why) {
  H1ServerStream& stream = *stream_;
  stream.receiver_ = nullptr;
  if (!std::exchange(stream.in_flight_, false)) return;
  stream.record_.end = why;
  host_.OnStreamEnd(stream.request_, stream.record_);
}

void H1ServerCodec::ResetReceiver(StreamEnd why) {
  RequestReceiver* receiver = std::exchange(stream_->receiver_, nullptr);
  if (receiver != nullptr) receiver->OnReset(why);
}

void H1ServerCodec::ReleaseStream() {
  if (!stream_) return;
  stream_->Recycle();
  pool_.Release(std::move(stream_));
  UpdateReading();
}

void H1ServerCodec::Finish() {
  if (std::exchange(state_, State::kOver) == State::kOver) return;
  if (!feeding_) ReleaseStream();
  host_.transport().ResumeReading();  // what still comes is read and discarded
  host_.Finish();
}

void H1ServerCodec::Drop(bool visibly_broken) {
  if (std::exchange(state_, State::kOver) == State::kOver) return;
  if (!feeding_) ReleaseStream();
  host_.Drop(visibly_broken);
}

void H1ServerCodec::OnTransportError() {
  if (std::exchange(state_, State::kOver) == State::kOver) return;
  if (stream_ && stream_->in_flight_) {
    ResetReceiver(StreamEnd::kClientGone);
    EndStream(StreamEnd::kClientGone);
  }
  if (!feeding_) ReleaseStream();
}

void H1ServerCodec::OnTimeout(Expecting expecting) {
  if (state_ == State::kOver) return;
  if (!stream_ || !stream_->in_flight_) {
    Finish();
    return;
  }
  switch (expecting) {
    case Expecting::kRequestHead:
      Refuse(408, "header_timeout", StreamEnd::kClientTimeout);
      break;
    case Expecting::kRequestBody:
      Refuse(408, "body_timeout", StreamEnd::kClientTimeout);
      break;
    case Expecting::kResponseTaken:
      stream_->record_.detail = "write_timeout";
      ResetReceiver(StreamEnd::kClientTimeout);
      EndStream(StreamEnd::kClientTimeout);
      Drop(true);
      break;
    case Expecting::kHandshake:
    case Expecting::kNothing:
    case Expecting::kFirstRequest:
    case Expecting::kNextRequest:
      break;
  }
}

// ---- drain ----

bool H1ServerCodec::BeginDrain() { return stream_count() > 0; }

void H1ServerCodec::Cut() {
  if (state_ == State::kOver) return;
  if (stream_count() > 0 && stream_->receiver_ != nullptr) stream_->receiver_->OnCut();
  if (state_ == State::kOver) return;
  if (stream_count() == 0) {
    Finish();
  } else if (stream_->response_state_ == ResponseState::kNone) {
    Refuse(503, "drain_deadline", StreamEnd::kCut);
  } else if (stream_->response_state_ != ResponseState::kBody &&
             !std::exchange(cut_before_, true)) {
    // All of it is on its way. It has the host's last bounded wait to leave, and the client of a
    // tunnel to end its direction; only then is it cut.
    stream_->close_after_ = true;
  } else {
    stream_->record_.detail = "drain_deadline";
    ResetReceiver(StreamEnd::kCut);
    if (cut_before_) {
      EndStream(StreamEnd::kCut);
      Drop(true);
    } else {
      BreakOff(StreamEnd::kCut);
    }
  }
}

// Requests that were sent ahead and read, and that no response has said goodbye to: they were
// accepted, so each is put on record.
void H1ServerCodec::CutKept() {
  while (!kept_.empty()) {
    ReleaseStream();
    StartStream();
    const size_t used = parser_.Execute(kept_.view());
    const bool whole = std::exchange(head_ready_, false) && request_framing_ == H1Framing::kNone;
    if (!whole && !parser_.in_message()) return;  // only empty lines
    CountStream();
    stream_->record_.detail = "drain_deadline";
    EndStream(StreamEnd::kCut);
    if (!whole) return;  // the rest is its body, or the head is not complete
    kept_.Consume(used);
  }
}

void H1ServerCodec::ForEachStream(const std::function<void(const RequestRecord&)>& visit) const {
  if (stream_count() > 0) visit(stream_->record_);
}

// ---- what the connection waits for ----

void H1ServerCodec::UpdateReading() {
  if (state_ == State::kOver) return;
  if (kept_.size() >= kMaxKept || (stream_ && stream_->request_paused_)) {
    host_.transport().PauseReading();
  } else {
    host_.transport().ResumeReading();
  }
}

void H1ServerCodec::UpdateExpectation() {
  if (state_ == State::kOver || feeding_) return;
  Expecting expecting = Expecting::kNothing;
  if (!stream_) {
    expecting = requests_ == 0 ? Expecting::kFirstRequest : Expecting::kNextRequest;
  } else if (stream_->request_state_ == RequestState::kHead) {
    expecting = Expecting::kRequestHead;
  } else if (stream_->response_state_ == ResponseState::kEnded || host_.transport().congested()) {
    expecting = Expecting::kResponseTaken;
  } else if (stream_->request_state_ == RequestState::kDiscarded) {
    expecting = Expecting::kRequestBody;
  } else if (stream_->request_state_ == RequestState::kBody && !stream_->request_paused_) {
    expecting = Expecting::kRequestBody;
  } else if (stream_->request_state_ == RequestState::kTunnel &&
             stream_->response_state_ == ResponseState::kDone) {
    expecting = Expecting::kRequestBody;  // a half-closed tunnel is not kept for ever
  }
  host_.OnProgress(expecting);
}

}  // namespace sluice
