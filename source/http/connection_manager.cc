#include "http/connection_manager.h"

#include <algorithm>
#include <string_view>
#include <utility>

namespace sluice {
namespace {

// Requests are in flight on few connections at a time; more than this many idle stream objects
// would only hold memory.
constexpr size_t kMaxFreeStreams = 512;

// Long-lived streams that stay here are told when those that move have gone, or after this time.
constexpr Duration kMostMoving = std::chrono::seconds(1);

}  // namespace

ConnectionManager::ConnectionManager(Loop& loop, MetricShard& shard,
                                     std::function<void(const DrainScope&)> stop_accepting)
    : loop_(loop),
      stop_accepting_(std::move(stop_accepting)),
      h1_streams_(kMaxFreeStreams),
      h2_streams_(kMaxFreeStreams),
      long_lived_(loop),
      census_(loop, connections_, parts_),
      moves_(loop, shard,
             {[this](ServerConnection& connection) { Tell(connection); }, [this] { OnSettled(); }}),
      telling_(
          loop, [this](ServerConnection& connection) { MoveOrTell(connection); },
          [this] { OnSettled(); }),
      cutting_(loop, [](ServerConnection& connection) { connection.Cut(); }),
      requests_in_flight_(
          shard.Gauge("sluice_requests_in_flight", "Requests begun and not yet over.")),
      tell_long_lived_(loop.timers(), Delegate::Bind<&ConnectionManager::TellLongLived>(this)) {}

ConnectionManager::~ConnectionManager() {
  while (!connections_.empty()) delete connections_.front();
}

void ConnectionManager::Accept(std::unique_ptr<Transport> transport, ListenerContext& context) {
  auto made = std::make_unique<ServerConnection>(*this, context, std::move(transport));
  ServerConnection& connection = *made;
  Register(std::move(made), context);
  context.connections_total.Add();
  connection.Start();
  // The drain may have begun while this one was in the accept queue.
  if (Draining(context.direction)) {
    MoveOrTell(connection);
  } else if (parts_.Find(context) != nullptr) {
    connection.BeginDrain(NextIdleGraceEnd(context));
  }
}

void ConnectionManager::Register(std::unique_ptr<ServerConnection> connection,
                                 ListenerContext& context) {
  // The list owns the connection until Remove hands it to the loop.
  connections_.PushBack(connection.release());
  ++connections_open_;
  ++context.open_connections;
  context.connections_open.Add();
  parts_.OnConnectionOpened(context);
}

void ConnectionManager::Remove(ServerConnection& connection) {
  ListenerContext& context = const_cast<ListenerContext&>(connection.context());
  census_.OnRemoved(connection);
  moves_.OnRemoved(connection);
  connection.ListHook<ConnectionTag>::Unlink();
  connection.ListHook<SweepTag>::Unlink();
  --connections_open_;
  --context.open_connections;
  context.connections_open.Add(-1);
  parts_.OnConnectionClosed(context);
  loop_.DeleteLater(std::unique_ptr<Deferred>(&connection));
  if (context.on_connection_closed) context.on_connection_closed();
}

void ConnectionManager::ForEachConnection(const std::function<void(ServerConnection&)>& visit) {
  connections_.ForEach([&](ServerConnection& connection) { visit(connection); });
}

void ConnectionManager::OnRequestBegin(ListenerContext&, RequestRecord&) {
  requests_in_flight_.Add();
}

void ConnectionManager::OnRequestEnd(ListenerContext& context, const RequestHead& request,
                                     RequestRecord& record, const DownstreamInfo& downstream) {
  requests_in_flight_.Add(-1);
  if (record.end == StreamEnd::kMoved) {  // it will be counted where it ends
    parts_.OnRequestEnd(record, downstream, false);
    return;
  }
  const auto status_class = static_cast<size_t>(std::clamp(record.status / 100, 0, 5));
  context.responses[status_class]->Add();
  context.bytes_in.Add(static_cast<int64_t>(record.bytes_in));
  context.bytes_out.Add(static_cast<int64_t>(record.bytes_out));
  const Duration age = loop_.Now() - record.started;
  context.duration.Observe(std::chrono::duration<double>(age).count());
  const bool draining = Draining(context.direction);
  parts_.OnRequestEnd(record, downstream, !draining);
  if (draining) {
    if (record.end == StreamEnd::kCut) {
      ++progress_.cut[static_cast<size_t>(record.protocol)];
      AddStraggler({record.protocol, context.name, std::string(record.route), downstream.peer, age,
                    record.bytes_in, record.bytes_out, std::string(record.waiting_for)});
    } else if (record.end == StreamEnd::kComplete) {
      ++progress_.finished;
    } else if (record.end == StreamEnd::kClientTimeout && record.protocol == Protocol::kWebSocket) {
      ++progress_.streams_lost;
    }
  }
  if (context.request_log != nullptr)
    context.request_log->OnRequestDone(request, record, downstream);
}

void ConnectionManager::AddStraggler(Straggler straggler) {
  if (progress_.stragglers.size() < DrainProgress::kMaxStragglers) {
    progress_.stragglers.push_back(std::move(straggler));
  }
}

// ---- drain ----

void ConnectionManager::EnterLameDuck(const LameDuckOrder& order) { lame_duck_ = order; }

void ConnectionManager::LeaveLameDuck() { lame_duck_.reset(); }

bool ConnectionManager::ShouldAdviseClose() {
  if (!lame_duck_) return false;
  if (!lame_duck_->gradual) return true;
  const Duration whole = lame_duck_->ends - lame_duck_->begins;
  const Duration gone = loop_.Now() - lame_duck_->begins;
  if (gone >= whole) return true;
  return loop_.random().Chance(static_cast<double>(gone.count()) /
                               static_cast<double>(whole.count()));
}

bool ConnectionManager::Draining(Direction direction) const {
  return drain_ && drain_->scope.Includes(direction);
}

TimePoint ConnectionManager::NextIdleGraceEnd(const ListenerContext& context) {
  if (Draining(context.direction)) return idle_grace_->NextEnd(loop_.Now());
  return parts_.NextIdleGraceEnd(context, loop_.Now(), context.options.timeouts.linger);
}

void ConnectionManager::BeginDrain(const DrainOrder& order, std::function<void()> done) {
  const DrainScope before = drain_ ? drain_->scope : DrainScope{false, false};
  drain_ = order;
  long_lived_.SetCutAt(order.deadline);
  idle_grace_.emplace(order.idle_grace, loop_.Now());
  connections_.ForEach([&](ServerConnection& connection) {
    const Direction direction = connection.context().direction;
    if (!order.scope.Includes(direction) || before.Includes(direction)) return;
    telling_.Add(connection);
  });
  if (moves_.possible()) tell_long_lived_.Set(loop_.Now() + kMostMoving);
  telling_.Begin();
  if (!moves_.possible()) TellLongLived();
  stop_accepting_(order.scope);  // what was queued is told as it is accepted
  auto after_inbound = [this, scope = order.scope, done = std::move(done)] {
    if (scope.outbound) {
      WhenEmpty(Direction::kOutbound, done);
    } else {
      done();
    }
  };
  if (order.scope.inbound) {
    WhenEmpty(Direction::kInbound, std::move(after_inbound));
  } else {
    after_inbound();
  }
}

void ConnectionManager::Tell(ServerConnection& connection) {
  ++progress_.told;
  connection.BeginDrain(NextIdleGraceEnd(connection.context()));
}

void ConnectionManager::MoveOrTell(ServerConnection& connection) {
  if (moves_.possible() && connection.Leave()) {
    moves_.Add(connection);
  } else {
    Tell(connection);
  }
}

void ConnectionManager::OnSettled() {
  if (tell_long_lived_.active() && telling_.empty() && moves_.settled()) TellLongLived();
}

void ConnectionManager::TellLongLived() {
  tell_long_lived_.Stop();
  const DrainScope before = std::exchange(long_lived_told_, drain_->scope);
  // The last who are told need some time to answer, too.
  const Duration most = (drain_->deadline - loop_.Now()) / 4 * 3;  // it may be never
  const Duration spread = std::max(std::min(drain_->spread, most), Duration::zero());
  long_lived_drains_.push_back(&long_lived_.BeginDrain(
      [now = drain_->scope, before](const RequestRecord&, const DownstreamInfo& downstream) {
        return now.Includes(downstream.direction) && !before.Includes(downstream.direction);
      },
      spread));
}

// A drain may be asked for again, with a wider scope, while the first is not done: both are told.
void ConnectionManager::WhenEmpty(Direction direction, std::function<void()> done) {
  auto& waiting = waiting_[static_cast<size_t>(direction)];
  waiting.push_back(std::move(done));
  gate(direction).Close([&waiting] {
    for (const auto& call : std::exchange(waiting, {})) call();
  });
}

void ConnectionManager::Cut(CutReason) {
  connections_.ForEach([&](ServerConnection& connection) {
    if (Draining(connection.context().direction)) cutting_.Add(connection);
  });
  cutting_.Begin();
}

void ConnectionManager::Inspect(std::function<void(const DrainProgress&)> report) {
  census_.Take([this, report = std::move(report)](const DrainProgress& counted) {
    DrainProgress now = progress_;
    now.Add(counted);
    now.connections = connections_open_;
    now.moved = moves_.moved();
    for (const LongLivedDrain* drain : long_lived_drains_) {
      now.streams_told += drain->told;
      now.streams_left += drain->left;
    }
    report(now);
  });
}

}  // namespace sluice
