// What the origin of long-lived streams sends: a WebSocket session, an event stream, or the
// messages of a gRPC call. None of them knows whether HTTP/1.1 or HTTP/2 carries it.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "stream_message.h"
#include "websocket.h"

namespace bench {

using std::chrono::milliseconds;

// Sends numbered messages, each in two pieces with a pause between them: some streams are always in
// the middle of one.
class StreamSource {
 public:
  static constexpr auto kPause = milliseconds(20);

  virtual ~StreamSource() = default;

  // Bytes from the client.
  virtual void Take(std::string_view) {}

  // Puts into `out` what is due; returns when the next is, from now.
  milliseconds Tick(milliseconds interval) {
    if (rest_.empty()) {
      std::string first = Message(number_++);
      const size_t half = Half(first);
      rest_ = first.substr(half);
      out.append(first, 0, half);
      return kPause;
    }
    out += rest_;
    rest_.clear();
    OnMessageSent();
    return interval;
  }

  // Nothing more will come, but what is in `out`.
  virtual bool ended() const { return false; }

  std::string out;  // to be sent; whoever sends it, takes it away

 protected:
  bool in_message() const { return !rest_.empty(); }

 private:
  virtual std::string Message(uint64_t number) = 0;
  virtual size_t Half(const std::string& message) const { return message.size() / 2; }
  virtual void OnMessageSent() {}

  uint64_t number_ = 0;
  std::string rest_;  // of the message that was begun
};

class EventSource final : public StreamSource {
  std::string Message(uint64_t number) override { return NumberedEvent(number); }
};

class GrpcSource final : public StreamSource {
  std::string Message(uint64_t number) override { return GrpcMessage(NumberedMessage(number)); }
};

// Echoes messages, answers a Close, and sends messages of its own when it is ticked: in turn cut
// within a frame, and between two fragments.
class WebSocketSource final : public StreamSource {
 public:
  void Take(std::string_view bytes) override {
    reader_.Feed(bytes);
    WebSocketFrame frame;
    while (!closed_ && reader_.Next(frame)) {
      if (frame.opcode == Opcode::kClose) {
        closed_ = true;
        close_code_ = frame.close_code();
      } else if (frame.opcode == Opcode::kPing) {
        AppendFrame(Answer(), Role::kServer, Opcode::kPong, frame.payload);
      } else if (frame.opcode != Opcode::kPong) {
        AppendFrame(Answer(), Role::kServer, frame.opcode, frame.payload, frame.last);
      }
    }
    if (!in_message()) OnMessageSent();
  }

  // The client has said Close, and was answered.
  bool ended() const override { return ended_; }

 private:
  // Between the pieces of a message nothing else may be sent.
  std::string& Answer() { return in_message() ? held_ : out; }

  std::string Message(uint64_t number) override {
    const std::string text = NumberedMessage(number);
    std::string message;
    fragmented_ = number % 2 != 0;
    if (fragmented_) {
      const std::string_view whole = text;
      AppendFrame(message, Role::kServer, Opcode::kText, whole.substr(0, kMessageBytes / 2), false);
      first_fragment_ = message.size();
      AppendFrame(message, Role::kServer, Opcode::kContinuation, whole.substr(kMessageBytes / 2));
    } else {
      AppendFrame(message, Role::kServer, Opcode::kText, text);
    }
    return message;
  }

  size_t Half(const std::string& message) const override {
    return fragmented_ ? first_fragment_ : message.size() / 2;
  }

  void OnMessageSent() override {
    out += held_;
    held_.clear();
    if (!closed_ || ended_) return;
    AppendClose(out, Role::kServer, close_code_ != 0 ? close_code_ : kNormalClosure);
    ended_ = true;
  }

  WebSocketReader reader_;
  std::string held_;
  size_t first_fragment_ = 0;
  bool fragmented_ = false;  // the message under way
  bool closed_ = false;      // the client has
  bool ended_ = false;
  uint16_t close_code_ = 0;
};

}  // namespace bench
