#include "support/sim_stream_origin.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string_view>
#include <utility>

#include "support/sim_http.h"

namespace sluice {
namespace {

using test::Opcode;

uint64_t Number(const std::map<std::string, std::string>& query, const std::string& key,
                uint64_t otherwise) {
  const auto found = query.find(key);
  return found == query.end() ? otherwise : std::strtoull(found->second.c_str(), nullptr, 10);
}

std::string Chunk(std::string_view bytes) {
  char size[32];
  std::snprintf(size, sizeof(size), "%zx\r\n", bytes.size());
  return std::string(size).append(bytes).append("\r\n");
}

std::string RandomEvent(uint64_t number, Random& random) {
  static constexpr const char* kEnds[] = {"\n", "\r", "\r\n"};
  const auto end = [&random] { return std::string(kEnds[random.Below(3)]); };
  std::string event;
  if (random.Chance(0.2)) event += ": comment" + end();
  event += "id: " + std::to_string(number) + end();
  event += "data: " + std::string(random.Below(20), 'x') + end();
  std::string blank = end();
  if (event.back() == '\r' && blank == "\n") blank = "\r";  // CRLF would be one end
  return event + blank;
}

}  // namespace

std::string RandomFrames(WebSocketSender sender, const std::string& message, Random& random) {
  std::string frames;
  std::string_view rest = message;
  for (bool first = true; first || !rest.empty(); first = false) {
    if (random.Chance(0.2)) {
      frames += Frame(sender, random.Chance(0.5) ? Opcode::kPing : Opcode::kPong, "between");
    }
    const size_t piece = random.Chance(0.5) ? rest.size() : random.Below(rest.size() + 1);
    const uint8_t flags = piece == rest.size() ? test::kFinBit : 0;
    frames +=
        Frame(sender, first ? Opcode::kText : Opcode::kContinuation, rest.substr(0, piece), flags);
    rest.remove_prefix(piece);
    if (flags != 0) break;
  }
  return frames;
}

class SimStreamOrigin::Connection final : private TransportEvents {
 public:
  Connection(SimStreamOrigin& origin, std::unique_ptr<Transport> transport)
      : origin_(origin), transport_(std::move(transport)) {
    reader_.on_head = [this](const SimMessage& request) { OnHead(request); };
    reader_.on_tunnel = [this](std::string_view bytes) { OnFrames(bytes); };
    transport_->SetEvents(this);
  }

  const Session& session() const { return session_; }

 private:
  void OnHead(const SimMessage& request) {
    session_.target = request.target;
    const std::string path = request.target.substr(0, request.target.find('?'));
    const auto query = SimQuery(request.target);
    left_to_say_ = Number(query, "count", 0);
    gap_ = Number(query, "ms", 10);
    websocket_ = path == "/websocket";
    endless_ = path == "/endless";
    if (path == "/silent") return;
    if (websocket_) {
      reader_.EnterTunnel();
      Write(
          "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n");
    } else {
      std::string type = endless_ ? "text/plain" : "text/event-stream";
      if (query.contains("compressed")) type = "text/event-stream\r\nContent-Encoding: gzip";
      Write("HTTP/1.1 200 OK\r\nContent-Type: " + type + "\r\nTransfer-Encoding: chunked\r\n\r\n");
    }
    SayLater();
  }

  void OnFrames(std::string_view bytes) {
    frames_.Feed(bytes);
    session_.complaint = frames_.error();
    session_.close = frames_.close();
    for (; session_.heard.size() < frames_.messages().size();) {
      session_.heard.push_back(frames_.messages()[session_.heard.size()]);
      if (!closing_) Say("echo of " + session_.heard.back());
    }
    if (session_.close && !std::exchange(closing_, true)) {
      out_ += test::CloseFrame(WebSocketSender::kServer, session_.close->code);
      PumpLater();
    }
  }

  void SayLater() {
    if (left_to_say_ == 0 && !endless_) return;
    Later(gap_, [this] {
      if (closing_) return;
      if (!endless_) --left_to_say_;
      Say("message " + std::to_string(left_to_say_) + " " +
          std::string(origin_.random_.Below(1u << origin_.random_.Below(9)), 'o'));
      SayLater();
    });
  }

  void Say(const std::string& message) {
    if (websocket_) {
      session_.said.push_back(message);
      out_ += RandomFrames(WebSocketSender::kServer, message, origin_.random_);
    } else if (endless_) {
      out_ += message;
    } else {
      out_ += RandomEvent(left_to_say_, origin_.random_);
    }
    PumpLater();
  }

  void PumpLater() {
    if (std::exchange(pumping_, true)) return;
    Later(3, [this] { Pump(); });
  }

  // Some of what waits leaves.
  void Pump() {
    pumping_ = false;
    const size_t most = 1 + origin_.random_.Below(1u << origin_.random_.Below(9));
    const std::string piece = out_.substr(0, most);
    out_.erase(0, piece.size());
    if (!websocket_) session_.text += piece;
    Write(websocket_ ? piece : Chunk(piece));
    if (!out_.empty()) {
      PumpLater();
    } else if (closing_) {
      transport_->ShutdownWrite();
    }
  }

  void Later(uint64_t most, std::function<void()> what) {
    const auto delay = std::chrono::milliseconds(origin_.random_.Below(most + 1));
    origin_.loop_.After(delay, [this, what = std::move(what)] {
      if (!session_.over) what();
    });
  }

  void Write(const std::string& bytes) { transport_->Write(origin_.loop_.Lend(bytes)); }

  void End() {
    session_.over = true;
    transport_->Close();
  }

  void OnData(std::string_view bytes) override {
    reader_.Feed(bytes);
    if (!reader_.error().empty()) session_.complaint = reader_.error();
  }
  void OnEof() override { End(); }
  void OnWritable() override {}
  void OnError(int) override { End(); }

  SimStreamOrigin& origin_;
  std::unique_ptr<Transport> transport_;
  SimReader reader_{SimReader::Kind::kRequests};
  test::WebSocketReader frames_{WebSocketSender::kClient};
  Session session_;
  std::string out_;
  uint64_t left_to_say_ = 0;
  uint64_t gap_ = 0;
  bool websocket_ = false;
  bool endless_ = false;
  bool closing_ = false;
  bool pumping_ = false;
};

SimStreamOrigin::SimStreamOrigin(SimLoop& loop, SimNetwork& network, const std::string& address,
                                 uint64_t seed)
    : loop_(loop), network_(network), address_(address), random_(seed) {
  network_.At(address_).accept = [this](std::unique_ptr<Transport> transport) {
    connections_.push_back(std::make_unique<Connection>(*this, std::move(transport)));
  };
}

SimStreamOrigin::~SimStreamOrigin() { network_.At(address_).accept = nullptr; }

std::vector<const SimStreamOrigin::Session*> SimStreamOrigin::sessions() const {
  std::vector<const Session*> sessions;
  for (const auto& connection : connections_) sessions.push_back(&connection->session());
  return sessions;
}

const SimStreamOrigin::Session* SimStreamOrigin::Find(const std::string& target) const {
  for (const Session* session : sessions()) {
    if (session->target == target) return session;
  }
  return nullptr;
}

}  // namespace sluice
