// A client that knows exactly how each of its long-lived streams ended, for
// `script/bench drain --long-lived`.
//
// It opens WebSockets, event streams and gRPC calls, a bounded number at a time, and reads them
// until their end; it never opens one again. The program ends when every stream has ended, or when
// the time is over.
//
// A stream is `open` when its first message has arrived. How it ended is `clean` when it was told
// in its own words, between two messages, and nothing was lost or reset: a WebSocket by Close with
// 1001, which was answered, and then the end of the connection (of the stream, in HTTP/2); an event
// stream by the end of its response; a gRPC call by trailers with UNAVAILABLE. See StreamEnd for
// the others.

#include "stream_client.h"

#include <deque>

namespace {

using namespace bench;

constexpr const char* kGroup = "KIND:PORT:CONNECTIONS:STREAMS:PATH";

// Streams that are being opened at a time.
constexpr int kOpening = 128;

class Client final : public StreamHub {
 public:
  explicit Client(std::vector<StreamGroup>& groups) {
    for (StreamGroup& group : groups) {
      for (int i = 0; i < group.connections; ++i) {
        waiting_.push_back({&group, group.http2 ? NewH2ClientConnection(group, *this)
                                                : NewH1ClientConnection(group, *this)});
      }
    }
  }

  void Run(std::chrono::seconds duration) {
    const auto end = Clock::now() + duration;
    while ((!waiting_.empty() || opening_ > 0 || open_ > 0) && Clock::now() < end) {
      ConnectMore();
      epoll_event events[256];
      const int count = epoll_wait(epoll_, events, 256, 100);
      for (int i = 0; i < count; ++i) {
        static_cast<ClientConnection*>(events[i].data.ptr)->OnEvent(events[i].events);
      }
    }
  }

  void Watch(int fd, ClientConnection& connection) override {
    epoll_data data = {};
    data.ptr = &connection;
    bench::Watch(epoll_, fd, data);
  }

  void OnOpen(StreamGroup& group) override {
    ++group.open;
    ++open_;
    if (--opening_ > 0 || !waiting_.empty()) return;
    std::puts("open");
    std::fflush(stdout);
  }

  void OnEnd(StreamGroup& group, StreamEnd end) override {
    ++group.ended(end);
    --open_;
  }

 private:
  struct Waiting {
    StreamGroup* group;
    std::unique_ptr<ClientConnection> connection;
  };

  void ConnectMore() {
    while (!waiting_.empty() && opening_ < kOpening) {
      opening_ += waiting_.front().group->streams;
      connections_.push_back(std::move(waiting_.front().connection));
      waiting_.pop_front();
      connections_.back()->Connect();
    }
  }

  const int epoll_ = epoll_create1(EPOLL_CLOEXEC);
  std::deque<Waiting> waiting_;
  std::vector<std::unique_ptr<ClientConnection>> connections_;
  int opening_ = 0;
  uint64_t open_ = 0;
};

StreamGroup ParseGroup(std::string_view text) {
  const auto fields = Split(text, 5, kGroup);
  StreamGroup group;
  group.name = fields[0];
  if (fields[0] == "websocket" || fields[0] == "websocket-h2") {
    group.kind = StreamKind::kWebSocket;
  } else if (fields[0] == "events") {
    group.kind = StreamKind::kEvents;
  } else if (fields[0] == "grpc") {
    group.kind = StreamKind::kGrpc;
  } else {
    Die("no such kind: " + group.name);
  }
  group.http2 = fields[0] == "websocket-h2" || fields[0] == "grpc";
  group.port = ParseNumber<uint16_t>(fields[1]);
  group.connections = ParseNumber<int>(fields[2]);
  group.streams = ParseNumber<int>(fields[3]);
  if (!group.http2 && group.streams != 1) Die("HTTP/1.1 has one stream to a connection");
  group.path = fields[4];
  return group;
}

// {"websocket": {"open": 10, "clean": 9, ...}, ...}
void Print(std::vector<StreamGroup>& groups) {
  const char* separator = "{";
  for (StreamGroup& group : groups) {
    uint64_t left = group.open;
    for (const uint64_t ended : group.ends) left -= ended;
    std::printf("%s\"%s\": ", separator, group.name.c_str());
    PrintCounts({{"open", group.open},
                 {"clean", group.ended(StreamEnd::kClean)},
                 {"cut", group.ended(StreamEnd::kCut)},
                 {"reset", group.ended(StreamEnd::kReset)},
                 {"untold", group.ended(StreamEnd::kUntold)},
                 {"broken", group.ended(StreamEnd::kBroken)},
                 {"still_open", left}});
    separator = ", ";
  }
  std::puts("}");
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(
        stderr,
        "usage: %s SECONDS %s...\n\n"
        "KIND is websocket, websocket-h2, events or grpc. Prints \"open\" when all streams "
        "are, and at the end one line of JSON with how they ended.\n",
        argv[0], kGroup);
    return 2;
  }
  std::vector<StreamGroup> groups;
  for (int i = 2; i < argc; ++i) groups.push_back(ParseGroup(argv[i]));
  Client client(groups);
  client.Run(std::chrono::seconds(ParseNumber<int>(argv[1])));
  Print(groups);
}
