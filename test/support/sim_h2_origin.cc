#include "support/sim_h2_origin.h"

#include <algorithm>
#include <utility>

#include "support/sim_h2_origin_parts.h"

namespace sluice {
namespace {

constexpr Duration kLinger = std::chrono::seconds(2);

}  // namespace

SimH2Origin::Connection::Connection(SimH2Origin& origin, size_t ordinal,
                                    std::unique_ptr<Transport> transport)
    : origin_(origin),
      ordinal_(ordinal),
      transport_(std::move(transport)),
      session_(
          SimH2Session::Role::kServer, origin.options.http2, origin.loop_,
          [this](std::string bytes) { transport_->Write(origin_.loop_.Lend(std::move(bytes))); },
          [this] { return transport_->congested(); }),
      timer_(origin.loop_.timers(), Delegate::Bind<&Connection::OnTimer>(this)) {
  session_.on_head = [this](SimH2Stream& stream) { OnRequest(stream); };
  session_.on_body = [this](SimH2Stream& stream) {
    if (Exchange* exchange = Find(stream)) exchange->OnBody();
  };
  session_.on_end = [this](SimH2Stream& stream) {
    Note(stream);
    if (Exchange* exchange = Find(stream)) exchange->OnEnd();
  };
  session_.on_sent = [this](SimH2Stream& stream) {
    if (Exchange* exchange = Find(stream)) exchange->OnSent();
    EndWhenIdle();
  };
  session_.on_reset = [this](SimH2Stream& stream) {
    origin_.resets_.push_back(*stream.reset_by_peer);
    Note(stream);
    if (Exchange* exchange = Find(stream)) exchange->OnReset();
  };
  session_.on_control = [this](const SimFrame& frame) { OnControl(frame); };
  transport_->SetEvents(this);
  session_.Start();
  EndWhenIdle();
}

SimH2Origin::Exchange* SimH2Origin::Connection::Find(SimH2Stream& stream) {
  const auto found = exchanges_.find(stream.id);
  return found == exchanges_.end() || gone_ ? nullptr : found->second.get();
}

void SimH2Origin::Connection::OnRequest(SimH2Stream& stream) {
  if (gone_) return;
  timer_.Stop();
  const size_t seen = origin_.seen_.size();
  origin_.seen_.push_back({stream.in, ordinal_, stream.id});
  if (session_.open_streams() > origin_.options.http2.max_streams.value_or(UINT32_MAX)) {
    origin_.seen_.back().processed = false;
    return session_.Reset(stream, h2::kRefusedStream);
  }
  origin_.peak_streams_ = std::max(origin_.peak_streams_, session_.open_streams());
  auto exchange = std::make_unique<Exchange>(*this, stream, seen);
  Exchange& added = *exchange;
  exchanges_[stream.id] = std::move(exchange);
  added.OnHead();
  CountRequest();
}

void SimH2Origin::Connection::CountRequest() {
  if (gone_ || going_ || ++requests_ != origin_.options.goaway_after) return;
  if (!origin_.options.two_stages) return Goaway();
  session_.Goaway(h2::kMaxStreamId, h2::kNoError);
  session_.Ping("go away!");
}

void SimH2Origin::Connection::Note(SimH2Stream& stream) {
  if (Exchange* exchange = Find(stream)) exchange->seen().request = stream.in;
}

void SimH2Origin::Connection::OnControl(const SimFrame& frame) {
  if (frame.type == h2::kPing && frame.Has(h2::kAck)) Goaway();
  if (frame.type == h2::kGoaway) origin_.goaways_.push_back(session_.goaways().back());
}

void SimH2Origin::Connection::Goaway() {
  if (going_ || gone_) return;
  going_ = true;
  session_.Goaway(session_.last_peer_stream(), h2::kNoError);
  EndWhenIdle();
}

void SimH2Origin::Connection::GoawayBelow(uint32_t stream) {
  going_ = true;
  session_.Goaway(stream < 2 ? 0 : stream - 2, h2::kNoError);  // ids of a client are odd
}

// After the last stream: closed at once behind a GOAWAY, otherwise after the idle time.
void SimH2Origin::Connection::EndWhenIdle() {
  if (gone_ || shut_ || session_.open_streams() > 0) return;
  if (going_) {
    Linger();
  } else if (origin_.options.idle_timeout != Duration::max() && !timer_.active()) {
    timer_.Set(origin_.loop_.Now() + origin_.options.idle_timeout);
  }
}

void SimH2Origin::Connection::OnTimer() {
  if (shut_) {
    Die(false);
  } else {
    Goaway();
  }
}

void SimH2Origin::Connection::OnData(std::string_view bytes) {
  session_.Feed(bytes);
  if (gone_) return;
  if (!session_.complaint().empty()) {
    origin_.complaints_.push_back(session_.complaint());
    return Die(true);
  }
  EndWhenIdle();
}

void SimH2Origin::Connection::OnEof() {
  session_.FeedEof();
  if (!session_.complaint().empty()) origin_.complaints_.push_back(session_.complaint());
  Die(session_.open_streams() > 0);
}

void SimH2Origin::Connection::Linger() {
  if (std::exchange(shut_, true)) return;
  timer_.Stop();
  transport_->ShutdownWrite();
}

void SimH2Origin::Connection::OnWriteShut() { timer_.Set(origin_.loop_.Now() + kLinger); }

void SimH2Origin::Connection::Release() {
  // An exchange that goes on may end the connection.
  for (auto& [id, exchange] : exchanges_) {
    if (!gone_) exchange->Release();
  }
  if (!gone_) EndWhenIdle();
}

size_t SimH2Origin::Connection::held() const {
  return std::count_if(exchanges_.begin(), exchanges_.end(),
                       [](const auto& one) { return one.second->held(); });
}

void SimH2Origin::Connection::Die(bool reset) {
  if (gone_) return;
  for (auto& [id, exchange] : exchanges_) {
    if (!session_.streams().at(id).over()) Note(session_.streams().at(id));
    exchange->Stop();
  }
  gone_ = true;
  timer_.Stop();
  if (reset) {
    transport_->Reset();
  } else {
    transport_->Close();
  }
  origin_.Forget(this);
}

// ---- the origin

SimH2Origin::SimH2Origin(SimLoop& loop, SimNetwork& network, const std::string& address)
    : loop_(loop), network_(network), address_(address) {
  network_.At(address_).accept = [this](std::unique_ptr<Transport> transport) {
    Accept(std::move(transport));
  };
}

SimH2Origin::~SimH2Origin() { network_.StopListening(address_); }

void SimH2Origin::Accept(std::unique_ptr<Transport> transport) {
  connections_.push_back(
      std::make_unique<Connection>(*this, connections_made_++, std::move(transport)));
}

void SimH2Origin::Forget(Connection* connection) {
  const auto found = std::find_if(connections_.begin(), connections_.end(),
                                  [&](const auto& one) { return one.get() == connection; });
  loop_.DeleteLater(std::move(*found));
  connections_.erase(found);
}

void SimH2Origin::Release() {
  std::vector<Connection*> all;
  for (const auto& connection : connections_) all.push_back(connection.get());
  for (Connection* connection : all) connection->Release();
}

size_t SimH2Origin::held() const {
  size_t held = 0;
  for (const auto& connection : connections_) held += connection->held();
  return held;
}

void SimH2Origin::CloseAll() {
  while (!connections_.empty()) connections_.back()->Die(false);
}

void SimH2Origin::ResetAll() {
  while (!connections_.empty()) connections_.back()->Die(true);
}

void SimH2Origin::GoawayAll() {
  std::vector<Connection*> all;
  for (const auto& connection : connections_) all.push_back(connection.get());
  for (Connection* connection : all) connection->Goaway();
}

size_t SimH2Origin::times_seen(const std::string& target) const {
  return std::count_if(seen_.begin(), seen_.end(),
                       [&](const Seen& one) { return one.request.target == target; });
}

}  // namespace sluice
