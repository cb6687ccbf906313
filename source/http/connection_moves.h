// Moves connections of one worker into another process, a few at a time, so that none of them
// stands still for long.
//
//   Leave --> leaving --at rest: Add--> in the queue --Freeze, Move--> under way --> gone
//                ^------- busy again ----------+                          \--> stays: is told
//
// One worker thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <unordered_map>

#include "base/intrusive_list.h"
#include "base/metrics.h"
#include "base/timer_queue.h"
#include "http/server_connection.h"
#include "sluice/loop.h"
#include "sluice/moved_connection.h"

namespace sluice {

class ConnectionMoves {
 public:
  // `stays` is called with a connection that was leaving and is not to any more; `settled` whenever
  // none is in the queue or under way. `loop` and `shard` must outlive it.
  struct Calls {
    std::function<void(ServerConnection&)> stays;
    std::function<void()> settled;
  };
  ConnectionMoves(Loop& loop, MetricShard& shard, Calls calls);
  ConnectionMoves(const ConnectionMoves&) = delete;

  // Where connections go; null: nowhere any more. It must be valid until then.
  void SetMover(ConnectionMover* mover) { mover_ = mover; }
  bool possible() const { return mover_ != nullptr; }

  // `connection` is leaving, and may be at rest.
  void Add(ServerConnection& connection);
  bool settled() const { return queue_.empty() && under_way_.empty(); }

  // So far.
  uint64_t moved() const { return moved_; }

  // `connection` is closed.
  void OnRemoved(ServerConnection& connection) { under_way_.erase(&connection); }

  // One has come from another process.
  void CountAdopted(bool websocket) { Count(Outcome::kAdopted, websocket); }

 private:
  static constexpr size_t kMostUnderWay = 64;
  enum class Outcome : uint8_t { kMoved, kRefused, kAdopted };
  // Whose answer is waited for; the answer knows it weakly.
  struct UnderWay {
    ServerConnection& connection;
    bool websocket;
  };

  void Slice();
  void Send(ServerConnection& connection);
  void OnAnswer(const std::weak_ptr<UnderWay>& waiting, bool taken);
  void Count(Outcome outcome, bool websocket) {
    counts_[static_cast<size_t>(outcome)][websocket ? 1 : 0]->Add();
  }

  Loop& loop_;
  const Calls calls_;
  ConnectionMover* mover_ = nullptr;
  Timer next_;
  IntrusiveList<ServerConnection, SweepTag> queue_;
  std::unordered_map<ServerConnection*, std::shared_ptr<UnderWay>> under_way_;
  std::array<std::array<MetricCell*, 2>, 3> counts_;
  uint64_t moved_ = 0;
};

}  // namespace sluice
