#include <sys/epoll.h>

#include <cstring>
#include <string>
#include <unordered_map>

#include "h2_pipe.h"
#include "stream_client.h"

namespace bench {

namespace {

struct ClientStream {
  std::unique_ptr<StreamFollower> follower;
  std::string out;  // of a gRPC call: its one message
  bool open = false;
  bool ended = false;     // its end was counted
  bool deferred = false;  // nghttp2 waits to be told that there is more
};

// gRPC calls, or WebSockets by extended CONNECT (RFC 8441).
class H2ClientConnection final : public ClientConnection {
 public:
  H2ClientConnection(StreamGroup& group, StreamHub& hub) : group_(group), hub_(hub) {}

  void Connect() override {
    int error = 0;
    fd_ = StartConnecting(group_.port, &error);
    if (error != 0) DieOpening(group_, std::strerror(error));
    hub_.Watch(fd_, *this);
  }

  void OnEvent(uint32_t events) override {
    if (pipe_ == nullptr) {
      const int error = ConnectError(fd_);
      if (error != 0) DieOpening(group_, std::strerror(error));
      if ((events & EPOLLOUT) == 0) return;
      pipe_ = std::make_unique<H2Pipe>(fd_, NewSession(this));
      nghttp2_submit_settings(pipe_->session(), NGHTTP2_FLAG_NONE, nullptr, 0);
      if (!websockets()) SubmitAll();
    }
    if (over_) return;
    const bool more = pipe_->Read();
    if (pipe_->broken()) Die("the peer broke the protocol of HTTP/2");
    if (!more || pipe_->Write() == H2Pipe::Written::kFailed || pipe_->finished()) OnOver();
  }

 private:
  static H2ClientConnection& Self(void* user) { return *static_cast<H2ClientConnection*>(user); }

  bool websockets() const { return group_.kind == StreamKind::kWebSocket; }

  static nghttp2_session* NewSession(H2ClientConnection* self) {
    nghttp2_session_callbacks* callbacks = nullptr;
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_header_callback(
        callbacks,
        [](nghttp2_session*, const nghttp2_frame* frame, const uint8_t* name, size_t name_size,
           const uint8_t* value, size_t value_size, uint8_t, void* user) {
          Self(user).OnField(frame->hd.stream_id, {reinterpret_cast<const char*>(name), name_size},
                             {reinterpret_cast<const char*>(value), value_size});
          return 0;
        });
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(
        callbacks,
        [](nghttp2_session*, uint8_t, int32_t id, const uint8_t* bytes, size_t size, void* user) {
          Self(user).OnData(id, {reinterpret_cast<const char*>(bytes), size});
          return 0;
        });
    nghttp2_session_callbacks_set_on_frame_recv_callback(
        callbacks, [](nghttp2_session*, const nghttp2_frame* frame, void* user) {
          Self(user).OnFrame(*frame);
          return 0;
        });
    nghttp2_session_callbacks_set_on_stream_close_callback(
        callbacks, [](nghttp2_session*, int32_t id, uint32_t error, void* user) {
          const auto found = Self(user).streams_.find(id);
          if (found == Self(user).streams_.end()) return 0;
          Self(user).OnEnd(found->second, error != NGHTTP2_NO_ERROR);
          Self(user).streams_.erase(found);
          return 0;
        });
    nghttp2_session* session = nullptr;
    nghttp2_session_client_new(&session, callbacks, self);
    nghttp2_session_callbacks_del(callbacks);
    return session;
  }

  void SubmitAll() {
    for (int i = 0; i < group_.streams; ++i) Submit();
  }

  void Submit() {
    static const std::string connect = "CONNECT";
    static const std::string post = "POST";
    static const std::string websocket = "websocket";
    static const std::string version = "13";
    static const std::string http = "http";
    static const std::string host = "localhost";
    static const std::string grpc = "application/grpc";
    static const std::string trailers = "trailers";
    const nghttp2_nv call[] = {Field(":method", post),      Field(":scheme", http),
                               Field(":authority", host),   Field(":path", group_.path),
                               Field("content-type", grpc), Field("te", trailers)};
    const nghttp2_nv upgrade[] = {
        Field(":method", connect),   Field(":protocol", websocket),
        Field(":scheme", http),      Field(":authority", host),
        Field(":path", group_.path), Field("sec-websocket-version", version)};
    nghttp2_data_provider body = {};
    body.read_callback = [](nghttp2_session*, int32_t id, uint8_t* buffer, size_t size,
                            uint32_t* flags, nghttp2_data_source*, void* user) {
      return Self(user).NextBytes(Self(user).streams_.at(id), buffer, size, flags);
    };
    const int32_t id = nghttp2_submit_request(pipe_->session(), nullptr,
                                              websockets() ? upgrade : call, 6, &body, nullptr);
    if (id < 0) DieOpening(group_, nghttp2_strerror(id));
    ClientStream& stream = streams_[id];
    stream.follower = NewFollower(group_.kind);
    if (!websockets()) stream.out = GrpcMessage(NumberedMessage(0));
  }

  ssize_t NextBytes(ClientStream& stream, uint8_t* buffer, size_t size, uint32_t* flags) {
    std::string& out = websockets() ? stream.follower->reply : stream.out;
    const size_t copied = std::min(size, out.size());
    std::memcpy(buffer, out.data(), copied);
    out.erase(0, copied);
    // A call has one message; a WebSocket is half-closed after the other side has done so.
    if (out.empty() && (!websockets() || stream.ended)) {
      *flags |= NGHTTP2_DATA_FLAG_EOF;
    } else if (copied == 0) {
      stream.deferred = true;
      return NGHTTP2_ERR_DEFERRED;
    }
    return static_cast<ssize_t>(copied);
  }

  void OnFrame(const nghttp2_frame& frame) {
    if (frame.hd.type == NGHTTP2_SETTINGS && websockets() && streams_.empty() && !over_) {
      if (nghttp2_session_get_remote_settings(pipe_->session(),
                                              NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL) != 1) {
        DieOpening(group_, "extended CONNECT (RFC 8441) is not on offer");
      }
      if ((frame.hd.flags & NGHTTP2_FLAG_ACK) == 0) SubmitAll();
    }
    const bool message = frame.hd.type == NGHTTP2_HEADERS || frame.hd.type == NGHTTP2_DATA;
    if (!message || (frame.hd.flags & NGHTTP2_FLAG_END_STREAM) == 0) return;
    ClientStream& stream = streams_.at(frame.hd.stream_id);
    stream.follower->OnComplete();
    OnEnd(stream, false);
    Resume(frame.hd.stream_id, stream);
  }

  void OnField(int32_t id, std::string_view name, std::string_view value) {
    const auto found = streams_.find(id);
    if (found == streams_.end()) return;
    if (name == ":status" && value != "200") {
      DieOpening(group_, "the answer is " + std::string(value));
    }
    found->second.follower->OnTrailer(name, value);
  }

  void OnData(int32_t id, std::string_view bytes) {
    const auto found = streams_.find(id);
    if (found == streams_.end()) return;
    ClientStream& stream = found->second;
    stream.follower->Feed(bytes);
    if (stream.follower->begun() && !stream.open) {
      stream.open = true;
      hub_.OnOpen(group_);
    }
    Resume(id, stream);
  }

  void Resume(int32_t id, ClientStream& stream) {
    const bool more = !stream.follower->reply.empty() || stream.ended;
    if (!stream.deferred || !more) return;
    stream.deferred = false;
    nghttp2_session_resume_data(pipe_->session(), id);
  }

  void OnEnd(ClientStream& stream, bool reset) {
    if (stream.ended) return;
    if (!stream.open) DieOpening(group_, "the stream ended");
    stream.ended = true;
    hub_.OnEnd(group_, stream.follower->End(reset));
  }

  // The connection is, and with it all that was open.
  void OnOver() {
    over_ = true;
    for (auto& [id, stream] : streams_) OnEnd(stream, pipe_->reset());
    streams_.clear();
    pipe_.reset();
  }

  StreamGroup& group_;
  StreamHub& hub_;
  int fd_ = -1;  // the pipe's, once there is one
  bool over_ = false;
  std::unordered_map<int32_t, ClientStream> streams_;
  std::unique_ptr<H2Pipe> pipe_;
};

}  // namespace

std::unique_ptr<ClientConnection> NewH2ClientConnection(StreamGroup& group, StreamHub& hub) {
  return std::make_unique<H2ClientConnection>(group, hub);
}

}  // namespace bench
