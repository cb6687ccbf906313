// The parts that are drained on one worker (include/sluice/part_drain.h), and how much of each is
// left. Whoever routes asks it what takes no new work; whoever counts connections and requests
// tells it what has ended. PartDrainer does what there is to do.
//
// One worker thread.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <string_view>
#include <vector>

#include "http/idle_grace.h"
#include "http/listener_context.h"
#include "http/long_lived_streams.h"
#include "sluice/handler.h"
#include "sluice/part_drain.h"

namespace sluice {

// RequestRecord::detail of a request that came for a part which is drained.
inline constexpr std::string_view kPartDraining = "draining";

// The drain of one part, until it is taken back.
struct PartDrain {
  PartDrain(const PartDrainOrder& what, TimePoint now);
  const PartDrainOrder order;
  const StreamFilter concerns;
  std::function<uint64_t()> count;                // what is left, by looking at all there is
  std::function<void(const PartProgress&)> done;  // empty once called
  LongLivedDrain* long_lived = nullptr;
  IdleGrace idle_grace;
  TimePoint cut_again_at = kNever;  // when what a cut has left is ended for good
  bool cut = false;
  bool cut_again = false;
  uint64_t remaining = 0;  // requests in flight, or open connections of a listener
  PartProgress progress;   // but for what is in flight now
};

// Whether `part` is this listener.
inline bool Is(const Part& part, const ListenerContext& listener) {
  return part.kind == PartKind::kListener && part.name == listener.name &&
         part.removed_by == listener.removed_by;
}

class PartDrains {
 public:
  // The drain of this part; null when there is none, and new work is welcome. By its name a part is
  // found as it is, and not one that was removed.
  PartDrain* Find(PartKind kind, std::string_view name);
  PartDrain* Find(const Part& part);
  PartDrain* Find(const ListenerContext& listener);
  bool Has(PartKind kind, std::string_view name) { return Find(kind, name) != nullptr; }

  PartDrain& Begin(const PartDrainOrder& order, TimePoint now);
  void End(const Part& part);
  std::list<PartDrain>& drains() { return drains_; }

  // Something of the part may have ended: calls `done` when nothing is left.
  void Settle(PartDrain& drain);

  // A request is over. `counts_cut`: no drain of the process counts it.
  void OnRequestEnd(const RequestRecord& record, const DownstreamInfo& downstream, bool counts_cut);
  // A request tries another endpoint than the one with this address, on which it was.
  void OnEndpointLeft(std::string_view address);
  void OnConnectionOpened(const ListenerContext& listener);
  void OnConnectionClosed(const ListenerContext& listener);

  // Of a connection that the drain of its listener has told; `otherwise` when it was taken back.
  TimePoint NextIdleGraceEnd(const ListenerContext& listener, TimePoint now, Duration otherwise);

  // The account of every part, to which what is there now has to be counted, one by one. A part
  // that ends or begins in between is no matter.
  std::vector<PartProgress> Progress() const;
  void CountConnection(const ListenerContext& listener, std::vector<PartProgress>& progress) const;
  void CountRequest(const RequestRecord& record, const DownstreamInfo& downstream,
                    std::vector<PartProgress>& progress) const;

 private:
  void OnEnded(PartDrain& drain);

  std::list<PartDrain> drains_;
};

}  // namespace sluice
