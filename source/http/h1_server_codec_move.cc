// H1ServerCodec, as far as it moves between processes.

#include <utility>

#include "http/h1_server_codec.h"
#include "http/moved_state.h"

namespace sluice {

// Between two requests, while no more than a part of a head has come, or in a tunnel that is open
// both ways.
bool H1ServerCodec::at_rest() const {
  if (state_ != State::kOpen || eof_ || feeding_) return false;
  return !stream_ || in_open_tunnel() ||
         (stream_->request_state_ == RequestState::kHead &&
          stream_->response_state_ == ResponseState::kNone);
}

std::optional<FrozenCodec> H1ServerCodec::Freeze() {
  if (!at_rest()) return std::nullopt;
  FrozenCodec frozen;
  frozen.requests = requests_;
  if (in_open_tunnel()) {
    frozen.tunnel = FreezeTunnel();
    if (!frozen.tunnel) return std::nullopt;
  } else {
    frozen.input = parser_.Begun();
    frozen.input += kept_.view();
  }
  return frozen;
}

std::optional<FrozenCodec::Tunnel> H1ServerCodec::FreezeTunnel() {
  H1ServerStream& stream = *stream_;
  if (stream.receiver_ == nullptr || !kept_.empty()) return std::nullopt;
  std::optional<FrozenTunnel> handled = stream.receiver_->Freeze();
  if (!handled) return std::nullopt;
  return FrozenCodec::Tunnel{EncodeRequestHead(stream.request_),
                             host_.loop().Now() - stream.record_.started, stream.record_.bytes_in,
                             stream.record_.bytes_out, std::move(*handled)};
}

void H1ServerCodec::Thaw() {
  if (!stream_) {
    FeedKept();
  } else if (in_open_tunnel() && stream_->receiver_ != nullptr) {
    stream_->receiver_->Thaw();
  }
}

void H1ServerCodec::Abandon(StreamEnd why) {
  if (state_ == State::kOver) return;
  state_ = State::kOver;
  if (!stream_) return;
  ResetReceiver(why);
  EndStream(why);
  ReleaseStream();
}

Result<void> H1ServerCodec::Adopt(const FrozenCodec& frozen, TransportAdopter& adopter) {
  requests_ = frozen.requests;
  if (frozen.tunnel) return AdoptTunnel(*frozen.tunnel, adopter);
  kept_.Append(frozen.input);
  UpdateExpectation();
  return {};
}

Result<void> H1ServerCodec::AdoptTunnel(const FrozenCodec::Tunnel& tunnel,
                                        TransportAdopter& adopter) {
  stream_ = pool_.Acquire();
  H1ServerStream& stream = *stream_;
  stream.Start(this, host_.loop().Now() - tunnel.age);
  RequestRecord& record = stream.record_;
  record.protocol = Protocol::kWebSocket;
  record.status = 101;
  record.bytes_in = tunnel.bytes_in;
  record.bytes_out = tunnel.bytes_out;
  record.waiting_for = "either end of the tunnel";
  stream.request_state_ = RequestState::kTunnel;
  stream.response_state_ = ResponseState::kBody;
  Result<void> adopted = DecodeRequestHead(tunnel.request, host_.options().limits, stream.request_);
  if (adopted) adopted = host_.AdoptTunnel(stream, tunnel.handled, adopter);
  if (!adopted) {
    ReleaseStream();
    return adopted;
  }
  CountStream();
  UpdateExpectation();
  return {};
}

}  // namespace sluice
