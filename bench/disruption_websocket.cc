// A client that has a WebSocket open, and waits for the echo of one message after the other.

#include <sys/epoll.h>

#include "disruption_socket.h"
#include "websocket.h"

namespace bench {
namespace {

constexpr size_t kMessageBytes = 125;

//   kConnecting -> kOpening (the handshake) -> kPausing <-> kWaiting (for an echo)
//        ^                                        |             |
//        +-- closed ---------- kLeaving (told) <--+-------------+
enum class State : uint8_t {
  kConnecting,
  kOpening,
  kPausing,
  kWaiting,
  kLeaving,
  kRefused,
  kStopped
};

class WebSocketVisitor final : public SocketVisitor {
 public:
  WebSocketVisitor(const DisruptionGroup& group, Recorder& recorder, int epoll)
      : SocketVisitor(recorder, group.port, epoll), pause_(group.pause) {
    handshake_ = "GET " + group.path +
                 " HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                 "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
  }

  void Connect() override {
    state_ = State::kConnecting;
    if (const int error = StartSocket(); error != 0) OnConnectFailed(error);
  }

  void OnEvent(uint32_t events) override {
    if (state_ == State::kConnecting) {
      if (const int error = ConnectError(fd_); error != 0) return OnConnectFailed(error);
      if ((events & EPOLLOUT) == 0) return;
      ++counts().connected;
      head_.clear();
      reader_ = {};
      return Say(handshake_, State::kOpening);
    }
    if (fd_ >= 0) Read();
  }

  void Tick(Clock::time_point now, bool ending) override {
    if (state_ == State::kStopped) return;
    if (ending && outstanding() == 0) {
      CloseSocket();
      state_ = State::kStopped;
    } else if (state_ == State::kRefused && now >= due_) {
      Connect();
    } else if (state_ == State::kPausing && now >= due_) {
      message_.clear();
      payload_ = std::to_string(++number_);
      payload_.resize(kMessageBytes, 'm');
      AppendFrame(message_, Role::kClient, Opcode::kText, payload_);
      Say(message_, State::kWaiting);
    }
  }

  bool stopped() const override { return state_ == State::kStopped; }
  uint64_t outstanding() const override {
    return state_ == State::kWaiting || state_ == State::kOpening ? 1 : 0;
  }

 private:
  void OnConnectFailed(int error) {
    CountConnectError(error);
    CloseSocket();
    state_ = State::kRefused;
    due_ = Clock::now() + kRetryAfter;
  }

  void Say(const std::string& bytes, State next) {
    state_ = next;
    begun_ = Clock::now();
    ++counts().sent;
    if (!Send(bytes)) OnClosed();
  }

  void Pause() {
    state_ = State::kPausing;
    due_ = AfterPause(pause_);
  }

  void Read() {
    while (fd_ >= 0) {
      bool over = false;
      std::string_view bytes = Receive(&over);
      if (over) return OnClosed();
      if (bytes.empty()) return;
      if (state_ == State::kOpening) {
        head_ += bytes;
        const size_t end = head_.find("\r\n\r\n");
        if (end == std::string::npos) continue;
        OnHead();
        bytes = std::string_view(head_).substr(end + 4);
      }
      reader_.Feed(bytes);
      for (WebSocketFrame frame; fd_ >= 0 && reader_.Next(frame);) OnFrame(frame);
      if (reader_.broken()) Die("not a WebSocket frame");
    }
  }

  void OnHead() {
    recorder_.OnAnswered(begun_);
    if (head_.starts_with("HTTP/1.1 101 ")) return Pause();
    state_ = State::kLeaving;
    ++counts().not_ok;
    OnClosed();
  }

  void OnFrame(const WebSocketFrame& frame) {
    if (frame.opcode == Opcode::kText && state_ == State::kWaiting) {
      recorder_.OnAnswered(begun_);
      if (frame.payload != payload_) ++counts().not_ok;
      Pause();
    } else if (frame.opcode == Opcode::kClose) {
      ++counts().told;
      if (state_ == State::kWaiting) ++counts().failed_reused;  // there will be no echo
      state_ = State::kLeaving;
      std::string close;
      AppendClose(close, Role::kClient, frame.close_code());
      if (!Send(close)) OnClosed();
    }
  }

  void OnClosed() {
    if (state_ == State::kOpening)
      ++(head_.empty() ? counts().failed_fresh : counts().failed_midway);
    if (state_ == State::kWaiting) {
      ++(reader_.in_frame() ? counts().failed_midway : counts().failed_reused);
    }
    if (state_ == State::kPausing) ++counts().closed_idle;
    CloseSocket();
    state_ = State::kRefused;
    due_ = AfterPause(pause_);
  }

  const milliseconds pause_;
  std::string handshake_;
  State state_ = State::kStopped;
  std::string head_;  // of the response to the handshake
  WebSocketReader reader_;
  uint64_t number_ = 0;  // of messages
  std::string payload_;
  std::string message_;  // framed
  Clock::time_point begun_;
  Clock::time_point due_;
};

}  // namespace

std::unique_ptr<Visitor> MakeWebSocketVisitor(const DisruptionGroup& group, Recorder& recorder,
                                              int epoll) {
  return std::make_unique<WebSocketVisitor>(group, recorder, epoll);
}

}  // namespace bench
