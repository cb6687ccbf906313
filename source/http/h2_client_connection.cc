#include "http/h2_client_connection.h"

#include <algorithm>
#include <utility>

#include "http/h1_fields.h"
#include "http/h2_client_head.h"
#include "http/h2_head.h"

namespace sluice {
namespace {

// Ids are odd and end at 2^31-1 (RFC 9113 5.1.1).
constexpr uint32_t kMaxStreamsEver = (uint32_t{1} << 30) - 1;

constexpr uint32_t kFieldOverhead = 32;  // RFC 9113 6.5.2

}  // namespace

H2ClientConnection::H2ClientConnection(Loop& loop, std::unique_ptr<Transport> transport,
                                       ClientConnectionOwner& owner, H2ClientContext& context)
    : loop_(loop),
      transport_(std::move(transport)),
      owner_(owner),
      context_(context),
      session_(H2Role::kClient, loop, *transport_, context.options, context.limits,
               static_cast<H2SessionEvents&>(*this)),
      scheme_(transport_->tls() != nullptr ? "https" : "http") {
  // Requests go out before the upstream's SETTINGS have come; the session knows how many may.
  limit_ = std::min(context_.streams_per_connection, session_.PeerMaxStreams());
  transport_->SetEvents(this);
}

H2ClientConnection::~H2ClientConnection() {
  exchanges_.ForEach([](H2ClientStream& stream) { delete &stream; });
}

// ---- the request

ClientStream& H2ClientConnection::StartRequest(const RequestHead& head, bool end_stream,
                                               ResponseReceiver& receiver) {
  H2ClientStream& stream = *context_.streams.Acquire().release();
  stream.Start(*this, head, receiver);
  exchanges_.PushBack(&stream);
  ++active_;
  WriteH2RequestHead(loop_, head, scheme_, fields_);
  // A tunnel's first frame does not end it, whatever the client's side could say by then.
  const bool ends = end_stream && !stream.to_connect_;
  if (stream.to_websocket_ && !session_.PeerTakesExtendedConnect()) {
    Postpone(stream);
  } else {
    // Refused only where the session is about to be over, which then ends this exchange too.
    session_.SendRequest(stream, fields_, ends);
  }
  if (++started_ == kMaxStreamsEver) Drain();
  return stream;
}

// RFC 8441 3: it must not be sent before the upstream has said that it takes such requests. Who
// starts the request hears of a failure later.
void H2ClientConnection::Postpone(H2ClientStream& stream) {
  Arena& arena = stream.head_.arena;
  for (const H2Field& field : fields_) {
    stream.unsent_.push_back({arena.Copy(field.name), arena.Copy(field.value), field.comes_once});
  }
  postponed_.push_back(&stream);
  if (settings_known_) loop_.FlushLater(*this);
}

void H2ClientConnection::SendPostponed() {
  if (!settings_known_) return;
  while (!postponed_.empty()) {
    H2ClientStream& stream = *postponed_.front();
    if (session_.PeerTakesExtendedConnect()) {
      session_.SendRequest(stream, Unpostpone(stream), false);
    } else {
      Fail(stream, UpstreamFailure::Kind::kProtocol, "upstream_without_websocket");
    }
  }
}

std::vector<H2Field> H2ClientConnection::Unpostpone(H2ClientStream& stream) {
  std::erase(postponed_, &stream);
  return std::exchange(stream.unsent_, {});
}

void H2ClientConnection::EndRequest(H2ClientStream& stream, std::string_view bytes) {
  stream.request_ended_ = true;
  session_.SendBody(stream, bytes, true);
  // The other direction of a tunnel has ended before; see OnStreamLeft.
  if (stream.response_ == Response::kEnded) stream.receiver_ = nullptr;
}

void H2ClientConnection::SendTrailers(H2ClientStream& stream, const HeaderList& trailers) {
  stream.request_ended_ = true;
  WriteH2Trailers(loop_, trailers, fields_);
  session_.SendTrailers(stream, fields_);
}

void H2ClientConnection::Cancel(H2ClientStream& stream) {
  if (stream.unsent_.empty()) session_.ResetStream(stream, H2Error::kCancel);
  Part(stream);
  TellAvailable();
}

void H2ClientConnection::Leave(H2ClientStream& stream) {
  stream.receiver_ = nullptr;
  if (!stream.request_ended_) EndRequest(stream, {});
  if (stream.out() == H2Stream::Out::kLeft) OnStreamLeft(stream);
}

// ---- the response

void H2ClientConnection::OnData(std::string_view bytes) { session_.Receive(bytes); }

H2Stream* H2ClientConnection::OnBlockBegin(H2Stream* stream, H2Block) {
  Of(*stream).BeginBlock();
  return stream;
}

void H2ClientConnection::OnField(H2Stream& h2_stream, std::string_view name,
                                 std::string_view value) {
  H2ClientStream& stream = Of(h2_stream);
  stream.block_bytes_ += static_cast<uint32_t>(name.size() + value.size()) + kFieldOverhead;
  ++stream.block_fields_;
  if (stream.TooLarge(context_.limits)) return;
  if (stream.response_ == Response::kBegun) {
    AddH2ResponseField(stream.head_, name, value);
  } else {
    Arena& arena = stream.head_.arena;
    stream.trailers_.Add(arena.Copy(name), arena.Copy(value));
  }
}

void H2ClientConnection::OnBlockEnd(H2Stream& h2_stream, bool end_stream) {
  H2ClientStream& stream = Of(h2_stream);
  if (stream.TooLarge(context_.limits)) {
    session_.ResetStream(stream, H2Error::kCancel);
    Fail(stream, UpstreamFailure::Kind::kProtocol, "header_bytes");
  } else if (stream.response_ == Response::kBegun) {
    DeliverHead(stream, end_stream);
  } else if (stream.response_ == Response::kTunnel) {
    OnStreamBody(stream, {}, true);  // trailers mean nothing there, but the end does
  } else {
    FilterTrailers({}, stream.trailers_);
    ResponseReceiver& receiver = *stream.receiver_;
    EndResponse(stream);
    receiver.OnResponseTrailers(stream.trailers_);
    TellAvailable();
  }
}

void H2ClientConnection::DeliverHead(H2ClientStream& stream, bool end_stream) {
  ResponseHead& head = stream.head_;
  ResponseReceiver& receiver = *stream.receiver_;
  head.version = {2, 0};
  if (head.informational()) {
    receiver.OnInformational(head);
  } else if (stream.to_connect_ && head.status / 100 == 2) {
    stream.response_ = Response::kTunnel;
    if (stream.to_websocket_) MakeH2Upgrade(head);
    receiver.OnResponseHead(head, false);
    // The receiver may have given the stream up.
    if (end_stream && stream.receiver_ != nullptr) OnStreamBody(stream, {}, true);
  } else if (end_stream) {
    EndResponse(stream);
    receiver.OnResponseHead(head, true);
    TellAvailable();
  } else {
    stream.response_ = Response::kBody;
    receiver.OnResponseHead(head, false);
  }
}

void H2ClientConnection::OnStreamBody(H2Stream& h2_stream, std::string_view bytes,
                                      bool end_stream) {
  H2ClientStream& stream = Of(h2_stream);
  ResponseReceiver* const receiver = stream.receiver_;  // null: it has left
  if (end_stream) EndResponse(stream);
  if (receiver != nullptr) receiver->OnResponseBody(bytes, end_stream);
  if (end_stream) TellAvailable();
}

// The response is complete, and with it the exchange; that of a tunnel waits for its other end.
void H2ClientConnection::EndResponse(H2ClientStream& stream) {
  const bool tunnel = stream.response_ == Response::kTunnel;
  stream.response_ = Response::kEnded;
  if (tunnel && !stream.request_sent()) {
    if (stream.request_ended_) stream.receiver_ = nullptr;
    return;
  }
  // An upstream that answers before it has the whole request does not want the rest.
  if (!stream.request_sent()) session_.ResetStream(stream, H2Error::kNoError);
  Part(stream);
}

// Nobody waits for a tunnel any more whose ends have both been said, or that its receiver has left,
// but what was sent on it had to go first.
void H2ClientConnection::OnStreamLeft(H2Stream& h2_stream) {
  H2ClientStream& stream = Of(h2_stream);
  if (stream.response_ != Response::kEnded) {
    if (stream.receiver_ != nullptr) return;
    session_.ResetStream(stream, H2Error::kCancel);
  }
  Part(stream);
  TellAvailable();
}

void H2ClientConnection::OnStreamWritable(H2Stream& stream) {
  if (ResponseReceiver* receiver = Of(stream).receiver_) receiver->OnRequestWritable();
}

void H2ClientConnection::OnWritable() { session_.OnTransportWritable(); }

// ---- ends of one exchange

void H2ClientConnection::OnStreamReset(H2Stream& h2_stream, H2Error error, bool by_peer) {
  H2ClientStream& stream = Of(h2_stream);
  using Kind = UpstreamFailure::Kind;
  // By RST_STREAM, or by a GOAWAY below it.
  if (error == H2Error::kRefusedStream && !stream.begun()) {
    Fail(stream, Kind::kRefused, "upstream_refused");
  } else if (!by_peer && error != H2Error::kRefusedStream) {
    Fail(stream, Kind::kProtocol, "upstream_broke_http2_rule");
  } else {
    Fail(stream, Kind::kStreamReset, "upstream_reset_stream");
  }
}

void H2ClientConnection::Fail(H2ClientStream& stream, UpstreamFailure::Kind kind,
                              std::string_view detail) {
  if (ResponseReceiver* receiver = Part(stream)) {
    receiver->OnUpstreamFailure({kind, detail, stream.begun()});
  }
  TellAvailable();
}

ResponseReceiver* H2ClientConnection::Part(H2ClientStream& stream) {
  session_.Forget(stream);
  stream.ListHook<H2ExchangeTag>::Unlink();
  --active_;
  parted_.emplace_back(&stream);
  if (!stream.unsent_.empty()) Unpostpone(stream);
  loop_.FlushLater(*this);
  return std::exchange(stream.receiver_, nullptr);
}

void H2ClientConnection::TellAvailable() {
  if (state_ != State::kClosed) owner_.OnConnectionAvailable(*this);
}

// Not sooner: somebody up the stack may still look at such a stream, or at the head in it.
void H2ClientConnection::Flush() {
  if (state_ == State::kClosed) return;  // they die with the connection
  SendPostponed();
  for (std::unique_ptr<H2ClientStream>& stream : parted_) {
    stream->Recycle();
    context_.streams.Release(std::move(stream));
  }
  parted_.clear();
}

// ---- the connection

void H2ClientConnection::OnPeerSettings() {
  if (state_ == State::kClosed) return;
  limit_ = std::min(context_.options.max_concurrent_streams, session_.PeerMaxStreams());
  context_.streams_per_connection = std::max(limit_, 1U);
  settings_known_ = true;
  SendPostponed();
  if (room() > 0) owner_.OnConnectionAvailable(*this);
}

void H2ClientConnection::OnGoaway(int32_t, H2Error error) {
  Drain();
  if (error == H2Error::kNoError) owner_.OnGoaway(*this);
}

void H2ClientConnection::OnFlood(H2Flood) { Drain(); }

void H2ClientConnection::Drain() {
  if (state_ != State::kOpen) return;
  state_ = State::kDraining;
  owner_.OnConnectionDraining(*this);
}

void H2ClientConnection::OnSessionOver() {
  EndAll(UpstreamFailure::Kind::kProtocol,
         {"upstream_broke_http2_connection", "upstream_broke_http2_connection"});
}

void H2ClientConnection::OnEof() {
  EndAll(UpstreamFailure::Kind::kReset,
         {"upstream_closed_before_response", "upstream_closed_mid_response"});
}

void H2ClientConnection::OnError(int) {
  EndAll(UpstreamFailure::Kind::kReset,
         {"upstream_reset_before_response", "upstream_reset_mid_response"});
}

void H2ClientConnection::Close() {
  EndAll(UpstreamFailure::Kind::kReset,
         {"connection_closed_by_proxy", "connection_closed_by_proxy"});
}

void H2ClientConnection::EndAll(UpstreamFailure::Kind kind, const Details& details) {
  if (std::exchange(state_, State::kClosed) == State::kClosed) return;
  transport_->Close();
  owner_.OnConnectionClosed(*this);
  while (!exchanges_.empty()) {
    H2ClientStream& stream = *exchanges_.front();
    ResponseReceiver* const receiver = Part(stream);
    if (receiver == nullptr) continue;
    if (stream.id() == 0) {  // it was never sent
      receiver->OnUpstreamFailure({UpstreamFailure::Kind::kRefused, "upstream_refused", false});
    } else {
      receiver->OnUpstreamFailure(
          {kind, stream.begun() ? details.mid_response : details.before_response, stream.begun()});
    }
  }
}

}  // namespace sluice
