#include <unistd.h>

#include <string>

#include "response_reader.h"
#include "stream_client.h"

namespace bench {

namespace {

// One WebSocket or one event stream.
class H1ClientConnection final : public ClientConnection {
 public:
  H1ClientConnection(StreamGroup& group, StreamHub& hub)
      : group_(group), hub_(hub), follower_(NewFollower(group.kind)) {
    response_.on_body = [this](std::string_view bytes) { follower_->Feed(bytes); };
  }
  ~H1ClientConnection() override { Close(); }

  void Connect() override {
    int error = 0;
    fd_ = StartConnecting(group_.port, &error);
    if (error != 0) DieOpening(group_, std::strerror(error));
    out_ = "GET " + group_.path + " HTTP/1.1\r\nHost: localhost\r\n";
    if (websocket()) {
      out_ +=
          "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
          "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    } else {
      out_ += "Accept: text/event-stream\r\n";
    }
    out_ += "\r\n";
    hub_.Watch(fd_, *this);
  }

  void OnEvent(uint32_t) override {
    if (!connected_) {
      const int error = ConnectError(fd_);
      if (error != 0) DieOpening(group_, std::strerror(error));
      connected_ = true;
    }
    static std::string buffer(64 * 1024, '\0');
    while (fd_ >= 0) {
      const ssize_t received = recv(fd_, buffer.data(), buffer.size(), 0);
      if (received < 0 && errno == EINTR) continue;
      if (received < 0 && errno == EAGAIN) break;
      if (received <= 0) return OnEnd(received < 0);
      OnBytes({buffer.data(), static_cast<size_t>(received)});
    }
    Write();
  }

 private:
  bool websocket() const { return group_.kind == StreamKind::kWebSocket; }

  void OnBytes(std::string_view bytes) {
    if (!websocket()) {
      response_.Feed(bytes);
      if (response_.broken()) Die("not an HTTP response");
      if (response_.status() != 0 && response_.status() != 200) {
        DieOpening(group_, "the answer is " + std::to_string(response_.status()));
      }
    } else if (upgraded_) {
      follower_->Feed(bytes);
    } else {
      head_ += bytes;
      const size_t end = head_.find("\r\n\r\n");
      if (end == std::string::npos) return;
      if (!head_.starts_with("HTTP/1.1 101 ")) DieOpening(group_, head_);
      upgraded_ = true;
      follower_->Feed(std::string_view(head_).substr(end + 4));
    }
    if (follower_->begun() && !open_) {
      open_ = true;
      hub_.OnOpen(group_);
    }
    if (response_.complete()) {
      follower_->OnComplete();
      OnEnd(false);
    }
  }

  void Write() {
    if (upgraded_) {
      out_ += follower_->reply;
      follower_->reply.clear();
    }
    while (fd_ >= 0 && !out_.empty()) {
      const ssize_t sent = send(fd_, out_.data(), out_.size(), MSG_NOSIGNAL);
      if (sent < 0 && errno == EINTR) continue;
      // A connection that broke says so when it is read.
      if (sent < 0) return;
      out_.erase(0, static_cast<size_t>(sent));
    }
  }

  void OnEnd(bool reset) {
    if (!open_) DieOpening(group_, "the connection ended");
    Close();
    hub_.OnEnd(group_, follower_->End(reset));
  }

  void Close() {
    if (fd_ >= 0) close(fd_);
    fd_ = -1;
  }

  StreamGroup& group_;
  StreamHub& hub_;
  std::unique_ptr<StreamFollower> follower_;
  int fd_ = -1;
  bool connected_ = false;
  bool upgraded_ = false;  // of a WebSocket: 101 has come
  bool open_ = false;
  std::string head_;         // of the response to the upgrade
  ResponseReader response_;  // of an event stream
  std::string out_;
};

}  // namespace

std::unique_ptr<ClientConnection> NewH1ClientConnection(StreamGroup& group, StreamHub& hub) {
  return std::make_unique<H1ClientConnection>(group, hub);
}

}  // namespace bench
