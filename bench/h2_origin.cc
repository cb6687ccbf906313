// A fast HTTP/2 origin for the benches: cleartext, by prior knowledge, one thread.
//
//   /<N>B, /<N>KiB     a body of that size
//   /wait?ms=N         answers after N milliseconds
//   /trickle?ms=N      sends its body in ten chunks over that time
//   /requests          how many requests there were, this one and its kind not counted
//
// A request of content-type application/grpc gets its own bytes back as the body (an echo, if it
// holds one message), at the time the path says, and the trailer grpc-status: 0.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "h2_pipe.h"

namespace {

using bench::Field;
using bench::H2Pipe;
using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr uint32_t kMaxStreams = 128;
constexpr int kChunks = 10;
constexpr size_t kTrickleBytes = 50;  // as slow_origin.py

[[noreturn]] void Die(const char* why) {
  std::fprintf(stderr, "h2_origin: %s: %s\n", why, std::strerror(errno));
  std::exit(1);
}

struct Stream {
  int32_t id = 0;
  std::string path;
  std::string body;         // of the request, if it is gRPC; what of the response is to be sent
  std::string later;        // of the response, to come by and by
  size_t chunk = 0;         // how much of it at a time
  milliseconds interval{};  // between chunks
  uint64_t fill = 0;        // bytes of a response that are all alike, to be sent
  bool grpc = false;
  bool deferred = false;  // nghttp2 waits to be told that there is more
};

class Connection;

// What is to happen to a stream later. Connections are named by number: they may be gone by then.
struct Due {
  uint64_t connection;
  int32_t stream;
};

class Server {
 public:
  explicit Server(uint16_t port);
  void Run();
  void At(milliseconds delay, Due due) { due_.emplace(Clock::now() + delay, due); }

  uint64_t requests = 0;

 private:
  void Accept();
  void RunDue();

  int listener_ = -1;
  int epoll_ = epoll_create1(0);
  uint64_t next_ = 1;  // 0 is the listener
  std::unordered_map<uint64_t, std::unique_ptr<Connection>> connections_;
  std::multimap<Clock::time_point, Due> due_;
};

class Connection {
 public:
  Connection(int fd, uint64_t number, Server& server)
      : number_(number), server_(server), pipe_(fd, NewSession(this)) {
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, kMaxStreams}};
    nghttp2_submit_settings(pipe_.session(), NGHTTP2_FLAG_NONE, settings, 1);
  }

  // Returns false when the connection is over.
  bool OnEvent() { return pipe_.Read() && Write(); }

  bool Write() { return pipe_.Write() != H2Pipe::Written::kFailed && !pipe_.finished(); }

  // The time of a stream that waits has come.
  void OnDue(int32_t id) {
    const auto found = streams_.find(id);
    if (found == streams_.end()) return;
    Stream& stream = found->second;
    if (stream.later.empty()) return Respond(stream);
    stream.body += stream.later.substr(0, stream.chunk);
    stream.later.erase(0, stream.chunk);
    if (!stream.later.empty()) server_.At(stream.interval, {number_, id});
    if (stream.deferred) {
      stream.deferred = false;
      nghttp2_session_resume_data(pipe_.session(), id);
    }
  }

 private:
  static nghttp2_session* NewSession(Connection* self) {
    nghttp2_session_callbacks* callbacks = nullptr;
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_begin_headers_callback(
        callbacks, [](nghttp2_session*, const nghttp2_frame* frame, void* user) {
          if (frame->hd.type != NGHTTP2_HEADERS) return 0;
          auto& streams = static_cast<Connection*>(user)->streams_;
          streams[frame->hd.stream_id].id = frame->hd.stream_id;
          return 0;
        });
    nghttp2_session_callbacks_set_on_header_callback(
        callbacks,
        [](nghttp2_session*, const nghttp2_frame* frame, const uint8_t* name, size_t name_size,
           const uint8_t* value, size_t value_size, uint8_t, void* user) {
          static_cast<Connection*>(user)->OnField(
              frame->hd.stream_id, {reinterpret_cast<const char*>(name), name_size},
              {reinterpret_cast<const char*>(value), value_size});
          return 0;
        });
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(
        callbacks,
        [](nghttp2_session*, uint8_t, int32_t id, const uint8_t* bytes, size_t size, void* user) {
          Stream& stream = static_cast<Connection*>(user)->streams_[id];
          if (stream.grpc) stream.body.append(reinterpret_cast<const char*>(bytes), size);
          return 0;
        });
    nghttp2_session_callbacks_set_on_frame_recv_callback(
        callbacks, [](nghttp2_session*, const nghttp2_frame* frame, void* user) {
          const bool message = frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA;
          if (message && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) {
            static_cast<Connection*>(user)->OnRequest(frame->hd.stream_id);
          }
          return 0;
        });
    nghttp2_session_callbacks_set_on_stream_close_callback(
        callbacks, [](nghttp2_session*, int32_t id, uint32_t, void* user) {
          static_cast<Connection*>(user)->streams_.erase(id);
          return 0;
        });
    nghttp2_session* session = nullptr;
    nghttp2_session_server_new(&session, callbacks, self);
    nghttp2_session_callbacks_del(callbacks);
    return session;
  }

  void OnField(int32_t id, std::string_view name, std::string_view value) {
    Stream& stream = streams_[id];
    if (name == ":path") stream.path = value;
    if (name == "content-type") stream.grpc = value.starts_with("application/grpc");
  }

  void OnRequest(int32_t id) {
    Stream& stream = streams_[id];
    const std::string_view path = stream.path;
    if (path == "/requests") {
      stream.body = std::to_string(server_.requests);
      return Respond(stream);
    }
    ++server_.requests;
    uint64_t number = 0;
    const size_t digits = path.find_first_of("0123456789");
    const char* unit = path.data() + path.size();
    if (digits != std::string_view::npos) {
      unit = std::from_chars(path.data() + digits, unit, number).ptr;
    }
    if (path.starts_with("/wait?")) {
      return server_.At(milliseconds(number), {number_, id});
    }
    if (path.starts_with("/trickle?")) {
      if (!stream.grpc) stream.body.assign(kTrickleBytes, 's');
      stream.later.swap(stream.body);
      stream.chunk = (stream.later.size() + kChunks - 1) / kChunks;
      stream.interval = milliseconds(number) / kChunks;
      if (!stream.later.empty()) server_.At(stream.interval, {number_, id});
    } else if (!stream.grpc) {
      stream.fill = std::string_view(unit) == "KiB" ? number * 1024 : number;
    }
    Respond(stream);
  }

  void Respond(Stream& stream) {
    static const std::string ok = "200";
    static const std::string grpc = "application/grpc";
    static const std::string octets = "application/octet-stream";
    const std::string length = std::to_string(stream.fill + stream.body.size());
    const bool sized = !stream.grpc && stream.later.empty();
    const nghttp2_nv fields[] = {Field(":status", ok),
                                 Field("content-type", stream.grpc ? grpc : octets),
                                 Field("content-length", length)};
    nghttp2_data_provider body = {};
    body.source.ptr = &stream;
    body.read_callback = [](nghttp2_session* session, int32_t, uint8_t* buffer, size_t size,
                            uint32_t* flags, nghttp2_data_source* source, void*) {
      return NextBytes(session, *static_cast<Stream*>(source->ptr), buffer, size, flags);
    };
    nghttp2_submit_response(pipe_.session(), stream.id, fields, sized ? 3 : 2, &body);
  }

  static ssize_t NextBytes(nghttp2_session* session, Stream& stream, uint8_t* buffer, size_t size,
                           uint32_t* flags) {
    const size_t copied = std::min(size, stream.body.size());
    std::memcpy(buffer, stream.body.data(), copied);
    stream.body.erase(0, copied);
    const size_t filled = std::min<uint64_t>(size - copied, stream.fill);
    std::memset(buffer + copied, 's', filled);
    stream.fill -= filled;
    if (stream.body.empty() && stream.fill == 0 && stream.later.empty()) {
      *flags |= NGHTTP2_DATA_FLAG_EOF;
      if (stream.grpc) {
        static const std::string zero = "0";
        const nghttp2_nv trailer = Field("grpc-status", zero);
        *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
        nghttp2_submit_trailer(session, stream.id, &trailer, 1);
      }
    } else if (copied + filled == 0) {
      stream.deferred = true;
      return NGHTTP2_ERR_DEFERRED;
    }
    return static_cast<ssize_t>(copied + filled);
  }

  const uint64_t number_;
  Server& server_;
  std::unordered_map<int32_t, Stream> streams_;
  H2Pipe pipe_;
};

Server::Server(uint16_t port) {
  listener_ = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  const int on = 1;
  setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) Die("bind");
  if (listen(listener_, 4096) != 0) Die("listen");
  epoll_event event = {};
  event.events = EPOLLIN;
  if (epoll_ctl(epoll_, EPOLL_CTL_ADD, listener_, &event) != 0) Die("epoll_ctl");
}

void Server::Run() {
  while (true) {
    epoll_event events[256];
    const auto until_due =
        due_.empty()
            ? milliseconds(-1)
            : std::chrono::ceil<milliseconds>(std::max(due_.begin()->first - Clock::now(), {}));
    const int count = epoll_wait(epoll_, events, 256, static_cast<int>(until_due.count()));
    for (int i = 0; i < count; ++i) {
      const uint64_t number = events[i].data.u64;
      if (number == 0) {
        Accept();
      } else if (!connections_.at(number)->OnEvent()) {
        connections_.erase(number);
      }
    }
    RunDue();
  }
}

void Server::Accept() {
  while (true) {
    const int fd = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) return;
    const int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    epoll_event event = {};
    event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
    event.data.u64 = next_;
    connections_.emplace(next_, std::make_unique<Connection>(fd, next_, *this));
    ++next_;
    if (epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) != 0) Die("epoll_ctl");
  }
}

void Server::RunDue() {
  const auto now = Clock::now();
  while (!due_.empty() && due_.begin()->first <= now) {
    const Due due = due_.begin()->second;
    due_.erase(due_.begin());
    const auto found = connections_.find(due.connection);
    if (found == connections_.end()) continue;
    found->second->OnDue(due.stream);
    if (!found->second->Write()) connections_.erase(found);
  }
}

}  // namespace

int main(int argc, char** argv) {
  uint16_t port = 0;
  if (argc != 2 ||
      std::from_chars(argv[1], argv[1] + std::strlen(argv[1]), port).ec != std::errc()) {
    std::fprintf(stderr, "usage: %s PORT\n", argv[0]);
    return 2;
  }
  Server(port).Run();
}
