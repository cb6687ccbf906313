#include "http/h1_client_connection.h"

#include <array>
#include <cstring>
#include <utility>

#include "http/h1_writer.h"
#include "http/websocket_handshake.h"

namespace sluice {

H1ClientConnection::H1ClientConnection(Loop& loop, std::unique_ptr<Transport> transport,
                                       ClientConnectionOwner& owner, const HttpLimits& limits)
    : loop_(loop), transport_(std::move(transport)), owner_(owner), parser_(*this, limits) {
  transport_->SetEvents(this);
}

H1ClientConnection::~H1ClientConnection() = default;

// ---- the request ----

ClientStream& H1ClientConnection::StartRequest(const RequestHead& head, bool end_stream,
                                               ResponseReceiver& receiver) {
  receiver_ = &receiver;
  request_ = &head;
  state_ = State::kBusy;
  request_ended_ = response_begun_ = response_ended_ = false;
  BeginResponse();

  H1BodyFields body;
  if (!end_stream) {
    body.content_length = head.content_length;
    body.chunked = !head.content_length.has_value();
  } else if (head.content_length || head.method == Method::kPost || head.method == Method::kPut ||
             head.method == Method::kPatch) {
    // RFC 9110 8.6: a method that usually has a body says so when it has none.
    body.content_length = 0;
  }
  request_chunked_ = body.chunked;
  if (head.version.major == 2 && OffersWebSocket(head)) MakeWebSocketKey();
  transport_->Write(WriteH1RequestHead(loop_, head, body, websocket_key_));
  if (end_stream) EndRequest();
  return *this;
}

// RFC 8441 5: HTTP/2 has no key, and HTTP/1.1 asks for one (RFC 6455 4.1), which keeps apart who
// speaks WebSocket and who was tricked into an answer. It is no secret.
void H1ClientConnection::MakeWebSocketKey() {
  const std::array<uint64_t, 2> random = {loop_.random().Next(), loop_.random().Next()};
  std::array<uint8_t, 16> bytes;
  static_assert(sizeof(bytes) == sizeof(random));
  std::memcpy(bytes.data(), random.data(), sizeof(bytes));
  Arena arena;
  websocket_key_ = WebSocketKey(bytes, arena);
}

void H1ClientConnection::SendBody(std::string_view bytes, bool end_stream) {
  if (state_ == State::kTunnel) {
    transport_->Write(bytes);
    if (end_stream) EndRequest();
    return;
  }
  if (state_ != State::kBusy || request_ended_) return;
  if (!bytes.empty()) {
    if (request_chunked_) transport_->Write(WriteH1ChunkSize(loop_, bytes.size()));
    transport_->Write(bytes);
    if (request_chunked_) transport_->Write(kH1ChunkEnd);
  }
  if (end_stream) {
    if (request_chunked_) transport_->Write(kH1LastChunk);
    EndRequest();
  }
}

void H1ClientConnection::SendTrailers(const HeaderList& trailers) {
  if (state_ != State::kBusy || request_ended_) return;
  if (request_chunked_) transport_->Write(WriteH1Trailers(loop_, trailers));
  EndRequest();
}

void H1ClientConnection::EndRequest() {
  request_ended_ = true;
  if (state_ != State::kTunnel) return;
  transport_->ShutdownWrite();
  if (response_ended_) OnExchangeOver();
}

void H1ClientConnection::PauseResponse() { transport_->PauseReading(); }

void H1ClientConnection::ResumeResponse() { transport_->ResumeReading(); }

// ---- between processes ----

ClientStream& H1ClientConnection::AdoptTunnel(ResponseReceiver& receiver, std::string_view unsent) {
  receiver_ = &receiver;
  state_ = State::kTunnel;
  persists_ = false;
  response_begun_ = true;
  transport_->PauseReading();
  if (!unsent.empty()) {
    char* const bytes = loop_.Scratch(unsent.size());
    std::memcpy(bytes, unsent.data(), unsent.size());
    transport_->Write({bytes, unsent.size()});
  }
  return *this;
}

std::optional<FrozenTransport> H1ClientConnection::Freeze() {
  if (state_ != State::kTunnel || request_ended_ || response_ended_) return std::nullopt;
  return transport_->Freeze();
}

// Whether it has to be held back is seen when something comes.
void H1ClientConnection::Thaw() {
  transport_->Thaw();
  transport_->ResumeReading();
}

void H1ClientConnection::Cancel() {
  receiver_ = nullptr;
  Close();
}

void H1ClientConnection::Leave() {
  receiver_ = nullptr;
  OnExchangeOver();
}

// ---- the response ----

void H1ClientConnection::BeginResponse() {
  parser_.BeginResponse(head_, request_->method == Method::kHead,
                        request_->method == Method::kConnect);
}

void H1ClientConnection::OnData(std::string_view bytes) {
  switch (state_) {
    case State::kIdle:
      Close();  // a response nobody asked for
      return;
    case State::kTunnel:
      receiver_->OnResponseBody(bytes, false);
      return;
    case State::kClosed:
      return;
    case State::kBusy:
      break;
  }
  response_begun_ = true;
  while (!bytes.empty() && state_ == State::kBusy && !response_ended_) {
    bytes.remove_prefix(parser_.Execute(bytes));
    if (state_ != State::kBusy) return;
    if (parser_.error()) {
      Fail(UpstreamFailure::Kind::kProtocol, parser_.error()->detail);
      return;
    }
    if (head_ready_) DispatchHead();
  }
  if (state_ == State::kTunnel && !bytes.empty()) {
    receiver_->OnResponseBody(bytes, false);
  } else if (state_ == State::kBusy && response_ended_) {
    // Bytes after a response that nothing has asked for: whatever they are, the connection cannot
    // be trusted with another request.
    if (!bytes.empty()) persists_ = false;
    OnExchangeOver();
  }
}

void H1ClientConnection::OnHead(H1Framing framing, bool keep_alive) {
  response_framing_ = framing;
  if (!keep_alive) persists_ = false;
  head_ready_ = true;
  parser_.Stop();  // the receiver runs outside of the parser
}

void H1ClientConnection::DispatchHead() {
  head_ready_ = false;
  if (head_.informational()) {
    receiver_->OnInformational(head_);
    if (state_ == State::kBusy) BeginResponse();
    return;
  }
  const bool switches =
      head_.status == 101 || (request_->method == Method::kConnect && head_.status / 100 == 2);
  if (switches) {
    // RFC 9110 7.8: a server switches only to what was offered.
    if (head_.status == 101 && request_->upgrade.empty()) {
      Fail(UpstreamFailure::Kind::kProtocol, "upgrade_not_asked_for");
      return;
    }
    if (!websocket_key_.empty()) {
      // RFC 6455 4.1: for the client, which cannot look itself.
      if (!AcceptsWebSocket(head_, websocket_key_)) {
        Fail(UpstreamFailure::Kind::kProtocol, "websocket_accept_mismatch");
        return;
      }
      head_.headers.Remove(kSecWebSocketAccept);
    }
    EnterTunnel();
    return;
  }
  const bool end_stream = response_framing_ == H1Framing::kNone;
  response_ended_ = end_stream;
  receiver_->OnResponseHead(head_, end_stream);
}

void H1ClientConnection::EnterTunnel() {
  state_ = State::kTunnel;
  persists_ = false;
  request_ended_ = false;
  receiver_->OnResponseHead(head_, false);
}

void H1ClientConnection::OnBody(std::string_view bytes) {
  if (receiver_ != nullptr) receiver_->OnResponseBody(bytes, false);
  if (state_ != State::kBusy) parser_.Stop();
}

void H1ClientConnection::OnTrailers(const HeaderList& trailers) {
  if (receiver_ == nullptr) return;
  response_ended_ = true;
  receiver_->OnResponseTrailers(trailers);
}

void H1ClientConnection::OnMessageEnd() {
  if (std::exchange(response_ended_, true)) return;
  if (receiver_ != nullptr) receiver_->OnResponseBody({}, true);
}

void H1ClientConnection::OnExchangeOver() {
  receiver_ = nullptr;
  request_ = nullptr;
  websocket_key_.clear();
  if (state_ == State::kClosed) return;
  // An upstream that answers before it has the whole request will not read the rest as we mean it.
  if (!persists_ || !request_ended_ || state_ == State::kTunnel) {
    // The last bytes of a tunnel may be no older than this dispatch.
    transport_->FlushNow();
    Close();
    return;
  }
  state_ = State::kIdle;
  transport_->ResumeReading();
  owner_.OnConnectionAvailable(*this);
}

// ---- ends ----

void H1ClientConnection::OnEof() {
  switch (state_) {
    case State::kIdle:
      Close();
      break;
    case State::kTunnel:
      response_ended_ = true;
      receiver_->OnResponseBody({}, true);
      if (request_ended_ && state_ == State::kTunnel) OnExchangeOver();
      break;
    case State::kBusy:
      persists_ = false;
      if (parser_.FinishAtEof() && response_ended_) {
        OnExchangeOver();
      } else if (state_ == State::kBusy) {
        Fail(UpstreamFailure::Kind::kReset,
             response_begun_ ? "upstream_closed_mid_response" : "upstream_closed_before_response");
      }
      break;
    case State::kClosed:
      break;
  }
}

void H1ClientConnection::OnWritable() {
  if (receiver_ != nullptr) receiver_->OnRequestWritable();
}

void H1ClientConnection::OnError(int) {
  if (state_ == State::kBusy || state_ == State::kTunnel) {
    Fail(UpstreamFailure::Kind::kReset,
         response_begun_ ? "upstream_reset_mid_response" : "upstream_reset_before_response");
  } else {
    Close();
  }
}

void H1ClientConnection::Fail(UpstreamFailure::Kind kind, std::string_view detail) {
  ResponseReceiver* receiver = std::exchange(receiver_, nullptr);
  Close();
  if (receiver != nullptr) receiver->OnUpstreamFailure({kind, detail, response_begun_});
}

void H1ClientConnection::Close() {
  if (std::exchange(state_, State::kClosed) == State::kClosed) return;
  transport_->Close();
  ResponseReceiver* receiver = std::exchange(receiver_, nullptr);
  owner_.OnConnectionClosed(*this);
  if (receiver != nullptr) {
    receiver->OnUpstreamFailure(
        {UpstreamFailure::Kind::kReset, "connection_closed_by_proxy", response_begun_});
  }
}

bool H1ClientConnection::StillOpen() { return !transport_->HasUnreadInput(); }

}  // namespace sluice
