// The seam between the lifecycle wing, which decides that and when, and the data wing, which does
// it. lifecycle/ knows workers, listeners and connections only as a Drainable.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "sluice/handler.h"
#include "sluice/part_drain.h"

namespace sluice {

// Why a straggler was cut; also the `reason` label of sluice_drain_cut_total.
enum class CutReason : uint8_t { kDeadline, kSecondSignal, kForced };
std::string_view CutReasonName(CutReason reason);  // "deadline", "second_signal", "forced"

// One piece of work that was in flight when it was cut, or that still is (live report).
struct Straggler {
  Protocol protocol = Protocol::kHttp1;
  std::string listener;
  std::string route;
  std::string peer;
  Duration age{};
  uint64_t bytes_in = 0;
  uint64_t bytes_out = 0;
  std::string waiting_for;
};

using InFlight = std::array<uint64_t, kProtocolCount>;  // by Protocol

// A moment of a drain, or its end. Adding two of them adds up two workers.
struct DrainProgress {
  InFlight in_flight{};
  uint64_t connections = 0;  // open downstream, idle and lingering ones included
  uint64_t finished = 0;     // requests that ended completely since the drain began
  uint64_t told = 0;         // connections told to go, in their own protocol
  InFlight cut{};
  uint64_t moved = 0;  // connections that another process goes on with
  // Of the streams that have no end of their own soon: told to go, in their own words; ended before
  // their turn came; told, but the client never answered, which is no cut: it knows.
  uint64_t streams_told = 0;
  uint64_t streams_left = 0;
  uint64_t streams_lost = 0;
  uint64_t in_flight_total() const;
  uint64_t cut_total() const;
  std::vector<Straggler> stragglers;  // the oldest still in flight, and all that were cut; bounded
  std::vector<std::pair<std::string, uint64_t>> in_flight_by_route;
  std::vector<PartProgress> parts;  // those that are drained by themselves

  static constexpr size_t kMaxStragglers = 100;
  void Add(const DrainProgress& other);
};

// Which connections a step of a drain concerns.
struct DrainScope {
  bool inbound = true;
  bool outbound = true;
  bool Includes(Direction direction) const {
    return direction == Direction::kInbound ? inbound : outbound;
  }
};

// How responses advise clients to leave while lame duck.
struct LameDuckOrder {
  TimePoint begins{};
  TimePoint ends{};
  bool gradual = false;  // rising probability from `begins` to `ends`; otherwise every response
};

struct DrainOrder {
  DrainScope scope;
  TimePoint deadline = kNever;  // stragglers are cut by a separate call, this is what they are told
  Duration spread{};            // long-lived streams are told one by one over this time
  Duration idle_grace{};  // a request already on the wire of an idle connection is still served
  Duration linger{};      // bound of reading on after a half-close
};

// Something that holds work in flight. The lifecycle calls it on the control thread; an
// implementation whose work lives on another thread posts there and back.
class Drainable {
 public:
  virtual ~Drainable() = default;

  // Keep serving, start advising clients to leave.
  virtual void EnterLameDuck(const LameDuckOrder& order) = 0;

  // Back to normal; only from lame duck.
  virtual void LeaveLameDuck() = 0;

  // Empties the accept queues, stops accepting and tells every connection in `scope`; `done` is
  // called once nothing of that scope is left open, on the control thread, exactly once. Called
  // again with a wider scope when inbound work is done and outbound listeners follow.
  virtual void BeginDrain(const DrainOrder& order, std::function<void()> done) = 0;

  // Ends what is still in flight, in its own protocol, and closes every connection after a bounded
  // wait for the goodbye to leave.
  virtual void Cut(CutReason reason) = 0;

  // Calls `report` on the control thread with the present state.
  virtual void Inspect(std::function<void(const DrainProgress&)> report) = 0;
};

}  // namespace sluice
