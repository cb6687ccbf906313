#include "support/sim_origin.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <utility>

#include "base/arena.h"
#include "http/websocket_handshake.h"
#include "support/pipe.h"

namespace sluice {
namespace {

constexpr uint64_t kShortBody = 16;
constexpr Duration kLinger = std::chrono::seconds(2);

uint64_t Number(const std::map<std::string, std::string>& query, const std::string& key,
                uint64_t otherwise) {
  const auto found = query.find(key);
  return found == query.end() ? otherwise : std::strtoull(found->second.c_str(), nullptr, 10);
}

// The line of a head that answers the key of a WebSocket; "" without one.
std::string AnswerToKey(std::string_view key) {
  if (key.empty()) return {};
  Arena arena;
  return "Sec-WebSocket-Accept: " + std::string(WebSocketAccept(key, arena)) + "\r\n";
}

}  // namespace

class SimOrigin::Connection final : public Deferred, private TransportEvents {
 public:
  Connection(SimOrigin& origin, size_t ordinal, std::unique_ptr<Transport> transport);

  void Release();
  bool held() const { return phase_ == Phase::kHeld; }
  void Close(bool reset);

 private:
  //  kIdle -head-> kReading -request whole-> kWaiting | kSending | kHeld -> kIdle
  //  kSending <-> kHeld (mid-body); any -> kLingering -> gone; kReading -> kTunnel
  enum class Phase : uint8_t {
    kIdle,
    kReading,  // the request's body
    kWaiting,  // a pause before the response
    kHeld,     // until Release
    kSending,
    kSent,  // the response is whole, the request is not
    kTunnel,
    kLingering,  // half-closed, reading on
  };
  enum class After : uint8_t { kKeepAlive, kClose, kReset };

  // How the response to the present request goes.
  struct Plan {
    int status = 200;
    std::string fields;
    uint64_t bytes = kShortBody;
    uint64_t stop_at = UINT64_MAX;  // of the body: what follows depends on `hold`
    bool hold = false;              // at stop_at wait for Release; otherwise break off
    bool chunked = false;
    bool until_close = false;
    bool trailers = false;
    size_t piece = 64 * 1024;
    Duration gap{};
    After after = After::kKeepAlive;
  };

  void OnHead(const SimMessage& request);
  void OnMessage();
  void Act();
  void Answer();
  void SendHead();
  void Pump();
  void SendPiece(size_t count);
  void FinishBody();
  void FinishExchange();
  void Linger();
  void Die(bool reset);
  void OnStep();
  void OnIdle() { Linger(); }
  void ArmIdle();
  void Write(std::string bytes) { transport_->Write(origin_.loop_.Lend(std::move(bytes))); }
  Seen& seen() { return origin_.seen_[seen_]; }
  void NoteRequest();
  // It would die, but only on a reused connection, and this is a fresh one.
  bool Spared() { return query_.contains("reused") && seen().nth == 0; }

  void OnData(std::string_view bytes) override;
  void OnEof() override;
  void OnWritable() override;
  void OnWriteShut() override;
  void OnError(int error) override;

  SimOrigin& origin_;
  const size_t ordinal_;
  std::unique_ptr<Transport> transport_;
  SimReader reader_{SimReader::Kind::kRequests};
  Timer step_;
  Timer idle_;
  Phase phase_ = Phase::kIdle;
  bool request_complete_ = true;
  bool gone_ = false;
  size_t requests_ = 0;
  size_t seen_ = 0;
  std::string path_;
  std::map<std::string, std::string> query_;
  Plan plan_;
  uint64_t body_sent_ = 0;
};

SimOrigin::Connection::Connection(SimOrigin& origin, size_t ordinal,
                                  std::unique_ptr<Transport> transport)
    : origin_(origin),
      ordinal_(ordinal),
      transport_(std::move(transport)),
      step_(origin.loop_.timers(), Delegate::Bind<&Connection::OnStep>(this)),
      idle_(origin.loop_.timers(), Delegate::Bind<&Connection::OnIdle>(this)) {
  reader_.on_head = [this](const SimMessage& request) { OnHead(request); };
  reader_.on_message = [this](const SimMessage&) { OnMessage(); };
  reader_.on_tunnel = [this](std::string_view bytes) {
    if (phase_ != Phase::kTunnel) return;
    Write(std::string(bytes));
    if (transport_->congested()) transport_->PauseReading();
  };
  transport_->SetEvents(this);
  ArmIdle();
}

void SimOrigin::Connection::ArmIdle() {
  if (origin_.idle_timeout_ != Duration::max()) {
    idle_.Set(origin_.loop_.Now() + origin_.idle_timeout_);
  }
}

void SimOrigin::Connection::OnData(std::string_view bytes) {
  reader_.Feed(bytes);
  if (gone_) return;
  if (phase_ != Phase::kIdle) NoteRequest();
  if (!reader_.error().empty()) {
    origin_.complaints_.push_back(reader_.error());
    Die(true);
    return;
  }
  if (phase_ != Phase::kReading) return;
  if (path_ == "/die-after-head" && !Spared() &&
      reader_.messages().back().body_bytes >= Number(query_, "bytes", 0)) {
    Die(false);
  } else if (const uint64_t gap = Number(query_, "ms", 0); path_ == "/upload" && gap > 0) {
    transport_->PauseReading();
    step_.Set(origin_.loop_.Now() + std::chrono::milliseconds(gap));
  }
}

void SimOrigin::Connection::NoteRequest() {
  // One that came while lingering is not noted: nobody will answer it.
  if (requests_ > 0 && reader_.messages().size() == requests_) {
    seen().request = reader_.messages().back();
  }
}

void SimOrigin::Connection::OnHead(const SimMessage& request) {
  if (phase_ == Phase::kLingering) return;
  if (phase_ != Phase::kIdle) {
    origin_.complaints_.push_back("a request before the end of the one before: " + request.target);
    return;
  }
  idle_.Stop();
  phase_ = Phase::kReading;
  request_complete_ = false;
  path_ = request.target.substr(0, request.target.find('?'));
  query_ = SimQuery(request.target);
  plan_ = {};
  body_sent_ = 0;
  seen_ = origin_.seen_.size();
  origin_.seen_.push_back({request, ordinal_, requests_++, false});

  if (path_ == "/early") {
    Answer();
  } else if (path_ == "/upgrade" && !request.Header("upgrade").empty()) {
    reader_.EnterTunnel();
    phase_ = Phase::kTunnel;
    Write("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: " +
          std::string(request.Header("upgrade")) + "\r\n" +
          AnswerToKey(query_.contains("wrong") ? "other" : request.Header("sec-websocket-key")) +
          "\r\n");
    seen().answered = true;
    if (query_.contains("ends")) Linger();
  } else if (request.Header("expect") == "100-continue") {
    Write("HTTP/1.1 100 Continue\r\n\r\n");
  }
}

void SimOrigin::Connection::OnMessage() {
  if (phase_ == Phase::kLingering || gone_) return;
  request_complete_ = true;
  NoteRequest();
  if (phase_ == Phase::kReading) {
    Act();
  } else if (phase_ == Phase::kSent) {
    FinishExchange();
  }
}

// The request is whole.
void SimOrigin::Connection::Act() {
  step_.Stop();
  transport_->ResumeReading();
  if (path_ == "/die" || path_ == "/die-after-head") {
    if (!Spared()) return Die(false);
  }
  if (path_ == "/garbage") {
    Write("SSH-2.0-OpenSSH_9.2\r\n\r\n");
    Linger();
  } else if (path_ == "/slow") {
    phase_ = Phase::kWaiting;
    step_.Set(origin_.loop_.Now() + std::chrono::milliseconds(Number(query_, "ms", 10)));
  } else if (path_ == "/hold") {
    phase_ = Phase::kHeld;
  } else {
    if (path_ == "/hints") Write("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
    Answer();
  }
}

void SimOrigin::Connection::Answer() {
  const uint64_t bytes = Number(query_, "bytes", 1000);
  if (path_ == "/big" || path_ == "/chunked" || path_ == "/trickle" || path_ == "/until-close" ||
      path_ == "/drop-mid" || path_ == "/hold-mid") {
    plan_.bytes = bytes;
  }
  plan_.chunked = path_ == "/chunked" || query_.contains("chunked");
  plan_.trailers = query_.contains("trailers");
  plan_.until_close = path_ == "/until-close";
  plan_.piece = std::max<uint64_t>(1, Number(query_, "chunk", plan_.piece));
  if (path_ == "/trickle") plan_.gap = std::chrono::milliseconds(Number(query_, "ms", 10));
  if (path_ == "/no-content") {
    plan_.status = 204;
    plan_.bytes = 0;
  }
  if (path_ == "/forbidden") plan_.status = 403;
  if (path_ == "/close") plan_.fields = "Connection: close\r\n";
  if (path_ == "/close" || path_ == "/quiet-close" || plan_.until_close) {
    plan_.after = After::kClose;
  }
  if (path_ == "/drop-mid" || path_ == "/hold-mid") plan_.stop_at = Number(query_, "at", bytes / 2);
  plan_.hold = path_ == "/hold-mid";
  if (query_.contains("reset")) plan_.after = After::kReset;
  SendHead();
  phase_ = Phase::kSending;
  Pump();
}

void SimOrigin::Connection::SendHead() {
  std::string head = "HTTP/1.1 " + std::to_string(plan_.status) + " OK\r\nX-Origin: sim\r\n";
  head += plan_.fields;
  if (plan_.chunked) {
    head += "Transfer-Encoding: chunked\r\n";
  } else if (!plan_.until_close && plan_.status != 204) {
    head += "Content-Length: " + std::to_string(plan_.bytes) + "\r\n";
  }
  Write(head + "\r\n");
}

void SimOrigin::Connection::Pump() {
  const uint64_t whole = seen().request.method == "HEAD" ? 0 : plan_.bytes;
  const uint64_t limit = std::min(whole, plan_.stop_at);
  while (body_sent_ < limit) {
    if (transport_->congested()) return;
    SendPiece(std::min<uint64_t>(limit - body_sent_, plan_.piece));
    if (plan_.gap == Duration{} || body_sent_ == limit) continue;
    step_.Set(origin_.loop_.Now() + plan_.gap);
    return;
  }
  if (plan_.stop_at >= whole) return FinishBody();
  if (plan_.hold) {
    phase_ = Phase::kHeld;
  } else if (plan_.after == After::kReset) {
    Die(true);
  } else {
    Linger();
  }
}

void SimOrigin::Connection::SendPiece(size_t count) {
  std::string piece = SimBody(body_sent_, count);
  if (plan_.chunked) {
    char size[32];
    std::snprintf(size, sizeof(size), "%zx\r\n", count);
    piece = size + piece + "\r\n";
  }
  body_sent_ += count;
  Write(std::move(piece));
}

void SimOrigin::Connection::FinishBody() {
  if (plan_.chunked && seen().request.method != "HEAD") {
    Write(plan_.trailers ? "0\r\nX-Sum: 7\r\n\r\n" : "0\r\n\r\n");
  }
  seen().answered = true;
  if (plan_.after != After::kKeepAlive) return Linger();
  phase_ = Phase::kSent;
  if (request_complete_) FinishExchange();
}

void SimOrigin::Connection::FinishExchange() {
  phase_ = Phase::kIdle;
  ArmIdle();
}

void SimOrigin::Connection::OnStep() {
  if (phase_ == Phase::kReading) {
    transport_->ResumeReading();
  } else if (phase_ == Phase::kWaiting) {
    Answer();
  } else if (phase_ == Phase::kSending) {
    Pump();
  } else if (phase_ == Phase::kLingering) {
    Die(false);
  }
}

void SimOrigin::Connection::Release() {
  if (phase_ != Phase::kHeld) return;
  plan_.stop_at = UINT64_MAX;
  if (plan_.hold) {
    phase_ = Phase::kSending;
    Pump();
  } else {
    Answer();
  }
}

void SimOrigin::Connection::OnWritable() {
  if (phase_ == Phase::kTunnel) {
    transport_->ResumeReading();
  } else if (phase_ == Phase::kSending && !step_.active()) {
    Pump();
  }
}

void SimOrigin::Connection::OnEof() {
  if (phase_ == Phase::kIdle || phase_ == Phase::kLingering) return Die(false);
  if (phase_ == Phase::kTunnel) return Linger();
  // Gone in the middle: a proxy that gives a request up closes, it does not half-close.
  Die(true);
}

void SimOrigin::Connection::OnError(int) { Die(false); }

// Ends our side after what was written, and reads on so that no reset destroys it.
void SimOrigin::Connection::Linger() {
  idle_.Stop();
  phase_ = Phase::kLingering;
  transport_->ShutdownWrite();
  transport_->ResumeReading();
}

void SimOrigin::Connection::OnWriteShut() {
  if (phase_ == Phase::kLingering) step_.Set(origin_.loop_.Now() + kLinger);
}

void SimOrigin::Connection::Close(bool reset) { Die(reset); }

void SimOrigin::Connection::Die(bool reset) {
  if (gone_) return;
  gone_ = true;
  step_.Stop();
  idle_.Stop();
  if (reset) {
    transport_->Reset();
  } else {
    transport_->Close();
  }
  origin_.Forget(this);
}

SimOrigin::SimOrigin(SimLoop& loop, SimNetwork& network, const std::string& address)
    : loop_(loop), network_(network), address_(address) {
  network_.At(address_).accept = [this](std::unique_ptr<Transport> transport) {
    Accept(std::move(transport));
  };
}

SimOrigin::~SimOrigin() { network_.StopListening(address_); }

void SimOrigin::Accept(std::unique_ptr<Transport> transport) {
  connections_.push_back(
      std::make_unique<Connection>(*this, connections_made_++, std::move(transport)));
}

void SimOrigin::Forget(Connection* connection) {
  const auto found = std::find_if(connections_.begin(), connections_.end(),
                                  [&](const auto& one) { return one.get() == connection; });
  loop_.DeleteLater(std::move(*found));
  connections_.erase(found);
}

void SimOrigin::Release() {
  // A connection that ends by this leaves the list.
  std::vector<Connection*> all;
  for (const auto& connection : connections_) all.push_back(connection.get());
  for (Connection* connection : all) connection->Release();
}

size_t SimOrigin::held() const {
  return std::count_if(connections_.begin(), connections_.end(),
                       [](const auto& connection) { return connection->held(); });
}

void SimOrigin::CloseAll() {
  while (!connections_.empty()) connections_.back()->Close(false);
}

void SimOrigin::ResetAll() {
  while (!connections_.empty()) connections_.back()->Close(true);
}

size_t SimOrigin::times_seen(const std::string& target) const {
  return std::count_if(seen_.begin(), seen_.end(),
                       [&](const Seen& one) { return one.request.target == target; });
}

}  // namespace sluice
