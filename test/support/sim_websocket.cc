#include "support/sim_websocket.h"

#include <chrono>
#include <string_view>
#include <utility>

#include "support/sim_stream_origin.h"

namespace sluice {

SimWebSocket::SimWebSocket(ProxySim& sim, uint64_t seed, std::string target, WebSocketManner manner)
    : sim_(sim),
      random_(seed),
      target_(std::move(target)),
      manner_(manner),
      client_(sim.loop, sim.network, "proxy") {
  client_.on_answer = [this] {
    if (!open()) return;
    SayLater();
    if (manner_ == WebSocketManner::kLeaves) Later(3000, &SimWebSocket::Leave);
  };
  client_.on_tunnel = [this] { OnTunnel(); };
  client_.on_end = [this] { OnEnd(); };
  client_.Connect();
  client_.Request("GET", target_,
                  "Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n");
}

void SimWebSocket::OnTunnel() {
  reader_.Feed(std::string_view(client_.tunnel()).substr(read_));
  read_ = client_.tunnel().size();
  if (!reader_.close()) return;
  if (manner_ == WebSocketManner::kDeaf) {
    closing_ = true;
  } else {
    Close(reader_.close()->code);
  }
}

// RFC 6455 7.1.1: a client waits for the server to close.
void SimWebSocket::OnEnd() {
  left_ = left_ || !reader_.close();
  client_.Close();
}

void SimWebSocket::SayLater() {
  Later(300, &SimWebSocket::SayLater);
  if (closing_) return;
  said_.push_back("said " + std::to_string(said_.size()) + " " +
                  std::string(random_.Below(1u << random_.Below(9)), 'c'));
  out_ += RandomFrames(WebSocketSender::kClient, said_.back(), random_);
  PumpLater();
  if (manner_ == WebSocketManner::kCloses && random_.Chance(0.1)) Close(1000);
}

void SimWebSocket::Close(uint16_t code) {
  if (std::exchange(closing_, true)) return;
  out_ += test::CloseFrame(WebSocketSender::kClient, code);
  PumpLater();
}

void SimWebSocket::PumpLater() {
  if (!std::exchange(pumping_, true)) Later(3, &SimWebSocket::Pump);
}

void SimWebSocket::Pump() {
  pumping_ = false;
  const size_t most = 1 + random_.Below(1u << random_.Below(9));
  client_.Send(out_.substr(0, most));
  out_.erase(0, most);
  if (!out_.empty()) {
    PumpLater();
  } else if (closing_ && manner_ == WebSocketManner::kHasty) {
    client_.HalfClose();
  }
}

void SimWebSocket::Leave() {
  left_ = true;
  client_.Reset();
}

void SimWebSocket::Later(uint64_t most, void (SimWebSocket::*what)()) {
  sim_.loop.After(std::chrono::milliseconds(random_.Below(most + 1)), [this, what] {
    if (client_.state() == SimClient::State::kOpen) (this->*what)();
  });
}

}  // namespace sluice
