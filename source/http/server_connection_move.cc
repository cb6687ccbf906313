// ServerConnection, as far as it moves between processes.

#include <algorithm>
#include <utility>

#include "http/connection_manager.h"
#include "http/moved_state.h"
#include "http/server_connection.h"

namespace sluice {

bool ServerConnection::Leave() {
  const bool can = state_ == State::kOpen && !draining_ && !cut_ && !eof_ && !info_.tls &&
                   transport_->ready() && codec_->can_move();
  leaving_ = leaving_ || can;
  return can;
}

std::optional<MovedConnection> ServerConnection::Freeze() {
  if (!leaving_ || state_ != State::kOpen || eof_ || write_shut_) return std::nullopt;
  if (!codec_->at_rest()) return std::nullopt;
  std::optional<FrozenTransport> transport = transport_->Freeze();
  if (!transport) return std::nullopt;
  std::optional<FrozenCodec> codec = codec_->Freeze();
  if (!codec) {
    transport_->Thaw();
    return std::nullopt;
  }
  state_ = State::kFrozen;
  leaving_ = false;
  MovedState state;
  state.peer = info_.peer;
  state.age = loop().Now() - accepted_at_;
  if (timer_.active()) {
    // Not nothing, which would be no limit.
    state.limit_left = std::max(timer_.deadline() - loop().Now(), Duration(1));
  }
  timer_.Stop();
  state.sniffing = sniffing_;
  state.sniffed = sniffing_ ? sniffed_ : uint8_t{0};
  state.codec = std::move(*codec);
  state.unsent = std::move(transport->unsent);
  const int upstream = state.codec.tunnel ? state.codec.tunnel->handled.upstream : -1;
  MovedConnection moved{context_.name, EncodeMovedState(state), transport->descriptor, upstream};
  if (moved.state.size() <= kMaxMovedState) return moved;
  Thaw();
  return std::nullopt;
}

void ServerConnection::Thaw() {
  state_ = State::kOpen;
  timer_.Stop();
  const Duration limit = LimitFor(expecting_);
  if (limit != Duration::zero()) timer_.Set(loop().Now() + limit);
  transport_->Thaw();
  codec_->Thaw();
  if (cut_) Cut();
}

void ServerConnection::OnMoved() {
  codec_->Abandon(StreamEnd::kMoved);
  Close();
}

Result<void> ServerConnection::AdoptTunnel(ServerStream& stream, const FrozenTunnel& tunnel,
                                           TransportAdopter& adopter) {
  return context_.handler->Adopt(stream, tunnel, adopter);
}

Result<void> ServerConnection::Adopt(const MovedState& state, TransportAdopter& adopter) {
  SpeakHttp1();
  accepted_at_ = loop().Now() - state.age;
  if (state.limit_left > Duration::zero()) limit_ = loop().Now() + state.limit_left;
  sniffing_ = state.sniffing;
  sniffed_ = state.sniffed;
  if (Result<void> adopted = codec_->Adopt(state.codec, adopter); !adopted) return adopted;
  requests_ = state.codec.requests;
  state_ = State::kFrozen;
  adopted_ = true;
  if (!state.unsent.empty()) {
    char* const unsent = loop().Scratch(state.unsent.size());
    std::copy(state.unsent.begin(), state.unsent.end(), unsent);
    transport_->Write({unsent, state.unsent.size()});
  }
  timer_.Set(loop().Now());
  return {};
}

void ServerConnection::OnFrozenTimer() {
  if (adopted_) {
    Resume();
  } else {
    GiveUp();
  }
}

void ServerConnection::Resume() {
  adopted_ = false;
  state_ = State::kOpen;
  timer_.Stop();
  transport_->WatchForReset();
  transport_->SetEvents(this);
  codec_->Thaw();
  if (sniffing_ && !options().http2_enabled) EndSniffing();
  if (!open()) return;
  // The wait goes on where it was, unless it is over by what came with the connection.
  const Duration limit = LimitFor(expecting_);
  if (codec_->at_rest() && limit != Duration::zero()) {
    timer_.Set(std::min(limit_, loop().Now() + limit));
  }
  if (draining_) BeginDrain(manager_.NextIdleGraceEnd(context_));
}

// The deadline is over, and the other process has not answered: the drain waits no longer. What is
// in flight stays so, because nobody knows whether it was cut; and the descriptors stay valid,
// because whoever carries them to the other process may not have done so yet.
void ServerConnection::GiveUp() { pass_.Release(); }

}  // namespace sluice
