#include "http/h2_server_codec.h"

#include <algorithm>
#include <utility>

#include "http/grpc.h"
#include "http/h1_fields.h"
#include "http/local_reply.h"

namespace sluice {

H2ServerCodec::H2ServerCodec(CodecHost& host, H2StreamPool& pool)
    : host_(host),
      pool_(pool),
      session_(H2Role::kServer, host.loop(), host.transport(), host.options().http2,
               host.options().limits, *this),
      goodbye_timer_(host.loop().timers(), Delegate::Bind<&H2ServerCodec::FinishGoodbye>(this)),
      watch_(host.loop(), host.transport(), host.options().timeouts, *this) {
  UpdateExpectation();
}

H2ServerCodec::~H2ServerCodec() {
  streams_.ForEach([](H2ServerStream& stream) { delete &stream; });
  for (H2ServerStream* stream : buried_) delete stream;
}

// ---- from the connection

void H2ServerCodec::OnData(std::string_view bytes) {
  if (over_) return;
  session_.Receive(bytes);
  UpdateExpectation();
  if (host_.transport().congested()) watch_.Start();
}

void H2ServerCodec::OnWritable() {
  if (!over_) session_.OnTransportWritable();
}

// The client will send nothing more, so requests that are not whole never will be; the others are
// answered as far as their windows reach.
void H2ServerCodec::OnEof() {
  if (over_ || std::exchange(eof_, true)) return;
  for (H2ServerStream* stream : Open()) {
    if (stream->buried_ || stream->request_state_ == RequestState::kEnded) continue;
    if (stream->request_state_ == RequestState::kTunnel) {
      EndRequest(*stream);
      continue;
    }
    stream->record_.detail = "client_closed_mid_request";
    ResetReceiver(*stream, StreamEnd::kClientGone);
    BreakOff(*stream, StreamEnd::kClientGone);
  }
  goodbye_ = Goodbye::kFinal;  // there is nobody to answer a PING
  session_.Goaway(H2Error::kNoError);
  watch_.OnEof();
}

void H2ServerCodec::OnTransportError() {
  if (std::exchange(over_, true)) return;
  EndAll(StreamEnd::kClientGone, {});
}

// ---- requests

H2Stream* H2ServerCodec::OnBlockBegin(H2Stream* stream, H2Block) {
  if (over_) return nullptr;
  if (stream != nullptr) return stream;  // trailers
  H2ServerStream* const begun = pool_.Acquire().release();
  begun->Start(this, host_.loop().Now());
  streams_.PushBack(begun);
  begun->in_flight_ = true;
  ++in_flight_;
  block_open_ = true;
  host_.OnStreamBegin(begun->record_);
  watch_.Start();
  return begun;
}

void H2ServerCodec::OnField(H2Stream& base, std::string_view name, std::string_view value) {
  H2ServerStream& stream = Of(base);
  if (stream.request_state_ == RequestState::kHead) {
    AddH2RequestField(stream.request_, stream.block_, host_.options().limits, name, value);
    return;
  }
  // Trailers count with the head: together they are bounded.
  const HttpLimits& limits = host_.options().limits;
  stream.block_.bytes += static_cast<uint32_t>(name.size() + value.size());
  if (stream.block_.bytes > limits.header_bytes || ++stream.block_.count > limits.header_count) {
    return;
  }
  Arena& arena = stream.request_.arena;
  stream.trailers_.Add(arena.Copy(name), arena.Copy(value));
}

void H2ServerCodec::OnBlockEnd(H2Stream& base, bool end_stream) {
  H2ServerStream& stream = Of(base);
  if (stream.buried_) return;
  if (stream.request_state_ == RequestState::kHead) {
    block_open_ = false;
    DispatchRequest(stream, end_stream);
    return;
  }
  if (stream.request_state_ == RequestState::kEnded) return;
  if (stream.connects()) {
    // RFC 9113 8.5: nothing but DATA belongs there.
    RefuseMalformed(stream, "trailers_of_connect");
    return;
  }
  stream.request_state_ = RequestState::kEnded;
  FilterTrailers({}, stream.trailers_);
  if (stream.receiver_ != nullptr) stream.receiver_->OnRequestTrailers(stream.trailers_);
}

void H2ServerCodec::DispatchRequest(H2ServerStream& stream, bool end_stream) {
  const HttpOptions& options = host_.options();
  RequestHead& head = stream.request_;
  const auto error =
      FinishH2Request(head, stream.block_, options.limits, host_.downstream().tls, end_stream);
  stream.request_state_ = end_stream ? RequestState::kEnded : RequestState::kBody;
  stream.record_.waiting_for = end_stream ? "response" : "request body";
  if (IsGrpc(head)) stream.record_.protocol = Protocol::kGrpc;
  if (++requests_ == options.limits.requests_per_connection) BeginGoodbye();

  const uint64_t most = options.limits.body_bytes;
  if (error && error->status == 400) {
    RefuseMalformed(stream, error->detail);
  } else if (error) {
    Refuse(stream, error->status, error->detail, StreamEnd::kComplete);
  } else if (head.method == Method::kConnect && !options.allow_connect) {
    Refuse(stream, 405, "connect_not_allowed", StreamEnd::kComplete);
  } else if (most != 0 && head.content_length.value_or(0) > most) {
    Refuse(stream, 413, "body_too_large", StreamEnd::kComplete);
  } else {
    host_.OnRequest(stream, end_stream);
  }
}

// RFC 9113 8.1.1: malformed is a stream error, and nobody is asked to answer it.
void H2ServerCodec::RefuseMalformed(H2ServerStream& stream, std::string_view detail) {
  stream.record_.detail = detail;
  ResetReceiver(stream, StreamEnd::kClientGone);
  EndStream(stream, StreamEnd::kClientGone);
  session_.ResetStream(stream, H2Error::kProtocolError);
  Bury(stream);
}

void H2ServerCodec::OnStreamBody(H2Stream& base, std::string_view bytes, bool end_stream) {
  H2ServerStream& stream = Of(base);
  if (stream.buried_ || stream.request_state_ == RequestState::kEnded) return;
  stream.record_.bytes_in += bytes.size();
  const uint64_t most = host_.options().limits.body_bytes;
  if (most != 0 && stream.record_.bytes_in > most && !stream.tunnel_) {
    if (stream.in_flight_) Refuse(stream, 413, "body_too_large", StreamEnd::kComplete);
    return;
  }
  if (!bytes.empty() && stream.receiver_ != nullptr) {
    stream.receiver_->OnRequestBody(bytes, false);
  }
  if (end_stream && !stream.buried_) EndRequest(stream);
}

void H2ServerCodec::EndRequest(H2ServerStream& stream) {
  stream.request_state_ = RequestState::kEnded;
  RequestReceiver* const receiver = stream.receiver_;
  if (stream.response_state_ == ResponseState::kNone) {
    stream.record_.waiting_for = "response";
  } else if (stream.tunnel_ && stream.response_state_ == ResponseState::kEnded) {
    stream.receiver_ = nullptr;  // with both directions ended the handler is done
  }
  if (receiver != nullptr) receiver->OnRequestBody({}, true);
  if (stream.tunnel_ && stream.out() == H2Stream::Out::kLeft) OnStreamLeft(stream);
}

// ---- responses

void H2ServerCodec::WriteHead(H2ServerStream& stream, const ResponseHead& head,
                              std::optional<uint64_t> content_length, bool end_stream) {
  WriteH2ResponseHead(host_.loop(), head, content_length, fields_);
  if (head.informational()) {
    session_.SendInterim(stream, fields_);
  } else {
    session_.SendResponse(stream, fields_, end_stream);
  }
}

void H2ServerCodec::WriteTrailers(H2ServerStream& stream, const HeaderList& trailers) {
  WriteH2Trailers(host_.loop(), trailers, fields_);
  session_.SendTrailers(stream, fields_);
}

void H2ServerCodec::OnStreamWritable(H2Stream& base) {
  if (RequestReceiver* const receiver = Of(base).receiver_) receiver->OnResponseWritable();
}

void H2ServerCodec::OnStreamLeft(H2Stream& base) {
  H2ServerStream& stream = Of(base);
  const bool request_over = stream.request_state_ == RequestState::kEnded;
  if (stream.tunnel_ && !request_over) return;
  EndStream(stream, StreamEnd::kComplete);
  // RFC 9113 8.1: the rest of a request whose response is complete is not needed.
  if (!stream.in_ended()) session_.ResetStream(stream, H2Error::kNoError);
  Bury(stream);
}

void H2ServerCodec::Refuse(H2ServerStream& stream, int status, std::string_view detail,
                           StreamEnd why) {
  stream.record_.detail = detail;
  ResetReceiver(stream, why == StreamEnd::kComplete ? StreamEnd::kClientGone : why);
  if (stream.response_state_ != ResponseState::kNone) {
    BreakOff(stream, why, GrpcStatusFor(status), detail);
    return;
  }
  const std::string_view waited_for = stream.record_.waiting_for;
  ResponseHead head;
  const std::string_view text = MakeRefusal(stream, host_.loop(), status, detail, head);
  const bool head_only = text.empty() || stream.request_.method == Method::kHead;
  stream.SendHead(head, head_only);
  if (!head_only) stream.SendBody(text, true);
  stream.record_.waiting_for = waited_for;  // the account is of the request, not of the refusal
  EndStream(stream, why);
}

void H2ServerCodec::BreakOff(H2ServerStream& stream, StreamEnd why, GrpcStatus status,
                             std::string_view message) {
  if (!stream.takes_grpc_status()) {
    BreakOff(stream, why);
    return;
  }
  const std::string_view waited_for = stream.record_.waiting_for;
  EndWithGrpcStatus(stream, status, message);
  stream.record_.waiting_for = waited_for;
  EndStream(stream, why);
}

void H2ServerCodec::BreakOff(H2ServerStream& stream, StreamEnd why) {
  EndStream(stream, why);
  session_.ResetStream(stream, H2Error::kInternalError);
  Bury(stream);
}

// ---- ends

void H2ServerCodec::OnStreamReset(H2Stream& base, H2Error, bool by_peer) {
  H2ServerStream& stream = Of(base);
  if (stream.request_state_ == RequestState::kHead) block_open_ = false;
  stream.record_.detail = by_peer ? "client_reset" : "http2_stream_error";
  ResetReceiver(stream, StreamEnd::kClientGone);
  EndStream(stream, StreamEnd::kClientGone);
  Bury(stream);
}

void H2ServerCodec::OnSessionOver() {
  over_ = true;
  EndAll(StreamEnd::kClientGone, "http2_connection_error");
  host_.Finish();
}

std::vector<H2ServerStream*> H2ServerCodec::Open() {
  std::vector<H2ServerStream*> open;
  streams_.ForEach([&](H2ServerStream& stream) { open.push_back(&stream); });
  return open;
}

void H2ServerCodec::EndAll(StreamEnd why, std::string_view detail) {
  goodbye_timer_.Stop();
  watch_.Stop();
  for (H2ServerStream* stream : Open()) {
    if (stream->buried_) continue;
    if (stream->record_.detail.empty()) stream->record_.detail = detail;
    ResetReceiver(*stream, why);
    EndStream(*stream, why);
    Bury(*stream);
  }
}

void H2ServerCodec::EndStream(H2ServerStream& stream, StreamEnd why) {
  stream.receiver_ = nullptr;
  if (!std::exchange(stream.in_flight_, false)) return;
  if (--in_flight_ == 0)
    expecting_ = Expecting::kNothing;  // idle from now on, if it was before too
  stream.record_.end = why;
  host_.OnStreamEnd(stream.request_, stream.record_);
  UpdateExpectation();
}

void H2ServerCodec::ResetReceiver(H2ServerStream& stream, StreamEnd why) {
  RequestReceiver* const receiver = std::exchange(stream.receiver_, nullptr);
  if (receiver != nullptr) receiver->OnReset(why);
}

// A stream may end inside of its own event, so it is recycled when the dispatch is over.
void H2ServerCodec::Bury(H2ServerStream& stream) {
  if (std::exchange(stream.buried_, true)) return;
  session_.Forget(stream);
  stream.ListHook<H2StreamTag>::Unlink();
  buried_.push_back(&stream);
  host_.loop().FlushLater(*this);
}

void H2ServerCodec::Flush() {
  for (H2ServerStream* stream : buried_) {
    stream->Recycle();
    pool_.Release(std::unique_ptr<H2ServerStream>(stream));
  }
  buried_.clear();
}

// ---- goodbyes

bool H2ServerCodec::BeginDrain() {
  if (!over_) BeginGoodbye();
  return true;
}

void H2ServerCodec::AdviseClose() {
  if (goodbye_ == Goodbye::kNone && host_.ShouldAdviseClose()) BeginGoodbye();
}

void H2ServerCodec::BeginGoodbye() {
  if (goodbye_ != Goodbye::kNone) return;
  goodbye_ = Goodbye::kNoticed;
  session_.Notice();
  goodbye_timer_.Set(host_.loop().Now() + host_.options().timeouts.linger);
}

void H2ServerCodec::OnNoticeAcknowledged() {
  if (goodbye_ == Goodbye::kNoticed) FinishGoodbye();
}

void H2ServerCodec::FinishGoodbye() {
  if (goodbye_ == Goodbye::kFinal) {
    // The last GOAWAY cannot leave, because the client takes nothing, and nothing else is owed.
    if (streams_.empty()) host_.Drop(true);
    return;
  }
  goodbye_ = Goodbye::kFinal;
  session_.Goaway(H2Error::kNoError);
  goodbye_timer_.Set(host_.loop().Now() + host_.options().timeouts.write);
}

void H2ServerCodec::Cut() {
  if (over_) return;
  const bool again = std::exchange(cut_, true);
  goodbye_ = Goodbye::kFinal;
  session_.Goaway(H2Error::kNoError);
  for (H2ServerStream* stream : Open()) {
    if (!stream->buried_) CutStream(*stream, again);
  }
  if (!again) return;
  over_ = true;
  watch_.Stop();
  host_.Drop(true);
}

bool H2ServerCodec::CutStreams(const StreamFilter& concerns, bool again) {
  for (H2ServerStream* stream : Open()) {
    const bool there = stream->in_flight_ && !stream->buried_;
    if (there && concerns(stream->record_, host_.downstream())) CutStream(*stream, again);
  }
  return true;
}

void H2ServerCodec::CutStream(H2ServerStream& stream, bool again) {
  if (stream.receiver_ != nullptr) stream.receiver_->OnCut();
  if (!stream.in_flight_ || stream.buried_) return;
  const bool handed_over = stream.response_state_ == ResponseState::kEnded;
  // All of it is on its way. It has the host's last bounded wait to leave; only then is it cut.
  if (handed_over && !again) return;
  if (stream.response_state_ == ResponseState::kNone) {
    Refuse(stream, 503, "drain_deadline", StreamEnd::kCut);
    return;
  }
  stream.record_.detail = "drain_deadline";
  ResetReceiver(stream, StreamEnd::kCut);
  if (again) {
    BreakOff(stream, StreamEnd::kCut);
  } else {
    BreakOff(stream, StreamEnd::kCut, GrpcStatus::kUnavailable, "draining");
  }
}

void H2ServerCodec::OnFlood(H2Flood flood) { host_.OnFlood(H2FloodName(flood)); }

void H2ServerCodec::OnGoawaySent(int32_t last_stream_id, H2Error error) {
  if (error != H2Error::kNoError) {
    host_.OnGoawaySent("error");
  } else {
    host_.OnGoawaySent(last_stream_id == kRefusesNothing ? "notice" : "final");
  }
}

// ---- what the connection waits for

void H2ServerCodec::OnTimeout(Expecting expecting) {
  if (over_) return;
  switch (expecting) {
    case Expecting::kFirstRequest:
    case Expecting::kNextRequest:
      BeginGoodbye();
      break;
    case Expecting::kRequestHead:
      // Nothing else can come on this connection before that block is whole.
      EndAll(StreamEnd::kClientTimeout, "header_timeout");
      session_.Goaway(H2Error::kEnhanceYourCalm);
      break;
    case Expecting::kHandshake:
    case Expecting::kNothing:
    case Expecting::kRequestBody:
    case Expecting::kResponseTaken:
      break;
  }
}

void H2ServerCodec::UpdateExpectation() {
  if (over_) return;
  Expecting expecting = Expecting::kNothing;
  if (block_open_) {
    expecting = Expecting::kRequestHead;
  } else if (in_flight_ == 0) {
    expecting = requests_ == 0 ? Expecting::kFirstRequest : Expecting::kNextRequest;
  }
  // Only a change is progress: a PING does not keep an idle connection open.
  if (std::exchange(expecting_, expecting) != expecting) host_.OnProgress(expecting);
}

void H2ServerCodec::ForEachStream(const std::function<void(const RequestRecord&)>& visit) const {
  for (H2ServerStream* stream : const_cast<H2ServerCodec*>(this)->Open()) {
    if (stream->in_flight_) visit(stream->record_);
  }
}

// What a stream's time runs against: its client owes it body bytes, or takes none.
H2StallWatch::Wait H2ServerCodec::WaitOf(const H2ServerStream& stream) {
  if (stream.queued_bytes() > 0) return H2StallWatch::Wait::kTakeBytes;
  const bool half_closed = stream.request_state_ == RequestState::kTunnel &&
                           stream.response_state_ == ResponseState::kEnded;
  // A gRPC client with nothing to say owes nothing (docs/decisions/0007-grpc.md).
  const bool owes = stream.request_state_ == RequestState::kBody && !stream.request_paused_ &&
                    stream.record_.protocol != Protocol::kGrpc;
  return owes || half_closed ? H2StallWatch::Wait::kSendBody : H2StallWatch::Wait::kNothing;
}

void H2ServerCodec::LookAtStreams() {
  for (H2ServerStream* stream : Open()) {
    if (stream->buried_) continue;
    const auto stall = watch_.StallOf(WaitOf(*stream), stream->moved_at());
    if (stall) OnStalled(*stream, *stall);
  }
}

void H2ServerCodec::OnStalled(H2ServerStream& stream, H2StallWatch::Stall stall) {
  switch (stall) {
    case H2StallWatch::Stall::kNoBody:
      Refuse(stream, 408, "body_timeout", StreamEnd::kClientTimeout);
      break;
    case H2StallWatch::Stall::kNotTaken:
      stream.record_.detail = "write_timeout";
      ResetReceiver(stream, StreamEnd::kClientTimeout);
      BreakOff(stream, StreamEnd::kClientTimeout);
      break;
    case H2StallWatch::Stall::kNeverTaken:
      stream.record_.detail = "client_closed_mid_response";
      ResetReceiver(stream, StreamEnd::kClientGone);
      BreakOff(stream, StreamEnd::kClientGone);
      break;
  }
}

void H2ServerCodec::OnTransportStalled() {
  over_ = true;
  EndAll(StreamEnd::kClientTimeout, "write_timeout");
  host_.Drop(true);
}

}  // namespace sluice
