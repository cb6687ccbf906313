#include "http/connection_moves.h"

#include <string>
#include <utility>

namespace sluice {

ConnectionMoves::ConnectionMoves(Loop& loop, MetricShard& shard, Calls calls)
    : loop_(loop),
      calls_(std::move(calls)),
      next_(loop.timers(), Delegate::Bind<&ConnectionMoves::Slice>(this)) {
  static constexpr std::array<const char*, 3> kOutcomes = {"moved", "refused", "adopted"};
  static constexpr std::array<const char*, 2> kKinds = {"http1", "websocket"};
  for (size_t i = 0; i < kOutcomes.size(); ++i) {
    for (size_t j = 0; j < kKinds.size(); ++j) {
      counts_[i][j] = &shard.Counter("sluice_connections_moved_total",
                                     "Live connections that went to a new process, were refused "
                                     "by it, or came from an old one.",
                                     {{"kind", kKinds[j]}, {"result", kOutcomes[i]}});
    }
  }
}

void ConnectionMoves::Add(ServerConnection& connection) {
  connection.ListHook<SweepTag>::Unlink();
  queue_.PushBack(&connection);
  // Never on the stack of what has come to rest.
  if (!next_.active()) next_.Set(loop_.Now());
}

void ConnectionMoves::Slice() {
  for (size_t i = 0; i < kMostUnderWay && !queue_.empty(); ++i) {
    if (under_way_.size() >= kMostUnderWay) return;  // an answer goes on
    ServerConnection& connection = *queue_.front();
    connection.ListHook<SweepTag>::Unlink();
    Send(connection);
  }
  if (!queue_.empty()) {
    next_.Set(loop_.Now());
  } else if (settled()) {
    calls_.settled();
  }
}

void ConnectionMoves::Send(ServerConnection& connection) {
  if (!connection.leaving()) return;
  std::optional<MovedConnection> moved;
  if (mover_ != nullptr) moved = connection.Freeze();
  if (!moved) {
    // A busy one comes again when it is at rest, as long as there is somewhere to go.
    if (mover_ != nullptr && !connection.at_rest()) return;
    connection.Stay();
    calls_.stays(connection);
    return;
  }
  auto waiting = std::make_shared<UnderWay>(UnderWay{connection, moved->upstream >= 0});
  under_way_[&connection] = waiting;
  mover_->Move(*moved, [this, weak = std::weak_ptr<UnderWay>(waiting)](bool taken) {
    OnAnswer(weak, taken);
  });
}

void ConnectionMoves::OnAnswer(const std::weak_ptr<UnderWay>& waiting, bool taken) {
  const std::shared_ptr<UnderWay> under_way = waiting.lock();
  if (under_way == nullptr) return;  // it was given up
  ServerConnection& connection = under_way->connection;
  Count(taken ? Outcome::kMoved : Outcome::kRefused, under_way->websocket);
  under_way_.erase(&connection);
  if (taken) {
    ++moved_;
    connection.OnMoved();
  } else {
    connection.Thaw();
    calls_.stays(connection);
  }
  if (!queue_.empty()) {
    if (!next_.active()) next_.Set(loop_.Now());
  } else if (settled()) {
    calls_.settled();
  }
}

}  // namespace sluice
