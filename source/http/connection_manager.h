// All downstream connections of one worker: registers them, counts their requests, and carries a
// drain to each of them.
//
// One worker thread. As a Drainable its `done` and `report` callbacks run on this thread too;
// server/remote_drainable.h carries the calls over from the control thread.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/gate.h"
#include "base/intrusive_list.h"
#include "base/metrics.h"
#include "http/connection_census.h"
#include "http/connection_moves.h"
#include "http/connection_sweep.h"
#include "http/h1_server_codec.h"
#include "http/h2_server_codec.h"
#include "http/idle_grace.h"
#include "http/listener_context.h"
#include "http/long_lived_streams.h"
#include "http/part_drains.h"
#include "http/server_connection.h"
#include "sluice/drainable.h"
#include "sluice/handler.h"
#include "sluice/loop.h"
#include "sluice/moved_connection.h"
#include "sluice/result.h"

namespace sluice {

class ConnectionManager final : public Drainable {
 public:
  // `stop_accepting` empties the accept queues of the listeners in a scope, which registers what
  // was queued, and closes them; it is called when a drain begins.
  ConnectionManager(Loop& loop, MetricShard& shard,
                    std::function<void(const DrainScope&)> stop_accepting);
  ~ConnectionManager() override;

  // Takes a connection that was accepted on `context`.
  void Accept(std::unique_ptr<Transport> transport, ListenerContext& context);

  // From now on a drain moves connections by `mover` instead of telling them, as far as it can:
  // idle and then idle again, over cleartext HTTP/1.1. Null, and before `mover` dies: no more; what
  // is not under way is told. An answer is waited for in either case, for as long as the drain
  // lasts.
  void MoveTo(ConnectionMover* mover);

  // Goes on with a connection that another process has moved to this one, in the next turn of the
  // loop; its place in the limits is taken. An error says why it is refused: the state is not to be
  // understood, names what is not there, or a drain is on. The connection is then untouched.
  Result<void> Adopt(const MovedConnection& moved, ListenerContext& context,
                     TransportAdopter& adopter);

  // Where streams are registered that a drain tells one by one.
  LongLivedStreams& long_lived() { return long_lived_; }

  // The parts that are drained by themselves: a PartDrainer drains them, whoever routes asks.
  PartDrains& parts() { return parts_; }

  bool draining() const { return drain_.has_value(); }

  uint64_t connection_count() const { return connections_open_; }
  void ForEachConnection(const std::function<void(ServerConnection&)>& visit);

  // Drainable
  void EnterLameDuck(const LameDuckOrder& order) override;
  void LeaveLameDuck() override;
  void BeginDrain(const DrainOrder& order, std::function<void()> done) override;
  void Cut(CutReason reason) override;
  void Inspect(std::function<void(const DrainProgress&)> report) override;

  // For ServerConnection.
  Loop& loop() { return loop_; }
  H1StreamPool& h1_streams() { return h1_streams_; }
  H2StreamPool& h2_streams() { return h2_streams_; }
  Gate::Pass EnterGate(Direction direction) { return gate(direction).Enter(); }
  void OnTold() { ++progress_.told; }
  void OnRest(ServerConnection& connection) { moves_.Add(connection); }
  bool ShouldAdviseClose();
  TimePoint NextIdleGraceEnd(const ListenerContext& context);
  void OnRequestBegin(ListenerContext& context, RequestRecord& record);
  void OnRequestEnd(ListenerContext& context, const RequestHead& request, RequestRecord& record,
                    const DownstreamInfo& downstream);
  void Remove(ServerConnection& connection);

 private:
  void WhenEmpty(Direction direction, std::function<void()> done);
  Gate& gate(Direction direction) { return gates_[static_cast<size_t>(direction)]; }
  bool Draining(Direction direction) const;
  void Register(std::unique_ptr<ServerConnection> connection, ListenerContext& context);
  void Tell(ServerConnection& connection);
  void MoveOrTell(ServerConnection& connection);
  void OnSettled();
  void TellLongLived();
  void AddStraggler(Straggler straggler);

  Loop& loop_;
  std::function<void(const DrainScope&)> stop_accepting_;
  H1StreamPool h1_streams_;
  H2StreamPool h2_streams_;
  LongLivedStreams long_lived_;
  PartDrains parts_;
  std::array<Gate, 2> gates_;  // by Direction; a pass for each open connection
  std::array<std::vector<std::function<void()>>, 2> waiting_;  // for a gate to be empty
  IntrusiveList<ServerConnection, ConnectionTag> connections_;
  ConnectionCensus census_;
  ConnectionMoves moves_;
  ConnectionSweep telling_;
  ConnectionSweep cutting_;
  uint64_t connections_open_ = 0;
  MetricCell& requests_in_flight_;

  std::optional<LameDuckOrder> lame_duck_;
  std::optional<DrainOrder> drain_;
  DrainScope long_lived_told_{false, false};
  Timer tell_long_lived_;
  std::optional<IdleGrace> idle_grace_;             // of the drain
  std::vector<LongLivedDrain*> long_lived_drains_;  // that belong to the drain
  DrainProgress progress_;  // what happened since the drain began; never what is in flight now
};

}  // namespace sluice
