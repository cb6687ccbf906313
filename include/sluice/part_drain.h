// The seam for drains of a part of what is served: a listener, a route, a cluster, an endpoint.
// The lifecycle (lifecycle/part_drain.h) decides which and for how long; the data wing moves the
// work of that part away and leaves the rest alone.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/time.h"
#include "sluice/handler.h"

namespace sluice {

// What can be drained by itself; also the `scope` label of sluice_drain_duration_seconds.
enum class PartKind : uint8_t { kListener, kRoute, kCluster, kEndpoint };
inline constexpr size_t kPartKindCount = 4;
std::string_view PartKindName(PartKind kind);  // "listener", "route", "cluster", "endpoint"

// One part. `name` is that of the configuration, or the address of an endpoint, which may serve
// several clusters; routes of the same name in several listeners are one part.
struct Part {
  PartKind kind = PartKind::kListener;
  std::string name;
  // Of a part that a new configuration has removed: the number of that (Generation). Only what goes
  // by an earlier one belongs to it, and it is never undrained. 0: the part as it is.
  uint64_t removed_by = 0;
  std::string within{};  // the listener of a removed route, the cluster of a removed endpoint
  auto operator<=>(const Part&) const = default;
};

// Where the drain of a part stands, or how it ended. Adding two of the same part adds up two
// workers.
struct PartProgress {
  Part part;
  uint64_t in_flight = 0;                      // requests
  uint64_t connections = 0;                    // of a listener: open, lingering ones included
  uint64_t told = 0;                           // long-lived streams told to go, in their own words
  uint64_t left = 0;                           // of those: ended before their turn came
  std::array<uint64_t, kProtocolCount> cut{};  // by Protocol
  uint64_t cut_total() const;
  void Add(const PartProgress& other);
};

struct PartDrainOrder {
  Part part;
  Duration spread{};      // long-lived streams are told one by one over this time
  Duration idle_grace{};  // of a listener: a request on the wire of an idle connection is served
  Duration linger{};      // what is told at the deadline has so long to leave
};

// One worker, as the lifecycle sees it. Called on the control thread; an implementation whose work
// lives on another thread posts there and back.
class PartDrainable {
 public:
  virtual ~PartDrainable() = default;

  // No new work for the part; what is in flight may finish, what is long-lived is told. `done` is
  // called once nothing of it is left, on the control thread, once; not after UndrainPart. A
  // listener refuses connections, and its own are told to go; its address stays taken. Not called
  // again before UndrainPart.
  virtual void DrainPart(const PartDrainOrder& order,
                         std::function<void(const PartProgress&)> done) = 0;

  // The deadline: ends what is still in flight, in its own protocol, within twice the linger.
  virtual void CutPart(const Part& part) = 0;

  // The part serves again. What was told goes nevertheless. Of a removed part, which nothing is
  // left of: it is forgotten.
  virtual void UndrainPart(const Part& part) = 0;
};

}  // namespace sluice
