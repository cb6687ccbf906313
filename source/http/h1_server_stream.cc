#include "http/h1_server_stream.h"

#include <algorithm>

#include "http/h1_server_codec.h"
#include "http/h1_writer.h"
#include "http/websocket_handshake.h"

namespace sluice {

void H1ServerStream::Start(H1ServerCodec* codec, TimePoint now) {
  codec_ = codec;
  record_.started = now;
}

void H1ServerStream::Recycle() {
  request_.Reset();
  record_ = {};
  codec_ = nullptr;
  receiver_ = nullptr;
  response_left_ = 0;
  discarded_ = 0;
  request_state_ = RequestState::kHead;
  response_state_ = ResponseState::kNone;
  response_framing_ = H1Framing::kNone;
  close_after_ = client_closes_ = request_paused_ = continue_sent_ = in_flight_ = false;
}

const DownstreamInfo& H1ServerStream::downstream() const { return codec_->host_.downstream(); }

void H1ServerStream::SendInformational(const ResponseHead& head) {
  // RFC 9110 15.2: a 1xx must not be sent to an HTTP/1.0 client.
  if (response_state_ != ResponseState::kNone || request_.version.minor == 0) return;
  if (head.status == 100) continue_sent_ = true;
  codec_->host_.transport().Write(
      WriteH1ResponseHead(codec_->host_.loop(), head, {}, H1Persistence::kDefault));
}

void H1ServerStream::SendHead(const ResponseHead& head, bool end_stream) {
  if (response_state_ != ResponseState::kNone) return;
  response_state_ = ResponseState::kBody;
  record_.status = head.status;
  record_.waiting_for = "response body";

  const bool switches = head.status == 101 || (request_.method == Method::kConnect &&
                                               head.status >= 200 && head.status < 300);
  if (switches) {
    request_state_ = RequestState::kTunnel;
    const bool websocket = EqualsIgnoreCase(head.upgrade, "websocket");
    record_.protocol = websocket ? Protocol::kWebSocket : Protocol::kTunnel;
    record_.waiting_for = "either end of the tunnel";
  }
  WriteHead(head, end_stream);
  if (switches) {
    codec_->FeedKept();  // what the client sent ahead belongs to the tunnel
  } else if (end_stream) {
    EndResponse();
  }
}

void H1ServerStream::WriteHead(const ResponseHead& head, bool end_stream) {
  response_framing_ = ChooseFraming(head, end_stream);
  H1BodyFields body;
  body.chunked = response_framing_ == H1Framing::kChunked;
  if (response_framing_ == H1Framing::kLength) {
    // The length was known or the body is empty; what is promised here is what BreakOff goes by.
    response_left_ = end_stream ? 0 : *head.content_length;
    body.content_length = response_left_;
  } else if (response_framing_ == H1Framing::kNone && !tunnel() && head.status != 204) {
    body.content_length = head.content_length;  // of the body that a HEAD or a 304 leaves out
  }
  if (response_framing_ == H1Framing::kUntilClose) close_after_ = true;
  // RFC 9110 10.1.1: a client that was never told to continue may or may not send its body now, so
  // the next request could not be found.
  if (request_.expects_continue && !continue_sent_ && !request_over()) close_after_ = true;
  // The advice to leave waits until requests that were pipelined already are answered: they were
  // accepted (their bytes were read), and a client need not repeat them itself.
  if (codec_->host_.ShouldAdviseClose() && !(request_over() && codec_->HasPipelined())) {
    close_after_ = true;
  }
  H1Persistence persistence = H1Persistence::kDefault;
  if (close_after_ && !tunnel()) {
    persistence = H1Persistence::kClose;
  } else if (request_.version.minor == 0) {
    persistence = H1Persistence::kKeepAlive;
  }
  std::string_view accept;
  if (head.status == 101 && head.version.major == 2) {
    // RFC 8441 5: an HTTP/2 upstream was given no key to answer.
    accept = WebSocketAccept(request_.headers.Value(kSecWebSocketKey), request_.arena);
  }
  codec_->host_.transport().Write(
      WriteH1ResponseHead(codec_->host_.loop(), head, body, persistence, accept));
}

H1Framing H1ServerStream::ChooseFraming(const ResponseHead& head, bool end_stream) const {
  // RFC 9112 6.3, rules 1 and 2.
  if (tunnel() || request_.method == Method::kHead || head.status == 204 || head.status == 304) {
    return H1Framing::kNone;
  }
  if (end_stream || head.content_length) return H1Framing::kLength;
  return request_.version.minor == 0 ? H1Framing::kUntilClose : H1Framing::kChunked;
}

void H1ServerStream::SendBody(std::string_view bytes, bool end_stream) {
  if (response_state_ != ResponseState::kBody) return;
  Transport& transport = codec_->host_.transport();
  if (response_framing_ == H1Framing::kNone && !tunnel()) bytes = {};
  if (response_framing_ == H1Framing::kLength) {
    // A handler that sends more than it promised must not smuggle a second response.
    bytes = bytes.substr(0, std::min<uint64_t>(bytes.size(), response_left_));
    response_left_ -= bytes.size();
  }
  if (!bytes.empty()) {
    record_.bytes_out += bytes.size();
    if (response_framing_ == H1Framing::kChunked) {
      transport.Write(WriteH1ChunkSize(codec_->host_.loop(), bytes.size()));
      transport.Write(bytes);
      transport.Write(kH1ChunkEnd);
    } else {
      transport.Write(bytes);
    }
  }
  if (end_stream) {
    if (response_framing_ == H1Framing::kChunked) transport.Write(kH1LastChunk);
    EndResponse();
  } else if (transport.congested()) {
    codec_->UpdateExpectation();
  }
}

void H1ServerStream::SendTrailers(const HeaderList& trailers) {
  if (response_state_ != ResponseState::kBody) return;
  // Only a chunked body has room for trailers, and only for a client that asked for them is it
  // worth it (RFC 9110 6.5.1).
  if (response_framing_ == H1Framing::kChunked) {
    codec_->host_.transport().Write(
        request_.accepts_trailers ? WriteH1Trailers(codec_->host_.loop(), trailers) : kH1LastChunk);
  }
  EndResponse();
}

void H1ServerStream::EndResponse() {
  if (response_framing_ == H1Framing::kLength && response_left_ > 0) {
    codec_->BreakOff(StreamEnd::kUpstreamFailed);
    return;
  }
  codec_->OnResponseEnded();
}

void H1ServerStream::Abort(StreamEnd why) {
  receiver_ = nullptr;
  codec_->BreakOff(why);
}

bool H1ServerStream::congested() const { return codec_->host_.transport().congested(); }

void H1ServerStream::PauseRequest() {
  request_paused_ = true;
  codec_->UpdateReading();
  codec_->UpdateExpectation();
}

void H1ServerStream::ResumeRequest() {
  request_paused_ = false;
  codec_->UpdateReading();
  codec_->UpdateExpectation();
}

void H1ServerStream::DiscardRequest() {
  receiver_ = nullptr;
  request_state_ = RequestState::kTunnelEnded;
  if (response_state_ == ResponseState::kDone) codec_->OnResponseLeft();
}

}  // namespace sluice
