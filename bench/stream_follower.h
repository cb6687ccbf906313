// What a client of a long-lived stream makes of the bytes it receives: whether every message
// arrived whole and in order, and whether the end was told in the stream's own words. None of them
// knows whether HTTP/1.1 or HTTP/2 carries it.
#pragma once

#include <charconv>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "stream_message.h"
#include "websocket.h"

namespace bench {

enum class StreamKind : uint8_t { kWebSocket, kEvents, kGrpc };

enum class StreamEnd : uint8_t {
  kClean,   // told, between messages, not reset
  kCut,     // in the middle of a message
  kReset,   // between messages, by a reset
  kUntold,  // between messages, without a word, or with another than that the server goes away
  kBroken,  // what arrived is not what was sent: lost, changed, or more after the last word
};

class StreamFollower {
 public:
  virtual ~StreamFollower() = default;

  // Bytes of the stream: of a WebSocket, or of a response's body.
  virtual void Feed(std::string_view bytes) = 0;
  // A trailer.
  virtual void OnTrailer(std::string_view, std::string_view) {}
  // The body is complete as HTTP goes.
  virtual void OnComplete() {}

  // The first message has arrived.
  bool begun() const { return begun_; }

  // `reset`: the connection or the stream was.
  StreamEnd End(bool reset) const {
    if (broken_) return StreamEnd::kBroken;
    if (in_message()) return StreamEnd::kCut;
    if (reset) return StreamEnd::kReset;
    return told_ ? StreamEnd::kClean : StreamEnd::kUntold;
  }

  std::string reply;  // to be sent; whoever sends it, takes it away

 protected:
  virtual bool in_message() const = 0;

  void OnMessage(std::string_view message) {
    begun_ = true;
    broken_ |= message != NumberedMessage(next_++);
  }

  bool begun_ = false;
  bool told_ = false;
  bool broken_ = false;
  uint64_t next_ = 0;
};

// Says hello, which must come back, and answers a Close.
class WebSocketFollower final : public StreamFollower {
 public:
  WebSocketFollower() { AppendFrame(reply, Role::kClient, Opcode::kText, kHello); }

  void Feed(std::string_view bytes) override {
    // Close was the last word (RFC 6455, section 5.5.1).
    broken_ |= closed_;
    reader_.Feed(bytes);
    WebSocketFrame frame;
    while (!closed_ && reader_.Next(frame)) OnFrame(frame);
    broken_ |= reader_.broken() || (closed_ && reader_.in_frame());
  }

 private:
  bool in_message() const override { return in_fragments_ || reader_.in_frame(); }

  void OnFrame(const WebSocketFrame& frame) {
    if (frame.opcode == Opcode::kClose) {
      closed_ = true;
      told_ = frame.close_code() == kGoingAway;
      AppendClose(reply, Role::kClient,
                  frame.close_code() != 0 ? frame.close_code() : kNormalClosure);
    } else if (frame.opcode == Opcode::kPing) {
      AppendFrame(reply, Role::kClient, Opcode::kPong, frame.payload);
    } else if (frame.opcode != Opcode::kPong) {
      broken_ |= in_fragments_ != (frame.opcode == Opcode::kContinuation);
      in_fragments_ = !frame.last;
      message_ += frame.payload;
      if (frame.last) OnWhole();
    }
  }

  void OnWhole() {
    if (message_ == kHello) {
      begun_ = true;
    } else {
      OnMessage(message_);
    }
    message_.clear();
  }

  WebSocketReader reader_;
  std::string message_;
  bool in_fragments_ = false;
  bool closed_ = false;
};

// An event stream. It is told of its end by the end of the response; `retry` may come at any time.
class EventFollower final : public StreamFollower {
 public:
  void Feed(std::string_view bytes) override {
    for (const char byte : bytes) {
      if (byte != '\n') {
        line_ += byte;
      } else {
        OnLine();
        line_.clear();
      }
    }
  }

  void OnComplete() override { told_ = true; }

 private:
  bool in_message() const override { return in_event_ || !line_.empty(); }

  void OnLine() {
    constexpr std::string_view kData = "data: ";
    std::string_view line = line_;
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty()) {
      if (!data_.empty()) OnMessage(data_);
      data_.clear();
    } else if (line.starts_with(kData)) {
      data_ = line.substr(kData.size());
    } else if (line.starts_with("id: ")) {
      broken_ |= line.substr(4) != std::to_string(next_);
    } else {
      broken_ |= !line.starts_with("retry:");
    }
    in_event_ = !line.empty();
  }

  std::string line_;
  std::string data_;
  bool in_event_ = false;
};

// The messages of a gRPC call. Told is the status UNAVAILABLE, after which clients ask elsewhere.
class GrpcFollower final : public StreamFollower {
 public:
  void Feed(std::string_view bytes) override {
    constexpr size_t kPrefix = 5;
    buffer_ += bytes;
    while (buffer_.size() >= kPrefix + kMessageBytes) {
      const std::string message = buffer_.substr(kPrefix, kMessageBytes);
      broken_ |= GrpcMessage(message).compare(0, kPrefix, buffer_, 0, kPrefix) != 0;
      OnMessage(message);
      buffer_.erase(0, kPrefix + kMessageBytes);
    }
  }

  void OnTrailer(std::string_view name, std::string_view value) override {
    if (name == "grpc-status") unavailable_ = value == "14";
  }

  void OnComplete() override { told_ = unavailable_; }

 private:
  bool in_message() const override { return !buffer_.empty(); }

  std::string buffer_;
  bool unavailable_ = false;
};

inline std::unique_ptr<StreamFollower> NewFollower(StreamKind kind) {
  switch (kind) {
    case StreamKind::kWebSocket:
      return std::make_unique<WebSocketFollower>();
    case StreamKind::kEvents:
      return std::make_unique<EventFollower>();
    case StreamKind::kGrpc:
      break;
  }
  return std::make_unique<GrpcFollower>();
}

}  // namespace bench
