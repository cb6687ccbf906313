// Constant load of several kinds of clients on a proxy that is reloaded or replaced meanwhile, for
// `script/bench disruption`. Each client makes one request after the other, or has one open on each
// of its streams, with a pause between them; when its connection has ended it makes a new one.
//
// Prints "open" when every client has been answered. Takes one word for each line of its input:
//
//   before      what ends from here on is counted as undisturbed
//   begin, end  something happens to the proxy
//   stop        nothing new is sent; what is under way is awaited, and the counts are printed
//
// What counts as failed is in disruption_client.h. A request that an HTTP/2 server says it did not
// process has not failed.

#include "disruption_client.h"

#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace {

using namespace bench;

constexpr const char* kUsage = "KIND:PORT:CONNECTIONS:STREAMS:PAUSE_MS:PATH";

struct Kind {
  const char* name;
  std::unique_ptr<Visitor> (*make)(const DisruptionGroup&, Recorder&, int);
  bool lasting;  // its connections are meant to
};

constexpr std::array<Kind, 4> kKinds = {{{"keep-alive", MakeKeepAliveVisitor, true},
                                         {"new", MakeNewConnectionVisitor, false},
                                         {"h2", MakeH2Visitor, true},
                                         {"websocket", MakeWebSocketVisitor, true}}};

class Client {
 public:
  explicit Client(const std::vector<std::string_view>& groups) {
    for (const std::string_view text : groups) AddGroup(text);
    epoll_event event = {};
    event.events = EPOLLIN;
    event.data.ptr = nullptr;
    if (epoll_ctl(epoll_, EPOLL_CTL_ADD, STDIN_FILENO, &event) != 0) Die("epoll_ctl");
  }

  void Run() {
    for (auto& visitor : visitors_) visitor->Connect();
    while (!over()) {
      const auto now = Clock::now();
      for (auto& visitor : visitors_) visitor->Tick(now, ending_);
      Poll();
      if (!open_) LookWhetherOpen();
    }
    for (size_t i = 0; i < visitors_.size(); ++i) {
      lanes_[lane_of_[i]].recorder.counts.timed_out += visitors_[i]->outstanding();
    }
  }

  void Print() {
    const char* separator = "{";
    for (Lane& lane : lanes_) {
      std::printf("%s\"%s\": ", separator, lane.kind->name);
      lane.recorder.Print(lane.kind->lasting ? lane.visitors : UINT64_MAX);
      separator = ", ";
    }
    std::puts("}");
  }

 private:
  // The clients of one kind.
  struct Lane {
    const Kind* kind;
    Recorder recorder;
    uint64_t visitors = 0;
  };

  void AddGroup(std::string_view text) {
    const auto fields = Split(text, 6, kUsage);
    const auto kind = std::find_if(kKinds.begin(), kKinds.end(),
                                   [&](const Kind& one) { return one.name == fields[0]; });
    if (kind == kKinds.end()) Die("no such kind: " + std::string(fields[0]));
    DisruptionGroup group;
    group.port = ParseNumber<uint16_t>(fields[1]);
    group.connections = ParseNumber<int>(fields[2]);
    group.streams = ParseNumber<int>(fields[3]);
    group.pause = milliseconds(ParseNumber<int>(fields[4]));
    group.path = fields[5];
    lanes_.push_back(Lane{&*kind, Recorder(disruptions_)});
    lanes_.back().visitors = static_cast<uint64_t>(group.connections);
    for (int i = 0; i < group.connections; ++i) {
      lane_of_.push_back(lanes_.size() - 1);
      visitors_.push_back(kind->make(group, lanes_.back().recorder, epoll_));
    }
  }

  bool over() const {
    if (!ending_) return false;
    return Clock::now() > end_ + kLastResponses ||
           std::all_of(visitors_.begin(), visitors_.end(),
                       [](const auto& visitor) { return visitor->stopped(); });
  }

  void LookWhetherOpen() {
    open_ = std::all_of(lanes_.begin(), lanes_.end(), [](const Lane& lane) {
      return lane.recorder.counts.answered >= 4 * lane.visitors;
    });
    if (!open_) return;
    std::puts("open");
    std::fflush(stdout);
  }

  void Poll() {
    epoll_event events[256];
    const int count = epoll_wait(epoll_, events, 256, 1);
    for (int i = 0; i < count; ++i) {
      if (events[i].data.ptr == nullptr) {
        ReadCommands();
      } else {
        static_cast<Visitor*>(events[i].data.ptr)->OnEvent(events[i].events);
      }
    }
  }

  void ReadCommands() {
    char bytes[256];
    const ssize_t size = read(STDIN_FILENO, bytes, sizeof(bytes));
    if (size <= 0) Die("nobody tells what to do");
    input_.append(bytes, static_cast<size_t>(size));
    for (size_t end; (end = input_.find('\n')) != std::string::npos; input_.erase(0, end + 1)) {
      Obey(std::string_view(input_).substr(0, end));
    }
  }

  void Obey(std::string_view word) {
    if (word == "before") {
      disruptions_.Enter(Period::kBefore);
    } else if (word == "begin") {
      disruptions_.Enter(Period::kDisruption);
    } else if (word == "end") {
      disruptions_.Enter(Period::kBetween);
    } else if (word == "stop") {
      ending_ = true;
      end_ = Clock::now();
    } else {
      Die("no such word: " + std::string(word));
    }
  }

  const int epoll_ = epoll_create1(EPOLL_CLOEXEC);
  Disruptions disruptions_;
  std::deque<Lane> lanes_;  // visitors refer to their recorders
  std::vector<std::unique_ptr<Visitor>> visitors_;
  std::vector<size_t> lane_of_;  // each visitor
  std::string input_;            // an unfinished line
  bool open_ = false;
  bool ending_ = false;
  Clock::time_point end_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: %s %s...\n", argv[0], kUsage);
    return 2;
  }
  Client client({argv + 1, argv + argc});
  client.Run();
  client.Print();
  return 0;
}
