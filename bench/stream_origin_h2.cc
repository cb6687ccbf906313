#include <cstring>
#include <string>
#include <unordered_map>

#include "h2_pipe.h"
#include "stream_origin.h"

namespace bench {

namespace {

constexpr uint32_t kMaxStreams = 128;

struct OriginStream {
  std::string path;
  bool connect = false;  // extended CONNECT (RFC 8441): a WebSocket
  std::unique_ptr<StreamSource> source;
  milliseconds interval{0};
  bool counted = false;   // its Close
  bool deferred = false;  // nghttp2 waits to be told that there is more
};

class H2OriginConnection final : public OriginConnection {
 public:
  H2OriginConnection(int fd, uint64_t number, StreamServer& server)
      : number_(number), server_(server), pipe_(fd, NewSession(this)) {
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, kMaxStreams},
        {NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1}};
    nghttp2_submit_settings(pipe_.session(), NGHTTP2_FLAG_NONE, settings, 2);
  }

  bool OnEvent() override { return pipe_.Read() && Write(); }

  bool OnDue(int32_t id) override {
    const auto found = streams_.find(id);
    if (found == streams_.end()) return true;
    OriginStream& stream = found->second;
    server_.At(stream.source->Tick(stream.interval), number_, id);
    Resume(id, stream);
    return Write();
  }

 private:
  static H2OriginConnection& Self(void* user) { return *static_cast<H2OriginConnection*>(user); }

  static nghttp2_session* NewSession(H2OriginConnection* self) {
    nghttp2_session_callbacks* callbacks = nullptr;
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_header_callback(
        callbacks,
        [](nghttp2_session*, const nghttp2_frame* frame, const uint8_t* name, size_t name_size,
           const uint8_t* value, size_t value_size, uint8_t, void* user) {
          OriginStream& stream = Self(user).streams_[frame->hd.stream_id];
          const std::string_view field(reinterpret_cast<const char*>(name), name_size);
          const std::string_view text(reinterpret_cast<const char*>(value), value_size);
          if (field == ":path") stream.path = text;
          if (field == ":protocol") stream.connect = text == "websocket";
          return 0;
        });
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(
        callbacks,
        [](nghttp2_session*, uint8_t, int32_t id, const uint8_t* bytes, size_t size, void* user) {
          OriginStream& stream = Self(user).streams_[id];
          if (stream.source == nullptr) return 0;
          stream.source->Take({reinterpret_cast<const char*>(bytes), size});
          Self(user).Resume(id, stream);
          return 0;
        });
    nghttp2_session_callbacks_set_on_frame_recv_callback(
        callbacks, [](nghttp2_session*, const nghttp2_frame* frame, void* user) {
          if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
            Self(user).OnRequest(frame->hd.stream_id);
          }
          return 0;
        });
    nghttp2_session_callbacks_set_on_stream_close_callback(
        callbacks, [](nghttp2_session*, int32_t id, uint32_t, void* user) {
          Self(user).streams_.erase(id);
          return 0;
        });
    nghttp2_session* session = nullptr;
    nghttp2_session_server_new(&session, callbacks, self);
    nghttp2_session_callbacks_del(callbacks);
    return session;
  }

  void OnRequest(int32_t id) {
    OriginStream& stream = streams_[id];
    if (stream.connect) {
      stream.source = std::make_unique<WebSocketSource>();
      ++server_.counts.websockets;
    } else {
      stream.source = std::make_unique<GrpcSource>();
    }
    stream.interval = IntervalOf(stream.path);
    if (stream.interval.count() != 0) server_.At(FirstDelay(stream.interval), number_, id);
    static const std::string ok = "200";
    static const std::string grpc = "application/grpc";
    const nghttp2_nv fields[] = {Field(":status", ok), Field("content-type", grpc)};
    nghttp2_data_provider body = {};
    body.source.ptr = &stream;
    body.read_callback = [](nghttp2_session*, int32_t, uint8_t* buffer, size_t size,
                            uint32_t* flags, nghttp2_data_source* source, void* user) {
      return Self(user).NextBytes(*static_cast<OriginStream*>(source->ptr), buffer, size, flags);
    };
    nghttp2_submit_response(pipe_.session(), id, fields, stream.connect ? 1 : 2, &body);
  }

  ssize_t NextBytes(OriginStream& stream, uint8_t* buffer, size_t size, uint32_t* flags) {
    std::string& out = stream.source->out;
    const size_t copied = std::min(size, out.size());
    std::memcpy(buffer, out.data(), copied);
    out.erase(0, copied);
    if (out.empty() && stream.source->ended()) {
      if (!stream.counted) ++server_.counts.closed;
      stream.counted = true;
      *flags |= NGHTTP2_DATA_FLAG_EOF;
    } else if (copied == 0) {
      stream.deferred = true;
      return NGHTTP2_ERR_DEFERRED;
    }
    return static_cast<ssize_t>(copied);
  }

  void Resume(int32_t id, OriginStream& stream) {
    if (!stream.deferred || stream.source->out.empty()) return;
    stream.deferred = false;
    nghttp2_session_resume_data(pipe_.session(), id);
  }

  bool Write() { return pipe_.Write() != H2Pipe::Written::kFailed && !pipe_.finished(); }

  const uint64_t number_;
  StreamServer& server_;
  std::unordered_map<int32_t, OriginStream> streams_;
  H2Pipe pipe_;
};

}  // namespace

std::unique_ptr<OriginConnection> NewH2OriginConnection(int fd, uint64_t number,
                                                        StreamServer& server) {
  return std::make_unique<H2OriginConnection>(fd, number, server);
}

}  // namespace bench
