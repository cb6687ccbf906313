#include "upstream/endpoint_pool.h"

#include <cerrno>
#include <utility>

#include "http/h1_client_connection.h"

namespace sluice {

std::string_view ConnectFailureName(ConnectFailure failure) {
  switch (failure) {
    case ConnectFailure::kNoEndpoint:
      return "no_endpoint";
    case ConnectFailure::kRefused:
      return "connect_failed";
    case ConnectFailure::kTimeout:
      return "connect_timeout";
    case ConnectFailure::kOverflow:
      return "pending_overflow";
  }
  return "";
}

ClusterMetrics::ClusterMetrics(const std::string& cluster, MetricShard& shard)
    : connections_total(shard.Counter("sluice_upstream_connections_total",
                                      "Connections made to upstreams.", {{"cluster", cluster}})),
      connections_open(shard.Gauge("sluice_upstream_connections_open",
                                   "Connections to upstreams now open.", {{"cluster", cluster}})),
      connect_failures(shard.Counter("sluice_upstream_connect_failures_total",
                                     "Attempts to connect that failed.",
                                     {{"cluster", cluster}, {"reason", "refused"}})),
      connect_timeouts(shard.Counter("sluice_upstream_connect_failures_total",
                                     "Attempts to connect that failed.",
                                     {{"cluster", cluster}, {"reason", "timeout"}})),
      overflows(shard.Counter("sluice_upstream_pending_overflow_total",
                              "Requests refused because too many wait for a connection.",
                              {{"cluster", cluster}})),
      requests(shard.Counter("sluice_upstream_requests_total", "Requests sent to upstreams.",
                             {{"cluster", cluster}})),
      replays(shard.Counter("sluice_upstream_replays_total",
                            "Requests sent again because a reused connection had died.",
                            {{"cluster", cluster}})) {}

// ---- the two kinds of things a pool owns ----

class EndpointPool::Connection final : public ListHook<AllTag>,
                                       public ListHook<IdleTag>,
                                       private ClientConnectionOwner {
 public:
  Connection(EndpointPool& pool, std::unique_ptr<Transport> transport)
      : pool_(pool),
        connection_(std::make_unique<H1ClientConnection>(pool.loop_, std::move(transport),
                                                         static_cast<ClientConnectionOwner&>(*this),
                                                         pool.limits_)) {}

  ClientConnection& get() { return *connection_; }
  std::unique_ptr<ClientConnection> Take() { return std::move(connection_); }
  bool idle() const { return ListHook<IdleTag>::linked(); }

  uint64_t requests = 0;
  TimePoint idle_since{};

 private:
  void OnConnectionAvailable(ClientConnection&) override { pool_.OnIdle(*this); }
  void OnConnectionDraining(ClientConnection&) override {}
  void OnConnectionClosed(ClientConnection&) override { pool_.OnClosed(*this); }

  EndpointPool& pool_;
  std::unique_ptr<ClientConnection> connection_;
};

class EndpointPool::Attempt final : public ListHook<AllTag> {
 public:
  explicit Attempt(EndpointPool& pool)
      : pool_(pool), timeout_(pool.loop_.timers(), Delegate::Bind<&Attempt::OnTimeout>(this)) {
    timeout_.Set(pool.loop_.Now() + pool.config_.connect_timeout);
    attempt_ =
        pool.dialer_.Dial(pool.address(), [this](std::unique_ptr<Transport> transport, int error) {
          if (error == 0) {
            pool_.OnConnected(*this, std::move(transport));
          } else {
            pool_.OnAttemptFailed(*this, ConnectFailure::kRefused);
          }
        });
  }

 private:
  void OnTimeout() { pool_.OnAttemptFailed(*this, ConnectFailure::kTimeout); }

  EndpointPool& pool_;
  Timer timeout_;
  std::unique_ptr<Dialer::Attempt> attempt_;
};

// ---- the pool ----

EndpointPool::EndpointPool(Loop& loop, Dialer& dialer, const ClusterConfig& config,
                           const EndpointConfig& endpoint, ClusterMetrics& metrics)
    : loop_(loop),
      dialer_(dialer),
      config_(config),
      endpoint_(endpoint),
      metrics_(metrics),
      idle_timer_(loop.timers(), Delegate::Bind<&EndpointPool::OnIdleTimer>(this)) {}

EndpointPool::~EndpointPool() {
  closing_ = true;
  attempts_.ForEach([](Attempt& attempt) { delete &attempt; });
  while (!connections_.empty()) connections_.front()->get().Close();
}

void EndpointPool::Acquire(ConnectionWaiter& waiter, ConnectionNeeds needs) {
  metrics_.requests.Add();
  if (needs.fresh) {
    metrics_.replays.Add();
    // What made one idle connection die (a restart) has most likely killed them all.
    CloseIdle();
  } else if (Connection* idle = TakeIdle(needs)) {
    ++idle->requests;
    waiter.OnConnection(idle->get(), *this, true);
    return;
  }
  waiters_.PushBack(&waiter);
  if (CountWaiters() > config_.max_pending) {
    waiter.ListHook<WaiterTag>::Unlink();
    metrics_.overflows.Add();
    waiter.OnNoConnection(ConnectFailure::kOverflow);
    return;
  }
  StartAttempts();
}

EndpointPool::Connection* EndpointPool::TakeIdle(ConnectionNeeds needs) {
  while (!idle_.empty()) {
    Connection* connection = idle_.back();
    connection->ListHook<IdleTag>::Unlink();
    --idle_count_;
    if (!needs.checked || connection->get().StillOpen()) return connection;
    connection->get().Close();
  }
  return nullptr;
}

// Waiters leave their queue by themselves, so it is counted, not kept count of; max_pending bounds
// it.
uint32_t EndpointPool::CountWaiters() {
  uint32_t waiting = 0;
  waiters_.ForEach([&](ConnectionWaiter&) { ++waiting; });
  return waiting;
}

bool EndpointPool::AtLimit() const {
  return config_.max_connections != 0 &&
         connection_count_ + attempt_count_ >= config_.max_connections;
}

// One attempt for each waiter, as far as the limit allows; the others wait for a connection to
// become idle.
void EndpointPool::StartAttempts() {
  const uint32_t waiting = CountWaiters();
  while (attempt_count_ < waiting && !AtLimit()) {
    ++attempt_count_;
    attempts_.PushBack(new Attempt(*this));
  }
}

void EndpointPool::OnConnected(Attempt& attempt, std::unique_ptr<Transport> transport) {
  --attempt_count_;
  delete &attempt;
  ++connection_count_;
  metrics_.connections_total.Add();
  metrics_.connections_open.Add();
  auto* connection = new Connection(*this, std::move(transport));
  connections_.PushBack(connection);
  OnIdle(*connection);
}

void EndpointPool::OnAttemptFailed(Attempt& attempt, ConnectFailure failure) {
  --attempt_count_;
  delete &attempt;
  (failure == ConnectFailure::kTimeout ? metrics_.connect_timeouts : metrics_.connect_failures)
      .Add();
  if (waiters_.empty()) return;
  ConnectionWaiter* waiter = waiters_.front();
  waiter->ListHook<WaiterTag>::Unlink();
  waiter->OnNoConnection(failure);
  StartAttempts();
}

void EndpointPool::OnIdle(Connection& connection) {
  const bool worn_out = config_.max_requests_per_connection != 0 &&
                        connection.requests >= config_.max_requests_per_connection;
  if (closing_ || worn_out) {
    connection.get().Close();
    return;
  }
  if (!waiters_.empty()) {
    ConnectionWaiter* waiter = waiters_.front();
    waiter->ListHook<WaiterTag>::Unlink();
    const bool reused = connection.requests++ > 0;
    waiter->OnConnection(connection.get(), *this, reused);
    return;
  }
  connection.idle_since = loop_.Now();
  idle_.PushBack(&connection);
  if (++idle_count_ > config_.max_idle) {
    idle_.front()->get().Close();
  } else if (!idle_timer_.active() && config_.idle_timeout != Duration::zero()) {
    idle_timer_.Set(loop_.Now() + config_.idle_timeout);
  }
}

void EndpointPool::OnClosed(Connection& connection) {
  if (connection.idle()) --idle_count_;
  --connection_count_;
  metrics_.connections_open.Add(-1);
  loop_.DeleteLater(connection.Take());
  delete &connection;
  if (!closing_) StartAttempts();
}

void EndpointPool::OnIdleTimer() {
  const TimePoint now = loop_.Now();
  while (!idle_.empty() && idle_.front()->idle_since + config_.idle_timeout <= now) {
    idle_.front()->get().Close();
  }
  if (!idle_.empty()) idle_timer_.Set(idle_.front()->idle_since + config_.idle_timeout);
}

void EndpointPool::CloseIdle() {
  while (!idle_.empty()) idle_.front()->get().Close();
}

}  // namespace sluice
