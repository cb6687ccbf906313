#include "http/h2_server_stream.h"

#include <algorithm>

#include "http/h2_server_codec.h"

namespace sluice {

void H2ServerStream::Start(H2ServerCodec* codec, TimePoint now) {
  codec_ = codec;
  record_.started = now;
  record_.protocol = Protocol::kHttp2;
}

void H2ServerStream::Recycle() {
  RecycleStream();
  request_.Reset();
  trailers_.Clear();
  record_ = {};
  block_ = {};
  grpc_ = {};
  codec_ = nullptr;
  receiver_ = nullptr;
  response_left_ = 0;
  request_state_ = RequestState::kHead;
  response_state_ = ResponseState::kNone;
  response_has_length_ = response_has_body_ = request_paused_ = tunnel_ = in_flight_ = false;
  buried_ = false;
}

const DownstreamInfo& H2ServerStream::downstream() const { return codec_->host_.downstream(); }

void H2ServerStream::SendInformational(const ResponseHead& head) {
  // RFC 9113 8.6: 101 does not exist here, but as the final head of what opens a WebSocket.
  if (response_state_ != ResponseState::kNone || head.status == 101) return;
  codec_->WriteHead(*this, head, std::nullopt, false);
}

// RFC 9110 6.4.1.
bool H2ServerStream::HasBody(int status) const {
  return request_.method != Method::kHead && status != 204 && status != 304;
}

void H2ServerStream::SendHead(const ResponseHead& head, bool end_stream) {
  if (response_state_ != ResponseState::kNone) return;
  if (opens_websocket() && head.status / 100 == 2) {
    SendUnswitched(head, end_stream);
    return;
  }
  response_state_ = ResponseState::kBody;
  record_.status = head.status == 101 ? 200 : head.status;  // RFC 8441 5
  record_.waiting_for = "response body";
  tunnel_ = connects() && record_.status / 100 == 2;
  response_has_body_ = tunnel_ || HasBody(head.status);
  std::optional<uint64_t> length;
  if (tunnel_) {
    request_state_ = RequestState::kTunnel;
    record_.protocol = opens_websocket() ? Protocol::kWebSocket : Protocol::kTunnel;
    record_.waiting_for = "either end of the tunnel";
  } else if (head.status != 204) {  // RFC 9110 8.6
    length = head.content_length;
    if (end_stream && response_has_body_ && length) length = 0;
    response_has_length_ = response_has_body_ && length.has_value();
    response_left_ = length.value_or(0);
  }
  if (record_.protocol == Protocol::kGrpc) grpc_.OnHead(head);
  codec_->AdviseClose();
  const bool ends = !tunnel_ && (end_stream || !response_has_body_);
  codec_->WriteHead(*this, head, length, ends);
  if (ends) response_state_ = ResponseState::kEnded;
  if (end_stream && !tunnel_) EndResponse();
}

// An ordinary response that is a success, which over HTTP/1.1 says that the upgrade was ignored.
// Here a 2xx would accept the WebSocket (RFC 8441 5), and the body would be read as frames.
void H2ServerStream::SendUnswitched(const ResponseHead& head, bool end_stream) {
  ResponseHead failure;
  failure.status = 502;
  failure.headers = head.headers;
  failure.content_length = head.content_length;
  if (record_.detail.empty()) record_.detail = "upgrade_ignored";
  SendHead(failure, end_stream);
}

void H2ServerStream::SendBody(std::string_view bytes, bool end_stream) {
  if (response_state_ == ResponseState::kBody) {
    if (response_has_length_) {
      // A handler that sends more than it promised would break the message (RFC 9113 8.1.1).
      bytes = bytes.substr(0, std::min<uint64_t>(bytes.size(), response_left_));
      response_left_ -= bytes.size();
      if (end_stream && response_left_ > 0) {
        codec_->BreakOff(*this, StreamEnd::kUpstreamFailed);
        return;
      }
    }
    record_.bytes_out += bytes.size();
    grpc_.OnBody(bytes);
    if (end_stream) response_state_ = ResponseState::kEnded;
    codec_->session_.SendBody(*this, bytes, end_stream);
  }
  if (end_stream) EndResponse();
}

void H2ServerStream::SendTrailers(const HeaderList& trailers) {
  if (response_state_ == ResponseState::kBody) {
    if (response_has_length_ && response_left_ > 0) {
      codec_->BreakOff(*this, StreamEnd::kUpstreamFailed);
      return;
    }
    response_state_ = ResponseState::kEnded;
    codec_->WriteTrailers(*this, trailers);
  }
  EndResponse();
}

void H2ServerStream::EndResponse() {
  record_.waiting_for = "client to take the response";
  // With both directions ended, or nobody interested in the rest, the handler is done.
  if (!tunnel_ || request_state_ == RequestState::kEnded) receiver_ = nullptr;
}

void H2ServerStream::CloseAfterResponse() { codec_->BeginGoodbye(); }

void H2ServerStream::Abort(StreamEnd why) {
  receiver_ = nullptr;
  codec_->BreakOff(*this, why);
}

bool H2ServerStream::congested() const { return codec_->session_.Congested(*this); }

void H2ServerStream::PauseRequest() {
  request_paused_ = true;
  codec_->session_.PauseStream(*this);
}

void H2ServerStream::ResumeRequest() {
  request_paused_ = false;
  codec_->session_.ResumeStream(*this);
}

void H2ServerStream::DiscardRequest() {
  receiver_ = nullptr;
  request_state_ = RequestState::kEnded;
  if (out() == Out::kLeft) codec_->OnStreamLeft(*this);
}

}  // namespace sluice
