// H1ServerCodec, as far as it moves between processes.

#include "http/h1_server_codec.h"

namespace sluice {

// Between two requests, or while no more than a part of a head has come.
bool H1ServerCodec::at_rest() const {
  if (state_ != State::kOpen || eof_ || feeding_) return false;
  return !stream_ || (stream_->request_state_ == RequestState::kHead &&
                      stream_->response_state_ == ResponseState::kNone);
}

std::optional<FrozenCodec> H1ServerCodec::Freeze() {
  if (!at_rest()) return std::nullopt;
  FrozenCodec frozen;
  frozen.input = parser_.Begun();
  frozen.input += kept_.view();
  frozen.requests = requests_;
  return frozen;
}

void H1ServerCodec::Thaw() {
  if (!stream_) FeedKept();
}

void H1ServerCodec::Abandon(StreamEnd why) {
  if (state_ == State::kOver) return;
  state_ = State::kOver;
  if (!stream_) return;
  EndStream(why);
  ReleaseStream();
}

void H1ServerCodec::Adopt(const FrozenCodec& frozen) {
  requests_ = frozen.requests;
  kept_.Append(frozen.input);
  UpdateExpectation();
}

}  // namespace sluice
