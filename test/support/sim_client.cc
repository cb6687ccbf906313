#include "support/sim_client.h"

#include <algorithm>
#include <utility>

namespace sluice {

SimClient::SimClient(SimLoop& loop, SimNetwork& network, std::string address)
    : loop_(loop),
      network_(network),
      address_(std::move(address)),
      self_(std::make_shared<SimClient*>(this)) {
  reader_.on_message = [this](const SimMessage& message) {
    if (message.status < 200 && message.status != 101) return;
    if (told_to_close_) complaint_ = "a response after one that said Connection: close";
    ++answered_;
    if (message.close) {
      told_to_close_ = true;
      last_response_ = answered_ - 1;
    }
    if (on_answer) on_answer();
  };
  reader_.on_tunnel = [this](std::string_view bytes) {
    tunnel_.append(bytes);
    if (on_tunnel) on_tunnel();
  };
}

SimClient::~SimClient() { Drop(State::kLeft); }

void SimClient::Connect() {
  state_ = State::kConnecting;
  attempt_ = network_.Dial(address_, [this](std::unique_ptr<Transport> transport, int error) {
    OnConnected(std::move(transport), error);
  });
}

void SimClient::OnConnected(std::unique_ptr<Transport> transport, int error) {
  if (error != 0) {
    error_ = error;
    state_ = State::kFailed;
    return;
  }
  state_ = State::kOpen;
  transport_ = std::move(transport);
  local_address_ = transport_->LocalAddress();
  transport_->SetEvents(this);
  const std::string unsent = std::exchange(unsent_, {});
  if (!unsent.empty()) {
    transport_->Write(loop_.Lend(unsent));
  }
  if (half_closed_) transport_->ShutdownWrite();
  PumpUpload();
}

void SimClient::Send(std::string_view bytes) {
  bytes_sent_ += bytes.size();
  if (transport_ != nullptr) {
    transport_->Write(loop_.Lend(std::string(bytes)));
  } else {
    unsent_.append(bytes);
  }
}

void SimClient::Begin(const std::string& method, const std::string& target,
                      std::string_view bytes) {
  sent_.push_back({method, target, bytes_sent_});
  reader_.Expect(method);
  Send(bytes);
}

void SimClient::Request(const std::string& method, const std::string& target,
                        std::string_view fields, std::string_view body) {
  std::string request = method + " " + target + " HTTP/1.1\r\nHost: sim.test\r\n";
  request.append(fields);
  if (!body.empty()) request += "Content-Length: " + std::to_string(body.size()) + "\r\n";
  request += "\r\n";
  request.append(body);
  Begin(method, target, request);
}

void SimClient::Upload(const std::string& target, uint64_t bytes, size_t piece, Duration gap,
                       uint64_t stop_at) {
  Begin("POST", target,
        "POST " + target +
            " HTTP/1.1\r\nHost: sim.test\r\nContent-Length: " + std::to_string(bytes) + "\r\n\r\n");
  upload_left_ = std::min(bytes, stop_at);
  uploaded_ = 0;
  upload_piece_ = piece;
  upload_gap_ = gap;
  PumpUpload();
}

void SimClient::PumpUpload() {
  if (transport_ == nullptr || upload_waits_) return;
  while (upload_left_ > 0 && !transport_->congested()) {
    const size_t count = std::min<uint64_t>(upload_left_, upload_piece_);
    Send(SimBody(uploaded_, count));
    uploaded_ += count;
    upload_left_ -= count;
    if (upload_gap_ == Duration{}) continue;
    upload_waits_ = true;
    loop_.After(upload_gap_, [weak = std::weak_ptr(self_)] {
      const auto self = weak.lock();
      if (self == nullptr) return;
      (*self)->upload_waits_ = false;
      (*self)->PumpUpload();
    });
    return;
  }
}

void SimClient::PauseReading() {
  if (transport_ != nullptr) transport_->PauseReading();
}

void SimClient::ResumeReading() {
  if (transport_ != nullptr) transport_->ResumeReading();
}

void SimClient::HalfClose() {
  half_closed_ = true;
  upload_left_ = 0;
  if (transport_ != nullptr) transport_->ShutdownWrite();
}

void SimClient::Close() { Drop(State::kLeft); }

void SimClient::Reset() {
  if (transport_ != nullptr) transport_->Reset();
  Drop(State::kLeft);
}

void SimClient::Drop(State state) {
  state_ = state;
  upload_left_ = 0;
  attempt_.reset();
  if (transport_ == nullptr) return;
  transport_->Close();
  loop_.DeleteLater(std::move(transport_));
}

void SimClient::OnData(std::string_view bytes) {
  reader_.Feed(bytes);
  AfterRead();
}

void SimClient::AfterRead() {
  if (read_gap_ == Duration{} || transport_ == nullptr) return;
  transport_->PauseReading();
  loop_.After(read_gap_, [weak = std::weak_ptr(self_)] {
    if (const auto self = weak.lock()) (*self)->ResumeReading();
  });
}

void SimClient::OnEof() {
  reader_.FeedEof();
  state_ = State::kEnded;
  if (on_end) on_end();
}

void SimClient::OnError(int error) {
  error_ = error;
  Drop(State::kFailed);
  if (on_end) on_end();
}

std::string SimClient::complaint() const {
  return reader_.error().empty() ? complaint_ : reader_.error();
}

}  // namespace sluice
