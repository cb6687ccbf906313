// Clients over HTTP/1.1: one that keeps its connection as long as it may, and one that makes a new
// one for each request.

#include <sys/epoll.h>

#include "disruption_socket.h"
#include "response_reader.h"

namespace bench {
namespace {

//   kPausing <-> kWaiting (keep-alive)
//      ^             |
//      |             +-- told to close, closed --+
//      +------------- kConnecting <--------------+ (after kPausing, without keep-alive)
enum class State : uint8_t { kConnecting, kPausing, kWaiting, kEnding, kStopped };

class Http1Visitor final : public SocketVisitor {
 public:
  Http1Visitor(const DisruptionGroup& group, Recorder& recorder, int epoll, bool keep_alive)
      : SocketVisitor(recorder, group.port, epoll), pause_(group.pause), keep_alive_(keep_alive) {
    request_ = "GET " + group.path + " HTTP/1.1\r\nHost: localhost\r\n";
    request_ += keep_alive_ ? "\r\n" : "Connection: close\r\n\r\n";
  }

  void Connect() override {
    begun_ = Clock::now();
    state_ = State::kConnecting;
    requests_ = 0;
    if (const int error = StartSocket(); error != 0) OnConnectFailed(error);
  }

  void OnEvent(uint32_t events) override {
    if (state_ == State::kConnecting) {
      if (const int error = ConnectError(fd_); error != 0) return OnConnectFailed(error);
      if ((events & EPOLLOUT) == 0) return;
      ++counts().connected;
      // The connection is there, and whoever keeps it counts from its request.
      if (keep_alive_) begun_ = Clock::now();
      return Ask();
    }
    if (state_ != State::kStopped && fd_ >= 0) Read();
  }

  void Tick(Clock::time_point now, bool ending) override {
    if (state_ == State::kStopped) return;
    if (ending && state_ != State::kWaiting) return Stop();
    if (state_ == State::kEnding && now >= due_) return Pause();  // it said that it would close
    if (state_ != State::kPausing || now < due_) return;
    if (fd_ < 0) return Connect();
    // A client that waited looks whether the other side has closed meanwhile.
    Read();
    if (state_ != State::kPausing || fd_ < 0) return;
    begun_ = now;
    Ask();
  }

  bool stopped() const override { return state_ == State::kStopped; }
  uint64_t outstanding() const override { return state_ == State::kWaiting ? 1 : 0; }

 private:
  void OnConnectFailed(int error) {
    CountConnectError(error);
    CloseSocket();
    state_ = State::kPausing;
    due_ = Clock::now() + kRetryAfter;
  }

  void Ask() {
    reader_.Reset();
    state_ = State::kWaiting;
    ++counts().sent;
    ++requests_;
    if (!Send(request_)) OnClosed();
  }

  void Pause() {
    if (!keep_alive_) CloseSocket();
    state_ = State::kPausing;
    due_ = AfterPause(pause_);
  }

  void Stop() {
    CloseSocket();
    state_ = State::kStopped;
  }

  void Read() {
    while (fd_ >= 0) {
      bool over = false;
      const std::string_view bytes = Receive(&over);
      if (over) return OnClosed();
      if (bytes.empty()) return;
      if (state_ != State::kWaiting) return OnClosed();  // unasked: a 408, say
      reader_.Feed(bytes);
      if (reader_.broken()) Die("not an HTTP response");
      if (reader_.complete()) OnAnswered();
    }
  }

  void OnAnswered() {
    recorder_.OnAnswered(begun_);
    if (reader_.status() != 200) ++counts().not_ok;
    const bool close = reader_.close();
    if (!keep_alive_) {
      state_ = State::kEnding;
      due_ = Clock::now() + std::chrono::seconds(1);
      return;
    }
    if (close) {
      ++counts().told;
      CloseSocket();
    }
    Pause();
  }

  void OnClosed() {
    const State before = state_;
    if (before == State::kWaiting && reader_.FinishAtEndOfStream()) {
      OnAnswered();
    } else if (before == State::kWaiting) {
      ++(reader_.started() ? counts().failed_midway
         : requests_ == 1  ? counts().failed_fresh
                           : counts().failed_reused);
    } else if (before == State::kPausing) {
      ++counts().closed_idle;
    }
    CloseSocket();
    if (before != State::kPausing) Pause();
  }

  const milliseconds pause_;
  const bool keep_alive_;
  std::string request_;
  State state_ = State::kStopped;
  uint64_t requests_ = 0;  // on this connection
  Clock::time_point begun_;
  Clock::time_point due_;
  ResponseReader reader_;
};

}  // namespace

std::unique_ptr<Visitor> MakeKeepAliveVisitor(const DisruptionGroup& group, Recorder& recorder,
                                              int epoll) {
  return std::make_unique<Http1Visitor>(group, recorder, epoll, true);
}

std::unique_ptr<Visitor> MakeNewConnectionVisitor(const DisruptionGroup& group, Recorder& recorder,
                                                  int epoll) {
  return std::make_unique<Http1Visitor>(group, recorder, epoll, false);
}

}  // namespace bench
