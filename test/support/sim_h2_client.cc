#include "support/sim_h2_client.h"

#include <algorithm>
#include <utility>

namespace sluice {

SimH2Client::SimH2Client(SimLoop& loop, SimNetwork& network, std::string address,
                         const SimH2Options& options)
    : loop_(loop),
      network_(network),
      address_(std::move(address)),
      self_(std::make_shared<SimH2Client*>(this)),
      session_(
          SimH2Session::Role::kClient, options, loop,
          [this](std::string bytes) { Write(std::move(bytes)); },
          [this] { return transport_ != nullptr && transport_->congested(); }) {
  session_.on_end = session_.on_reset = [this](SimH2Stream& stream) {
    if (on_over) on_over(stream);
  };
}

SimH2Client::~SimH2Client() { Drop(State::kLeft); }

void SimH2Client::Connect() {
  state_ = State::kConnecting;
  session_.Start();
  attempt_ = network_.Dial(address_, [this](std::unique_ptr<Transport> transport, int error) {
    OnConnected(std::move(transport), error);
  });
}

void SimH2Client::OnConnected(std::unique_ptr<Transport> transport, int error) {
  if (error != 0) {
    error_ = error;
    state_ = State::kFailed;
    return;
  }
  state_ = State::kOpen;
  transport_ = std::move(transport);
  local_address_ = transport_->LocalAddress();
  transport_->SetEvents(this);
  Write(std::exchange(unsent_, {}));
  if (half_closed_) transport_->ShutdownWrite();
  session_.Pump();
}

void SimH2Client::Write(std::string bytes) {
  if (bytes.empty()) return;
  if (transport_ != nullptr) {
    const size_t count = std::min(bytes.size(), leave_);
    if (leave_ != SIZE_MAX) leave_ -= count;
    unsent_.append(bytes, count);
    bytes.resize(count);
    transport_->Write(loop_.Lend(std::move(bytes)));
  } else if (state_ == State::kIdle || state_ == State::kConnecting) {
    unsent_.append(bytes);
  }
}

void SimH2Client::SendHeldBack() {
  leave_ = SIZE_MAX;
  Write(std::exchange(unsent_, {}));
}

uint32_t SimH2Client::Begin(const std::string& method, const std::string& target,
                            SimFields fields) {
  SimFields head = {
      {":method", method}, {":scheme", "http"}, {":authority", "sim.test"}, {":path", target}};
  for (auto& field : fields) head.push_back(std::move(field));
  return session_.Open(head, false).id;
}

uint32_t SimH2Client::Request(const std::string& method, const std::string& target,
                              SimFields fields, std::string_view body) {
  SimFields head = {
      {":method", method}, {":scheme", "http"}, {":authority", "sim.test"}, {":path", target}};
  for (auto& field : fields) head.push_back(std::move(field));
  if (!body.empty()) head.emplace_back("content-length", std::to_string(body.size()));
  SimH2Stream& stream = session_.Open(head, body.empty());
  if (!body.empty()) {
    session_.SendBytes(stream, body);
    session_.Finish(stream);
  }
  return stream.id;
}

uint32_t SimH2Client::Upload(const std::string& target, uint64_t bytes, uint64_t piece,
                             Duration gap, uint64_t stop_at) {
  const uint32_t id = Begin("POST", target, {{"content-length", std::to_string(bytes)}});
  UploadMore(id, std::min(bytes, stop_at), piece, gap, stop_at >= bytes);
  return id;
}

void SimH2Client::UploadMore(uint32_t id, uint64_t bytes, uint64_t piece, Duration gap, bool ends) {
  const uint64_t count = std::min(bytes, piece);
  session_.SendBody(stream(id), count);
  if (count == bytes) {
    if (ends) session_.Finish(stream(id));
    return;
  }
  Later(gap, [=, this] { UploadMore(id, bytes - count, piece, gap, ends); });
}

uint32_t SimH2Client::Grpc(const std::string& target, uint64_t messages, bool ends,
                           SimFields fields) {
  fields.emplace_back("content-type", "application/grpc");
  fields.emplace_back("te", "trailers");
  const uint32_t id = Begin("POST", target, std::move(fields));
  session_.SendBody(stream(id), messages * kSimGrpcMessage);
  if (ends) session_.Finish(stream(id));
  return id;
}

uint32_t SimH2Client::WebSocket(const std::string& target, SimFields fields) {
  SimFields head = {{":method", "CONNECT"}, {":protocol", "websocket"},
                    {":scheme", "http"},    {":authority", "sim.test"},
                    {":path", target},      {"sec-websocket-version", "13"}};
  for (auto& field : fields) head.push_back(std::move(field));
  return session_.Open(head, false).id;
}

void SimH2Client::ReadSlowly(uint32_t id, uint64_t bytes, Duration gap) {
  HoldWindow(id);
  Later(gap, [=, this] {
    if (stream(id).opens || stream(id).over()) return;
    session_.OpenWindow(stream(id), bytes);
    ReadSlowly(id, bytes, gap);
  });
}

void SimH2Client::ReadAgain(uint32_t id) {
  stream(id).opens = true;
  session_.OpenWindow(stream(id));
}

void SimH2Client::Later(Duration delay, std::function<void()> what) {
  loop_.After(delay, [weak = std::weak_ptr(self_), what = std::move(what)] {
    if (weak.lock() != nullptr) what();
  });
}

void SimH2Client::PauseReading() {
  if (transport_ != nullptr) transport_->PauseReading();
}

void SimH2Client::ResumeReading() {
  if (transport_ != nullptr) transport_->ResumeReading();
}

void SimH2Client::HalfClose() {
  half_closed_ = true;
  if (transport_ != nullptr) transport_->ShutdownWrite();
}

void SimH2Client::Close() { Drop(State::kLeft); }

void SimH2Client::Reset() {
  if (transport_ != nullptr) transport_->Reset();
  Drop(State::kLeft);
}

void SimH2Client::Drop(State state) {
  state_ = state;
  attempt_.reset();
  if (transport_ == nullptr) return;
  transport_->Close();
  loop_.DeleteLater(std::move(transport_));
}

void SimH2Client::OnEof() {
  session_.FeedEof();
  ended_at_ = loop_.Now();
  state_ = State::kEnded;
  if (on_end) on_end();
}

void SimH2Client::OnError(int error) {
  error_ = error;
  ended_at_ = loop_.Now();
  Drop(State::kFailed);
}

size_t SimH2Client::answered() const {
  const auto& streams = session_.streams();
  return std::count_if(streams.begin(), streams.end(),
                       [](const auto& one) { return one.second.in.complete; });
}

size_t SimH2Client::resets() const {
  const auto& streams = session_.streams();
  return std::count_if(streams.begin(), streams.end(), [](const auto& one) {
    return one.second.reset_by_peer.has_value() && !one.second.in.complete;
  });
}

}  // namespace sluice
