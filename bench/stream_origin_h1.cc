#include <openssl/evp.h>
#include <openssl/sha.h>
#include <strings.h>
#include <unistd.h>

#include <string>

#include "stream_origin.h"

namespace bench {

namespace {

// The answer to a handshake's key (RFC 6455, section 4.2.2).
std::string AcceptOf(std::string key) {
  key += "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
  unsigned char digest[SHA_DIGEST_LENGTH];
  SHA1(reinterpret_cast<const unsigned char*>(key.data()), key.size(), digest);
  unsigned char text[4 * ((SHA_DIGEST_LENGTH + 2) / 3) + 1];
  const int size = EVP_EncodeBlock(text, digest, SHA_DIGEST_LENGTH);
  return {reinterpret_cast<const char*>(text), static_cast<size_t>(size)};
}

// The value of a field; `head` ends with a CRLF behind its last line.
std::string ValueOf(std::string_view head, std::string_view name) {
  while (true) {
    head.remove_prefix(head.find("\r\n") + 2);
    if (head.empty()) return {};
    const std::string_view line = head.substr(0, head.find("\r\n"));
    if (line.size() > name.size() && line[name.size()] == ':' &&
        strncasecmp(line.data(), name.data(), name.size()) == 0) {
      const size_t start = line.find_first_not_of(" \t", name.size() + 1);
      return std::string(start == line.npos ? std::string_view() : line.substr(start));
    }
  }
}

void AppendChunk(std::string& out, std::string_view data) {
  if (data.empty()) return;
  char size[20];
  std::snprintf(size, sizeof(size), "%zx\r\n", data.size());
  out.append(size).append(data).append("\r\n");
}

// One request on one connection: what is long-lived does not share.
class H1OriginConnection final : public OriginConnection {
 public:
  H1OriginConnection(int fd, uint64_t number, StreamServer& server)
      : fd_(fd), number_(number), server_(server) {}
  ~H1OriginConnection() override { close(fd_); }

  bool OnEvent() override {
    static std::string buffer(64 * 1024, '\0');
    while (true) {
      const ssize_t received = recv(fd_, buffer.data(), buffer.size(), 0);
      if (received < 0 && errno == EINTR) continue;
      if (received < 0 && errno == EAGAIN) return Write();
      if (received <= 0) return false;
      OnBytes({buffer.data(), static_cast<size_t>(received)});
    }
  }

  bool OnDue(int32_t) override {
    server_.At(source_->Tick(interval_), number_, 0);
    return Write();
  }

 private:
  void OnBytes(std::string_view bytes) {
    if (source_ != nullptr) return source_->Take(bytes);
    head_ += bytes;
    const size_t end = head_.find("\r\n\r\n");
    if (end == std::string::npos) return;
    const std::string rest = head_.substr(end + 4);
    head_.resize(end + 2);
    OnHead();
    if (source_ != nullptr && !rest.empty()) source_->Take(rest);
  }

  void OnHead() {
    const size_t start = head_.find(' ') + 1;
    const std::string path = head_.substr(start, head_.find(' ', start) - start);
    if (path.starts_with("/websocket")) {
      out_ =
          "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
          "Sec-WebSocket-Accept: " +
          AcceptOf(ValueOf(head_, "Sec-WebSocket-Key")) + "\r\n\r\n";
      source_ = std::make_unique<WebSocketSource>();
      ++server_.counts.websockets;
    } else if (path.starts_with("/events")) {
      out_ =
          "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n"
          "Transfer-Encoding: chunked\r\n\r\n";
      source_ = std::make_unique<EventSource>();
      chunked_ = true;
    } else {
      return AnswerCounts();
    }
    interval_ = IntervalOf(path);
    if (interval_.count() != 0) server_.At(FirstDelay(interval_), number_, 0);
  }

  void AnswerCounts() {
    const std::string body = "{\"websockets\": " + std::to_string(server_.counts.websockets) +
                             ", \"closed\": " + std::to_string(server_.counts.closed) + "}\n";
    out_ =
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: " + std::to_string(body.size()) +
        "\r\n\r\n" + body;
  }

  // Returns false when the connection is over.
  bool Write() {
    if (source_ != nullptr) TakeFromSource();
    while (!out_.empty()) {
      const ssize_t sent = send(fd_, out_.data(), out_.size(), MSG_NOSIGNAL);
      if (sent < 0 && errno == EINTR) continue;
      if (sent < 0) return errno == EAGAIN;
      out_.erase(0, static_cast<size_t>(sent));
    }
    if (source_ != nullptr && source_->ended() && !ended_) {
      ended_ = true;
      ++server_.counts.closed;
      shutdown(fd_, SHUT_WR);
    }
    return true;
  }

  void TakeFromSource() {
    if (!chunked_) {
      out_ += source_->out;
    } else {
      // Chunks end where no event does.
      const std::string_view all = source_->out;
      AppendChunk(out_, all.substr(0, all.size() / 3));
      AppendChunk(out_, all.substr(all.size() / 3));
    }
    source_->out.clear();
  }

  const int fd_;
  const uint64_t number_;
  StreamServer& server_;
  std::string head_;
  std::string out_;
  std::unique_ptr<StreamSource> source_;
  milliseconds interval_{0};
  bool chunked_ = false;
  bool ended_ = false;  // we have half-closed
};

}  // namespace

std::unique_ptr<OriginConnection> NewH1OriginConnection(int fd, uint64_t number,
                                                        StreamServer& server) {
  return std::make_unique<H1OriginConnection>(fd, number, server);
}

}  // namespace bench
