// What the clients of `script/bench disruption` have in common: what they count, and how long their
// requests took, apart for those that were under way while a proxy was reloaded or replaced.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "drain_common.h"

namespace bench {

struct DisruptionGroup {
  uint16_t port = 0;
  int connections = 0;
  int streams = 1;  // on each connection, where it is HTTP/2
  milliseconds pause{0};
  std::string path;
};

// Of one kind of client. A message to a WebSocket's echo is a request, and so is the handshake.
struct DisruptionCounts {
  uint64_t sent = 0;
  uint64_t answered = 0;
  uint64_t not_ok = 0;          // answered, with a status other than 200, or another echo
  uint64_t failed_connect = 0;  // refused, or reset before anything could be asked
  uint64_t failed_fresh = 0;    // the first of its connection, no byte of an answer
  uint64_t failed_reused = 0;   // a later one
  uint64_t failed_midway = 0;   // the answer began and did not end
  uint64_t timed_out = 0;       // still nothing when we gave up
  uint64_t connected = 0;
  uint64_t connections_reset = 0;
  uint64_t told = 0;         // connections that ended in the words of their protocol
  uint64_t closed_idle = 0;  // connections that ended without, and with nothing asked on them
};

// Which requests are counted apart.
enum class Period : uint8_t { kWarmUp, kBefore, kDisruption, kBetween };

// The clock of what happens to the proxy.
class Disruptions {
 public:
  void Enter(Period period) {
    if (period_ == Period::kDisruption) ended_ = Clock::now();
    period_ = period;
  }

  // Of a request that ends now: kDisruption, if any of its time was within one.
  Period PeriodOf(Clock::time_point begun) const {
    return period_ == Period::kBetween && begun < ended_ ? Period::kDisruption : period_;
  }

 private:
  Period period_ = Period::kWarmUp;
  Clock::time_point ended_;  // the last disruption
};

class Recorder {
 public:
  explicit Recorder(const Disruptions& disruptions) : disruptions_(disruptions) {}

  DisruptionCounts counts;

  // A request that began then has its answer.
  void OnAnswered(Clock::time_point begun) {
    const auto took = Clock::now() - begun;
    const auto microseconds =
        static_cast<uint32_t>(std::chrono::duration_cast<std::chrono::microseconds>(took).count());
    ++counts.answered;
    switch (disruptions_.PeriodOf(begun)) {
      case Period::kWarmUp:
        return;
      case Period::kBefore:
        before_.push_back(microseconds);
        return;
      case Period::kDisruption:
        during_.push_back(microseconds);
        [[fallthrough]];
      case Period::kBetween:
        worst_ = std::max(worst_, microseconds);
    }
  }

  // The JSON object of this kind, with `connections` that were meant to last.
  void Print(uint64_t connections) {
    const uint64_t reconnects = counts.connected - std::min(connections, counts.connected);
    PrintCounts({{"sent", counts.sent},
                 {"answered", counts.answered},
                 {"not_ok", counts.not_ok},
                 {"failed_connect", counts.failed_connect},
                 {"failed_fresh", counts.failed_fresh},
                 {"failed_reused", counts.failed_reused},
                 {"failed_midway", counts.failed_midway},
                 {"timed_out", counts.timed_out},
                 {"connected", counts.connected},
                 {"reconnects", reconnects},
                 {"connections_reset", counts.connections_reset},
                 {"told", counts.told},
                 {"closed_idle", counts.closed_idle},
                 {"p99_before_us", Percentile99(before_)},
                 {"p99_during_us", Percentile99(during_)},
                 {"worst_before_us", before_.empty() ? 0 : before_.back()},
                 {"worst_us", worst_}});
  }

 private:
  static uint64_t Percentile99(std::vector<uint32_t>& microseconds) {
    std::sort(microseconds.begin(), microseconds.end());
    return microseconds.empty() ? 0 : microseconds[microseconds.size() * 99 / 100];
  }

  const Disruptions& disruptions_;
  std::vector<uint32_t> before_;  // microseconds
  std::vector<uint32_t> during_;
  uint32_t worst_ = 0;  // from the first disruption on
};

// One client, with a connection at a time.
class Visitor {
 public:
  virtual ~Visitor() = default;

  virtual void Connect() = 0;
  virtual void OnEvent(uint32_t events) = 0;
  // What is due is done. `ending`: nothing new is sent, and who has nothing under way stops.
  virtual void Tick(Clock::time_point now, bool ending) = 0;
  virtual bool stopped() const = 0;
  virtual uint64_t outstanding() const = 0;
};

std::unique_ptr<Visitor> MakeKeepAliveVisitor(const DisruptionGroup& group, Recorder& recorder,
                                              int epoll);
std::unique_ptr<Visitor> MakeNewConnectionVisitor(const DisruptionGroup& group, Recorder& recorder,
                                                  int epoll);
std::unique_ptr<Visitor> MakeH2Visitor(const DisruptionGroup& group, Recorder& recorder, int epoll);
std::unique_ptr<Visitor> MakeWebSocketVisitor(const DisruptionGroup& group, Recorder& recorder,
                                              int epoll);

}  // namespace bench
