#include "upstream/endpoint_pool.h"

#include <algorithm>
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
    case ConnectFailure::kNoHttp2:
      return "upstream_without_http2";
    case ConnectFailure::kOverflow:
      return "pending_overflow";
    case ConnectFailure::kOverload:
      return "upstream_overload";
  }
  return "";
}

void ConnectionWaiter::OnQueued(uint32_t& queue_length, uint32_t* all) {
  ++queue_length;
  queue_length_ = &queue_length;
  all_ = all;
  if (all_ != nullptr) ++*all_;
}

void ConnectionWaiter::StopWaiting() {
  if (queue_length_ == nullptr) return;
  --*std::exchange(queue_length_, nullptr);
  if (all_ != nullptr) --*all_;
  Unlink();
}

// ---- the two kinds of things a pool owns

// Outlives its closing until the end of the dispatch, so that who holds it may look at it.
class EndpointPool::Connection final : public Deferred,
                                       public ListHook<AllTag>,
                                       public ListHook<UsableTag>,
                                       private ClientConnectionOwner {
 public:
  Connection(EndpointPool& pool, std::unique_ptr<Transport> transport, bool http2) : pool_(pool) {
    auto& owner = static_cast<ClientConnectionOwner&>(*this);
    if (http2) {
      connection_ = std::make_unique<H2ClientConnection>(pool.loop_, std::move(transport), owner,
                                                         pool.http2_);
    } else {
      connection_ = std::make_unique<H1ClientConnection>(pool.loop_, std::move(transport), owner,
                                                         pool.http2_.limits);
    }
  }

  ClientConnection& get() { return *connection_; }
  // Of one that was made for HTTP/1.1.
  H1ClientConnection& http1() { return static_cast<H1ClientConnection&>(*connection_); }

  State state = State::kUnusable;
  uint64_t requests = 0;
  TimePoint idle_since{};

 private:
  void OnConnectionAvailable(ClientConnection&) override { pool_.OnAvailable(*this); }
  void OnConnectionDraining(ClientConnection&) override { pool_.OnDraining(*this); }
  void OnGoaway(ClientConnection&) override { pool_.OnGoaway(); }
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

// ---- the pool

EndpointPool::EndpointPool(Loop& loop, Dialer& dialer, const ClusterConfig& config,
                           const EndpointConfig& endpoint, ClusterMetrics& metrics)
    : loop_(loop),
      dialer_(dialer),
      config_(config),
      endpoint_(endpoint),
      metrics_(metrics),
      idle_timer_(loop.timers(), Delegate::Bind<&EndpointPool::OnIdleTimer>(this)),
      multiplexes_(config.protocol != UpstreamProtocol::kHttp1) {
  http2_.options.max_concurrent_streams = config.http2.max_concurrent_streams;
  http2_.options.stream_window = config.http2.stream_window;
  http2_.options.connection_window = config.http2.connection_window;
  http2_.streams_per_connection = config.http2.max_concurrent_streams;
}

EndpointPool::~EndpointPool() {
  for (WaiterList* queue : {&waiters_, &replays_}) {
    while (!queue->empty()) queue->front()->StopWaiting();
  }
  closing_ = true;
  attempts_.ForEach([this](Attempt& attempt) {
    CountConnection(-1);
    delete &attempt;
  });
  while (!connections_.empty()) connections_.front()->get().Close();
}

// ---- requests

void EndpointPool::Acquire(ConnectionWaiter& waiter, ConnectionNeeds needs) {
  // Where no fresh one can be made, any has to do.
  const bool fresh = needs.fresh && !(AtLimit() && attempt_count_ == 0);
  if (Connection* const usable = fresh ? nullptr : FindUsable(needs)) {
    Hand(*usable, waiter);
    Settle(*usable);
    return;
  }
  if (waiting_ >= config_.max_pending || (breaker_ != nullptr && breaker_->pending_full())) {
    metrics_.overflows.Add();
    waiter.OnNoConnection(ConnectFailure::kOverflow);
    return;
  }
  Enqueue(waiter, needs.fresh ? replays_ : waiters_);
  StartAttempts();
}

void EndpointPool::Enqueue(ConnectionWaiter& waiter, WaiterList& queue) {
  queue.PushBack(&waiter);
  waiter.OnQueued(waiting_, breaker_ == nullptr ? nullptr : &breaker_->pending);
}

// A replay waits for a connection on which no exchange has ended yet, in a refusal for instance;
// unless there can be none: then any has to do.
ConnectionWaiter* EndpointPool::NextWaiter(Connection& connection) {
  const bool fresh = connection.requests == connection.get().active();
  if (!replays_.empty() && (fresh || (AtLimit() && attempt_count_ == 0))) return replays_.front();
  return waiters_.empty() ? nullptr : waiters_.front();
}

EndpointPool::Connection* EndpointPool::FindUsable(ConnectionNeeds needs) {
  while (!shared_.empty()) {
    Connection* const connection = shared_.back();
    if (Takes(*connection)) return connection;
    Settle(*connection);
  }
  while (!idle_.empty()) {
    Connection* const connection = idle_.back();
    const bool open = !needs.checked || connection->get().StillOpen();
    if (open && Takes(*connection)) return connection;
    connection->get().Close();
  }
  return nullptr;
}

void EndpointPool::Hand(Connection& connection, ConnectionWaiter& waiter) {
  if (connection.state == State::kIdle) Move(connection, State::kUnusable);
  const bool reused = connection.requests++ > 0;
  metrics_.requests.Add();
  waiter.OnConnection(connection.get(), *this, reused);
}

void EndpointPool::Serve(Connection& connection) {
  while (waiting_ > 0 && Takes(connection)) {
    ConnectionWaiter* const waiter = NextWaiter(connection);
    if (waiter == nullptr) break;
    waiter->StopWaiting();
    Hand(connection, *waiter);
  }
  Settle(connection);
  if (waiting_ > 0 && !closing_) StartAttempts();
}

// ---- connections

bool EndpointPool::WornOut(const Connection& connection) const {
  return config_.max_requests_per_connection != 0 &&
         connection.requests >= config_.max_requests_per_connection;
}

bool EndpointPool::Takes(Connection& connection) const {
  const bool open = connection.state != State::kDraining && connection.state != State::kClosed;
  return open && !closing_ && !WornOut(connection) && connection.get().room() > 0;
}

// Puts a connection where it belongs now.
void EndpointPool::Settle(Connection& connection) {
  if (connection.state == State::kClosed) return;
  const bool unused = connection.get().active() == 0;
  if (draining_ && unused) {
    connection.get().Close();
  } else if (closing_ || connection.state == State::kDraining || WornOut(connection)) {
    if (unused) {
      connection.get().Close();
    } else {
      Retire(connection);
    }
  } else if (unused) {
    SetIdle(connection);
  } else {
    Move(connection, connection.get().room() > 0 ? State::kShared : State::kUnusable);
  }
}

void EndpointPool::Move(Connection& connection, State to) {
  if (connection.state == to) return;
  if (connection.state == State::kIdle) --idle_count_;
  connection.ListHook<UsableTag>::Unlink();
  connection.state = to;
  if (to == State::kShared) shared_.PushBack(&connection);
  if (to != State::kIdle) return;
  idle_.PushBack(&connection);
  ++idle_count_;
}

void EndpointPool::SetIdle(Connection& connection) {
  if (connection.state == State::kIdle) return;
  Move(connection, State::kIdle);
  connection.idle_since = loop_.Now();
  if (NeededElsewhere()) {
    connection.get().Close();
  } else if (idle_count_ > config_.max_idle) {
    idle_.front()->get().Close();
  } else if (!idle_timer_.active() && config_.idle_timeout != Duration::zero()) {
    idle_timer_.Set(loop_.Now() + config_.idle_timeout);
  }
}

// An idle connection must not keep the others from those that they need.
bool EndpointPool::NeededElsewhere() const {
  if (breaker_ == nullptr || !breaker_->connections_full()) return false;
  return breaker_->connections_beyond() ||
         (breaker_->pending > 0 && owner_->OthersLackConnections(*this));
}

// It takes no request any more. A shared one may live on for as long as its longest exchange, and
// does not keep others from being opened.
void EndpointPool::Retire(Connection& connection) {
  if (connection.state == State::kDraining) return;
  Move(connection, State::kDraining);
  if (connection.get().multiplexes()) --connection_count_;
}

void EndpointPool::OnAvailable(Connection& connection) { Serve(connection); }

void EndpointPool::OnDraining(Connection& connection) {
  Retire(connection);
  Settle(connection);
  if (!closing_) StartAttempts();
}

void EndpointPool::OnClosed(Connection& connection) {
  const bool counted = connection.state != State::kDraining || !connection.get().multiplexes();
  if (counted) --connection_count_;
  Move(connection, State::kClosed);
  connection.ListHook<AllTag>::Unlink();
  metrics_.connections_open.Add(-1);
  CountConnection(-1);
  loop_.DeleteLater(std::unique_ptr<Deferred>(&connection));
  if (closing_) return;
  StartAttempts();
  TellIfFree();
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

bool EndpointPool::CloseOneIdle() {
  if (idle_.empty()) return false;
  idle_.front()->get().Close();
  return true;
}

void EndpointPool::OnGoaway() {
  if (owner_ != nullptr && !closing_) owner_->OnGoaway(*this);
}

void EndpointPool::SetDraining(bool draining) {
  if (draining_ == draining) return;
  draining_ = draining;
  if (draining_) CloseIdle();
}

void EndpointPool::Retire(std::function<void()> freed) {
  SetDraining(true);
  freed_ = std::move(freed);
}

void EndpointPool::TellIfFree() {
  if (freed_ && free()) freed_();
}

// ---- attempts

uint32_t EndpointPool::RequestsPerConnection() const {
  return multiplexes_ ? http2_.streams_per_connection : 1;
}

bool EndpointPool::AtOwnLimit() const {
  return config_.max_connections != 0 &&
         connection_count_ + attempt_count_ >= config_.max_connections;
}

bool EndpointPool::AtLimit() const {
  return AtOwnLimit() || (breaker_ != nullptr && breaker_->connections_full());
}

bool EndpointPool::LacksConnections() const {
  return uint64_t{attempt_count_} * RequestsPerConnection() < waiting_ && !AtOwnLimit();
}

void EndpointPool::CountConnection(int change) {
  if (breaker_ == nullptr) return;
  const bool was_full = breaker_->connections_full();
  breaker_->connections += static_cast<uint32_t>(change);
  if (was_full && !breaker_->connections_full() && !closing_) owner_->OnRoomForConnection();
}

// As many as those who wait can fill, as far as the limit allows; the others wait for one that is
// there already.
void EndpointPool::StartAttempts() {
  while (LacksConnections() && FindRoom()) {
    ++attempt_count_;
    CountConnection(1);
    attempts_.PushBack(new Attempt(*this));
  }
}

// What is closed for it may have made room for others who need it, too.
bool EndpointPool::FindRoom() {
  while (breaker_ != nullptr && breaker_->connections_full()) {
    if (!owner_->MakeRoomFor(*this)) return connection_count_ + attempt_count_ == 0;
  }
  return LacksConnections();
}

void EndpointPool::OnConnected(Attempt& attempt, std::unique_ptr<Transport> transport) {
  const TlsInfo* const tls = transport->tls();
  const bool http2 =
      tls != nullptr ? tls->alpn == "h2" : config_.protocol == UpstreamProtocol::kHttp2;
  if (!http2 && config_.protocol == UpstreamProtocol::kHttp2) {
    loop_.DeleteLater(std::move(transport));
    OnAttemptFailed(attempt, ConnectFailure::kNoHttp2);
    return;
  }
  --attempt_count_;
  delete &attempt;
  if (owner_ != nullptr) owner_->OnAttemptOver(*this, true);
  ++connection_count_;
  metrics_.connections_total.Add();
  metrics_.connections_open.Add();
  multiplexes_ = http2;
  auto* const connection = new Connection(*this, std::move(transport), http2);
  connections_.PushBack(connection);
  Serve(*connection);
}

ClientStream& EndpointPool::Adopt(std::unique_ptr<Transport> transport, ResponseReceiver& receiver,
                                  std::string_view unsent) {
  ++connection_count_;
  CountConnection(1);
  metrics_.connections_open.Add();
  auto* const connection = new Connection(*this, std::move(transport), false);
  connections_.PushBack(connection);
  ++connection->requests;
  return connection->http1().AdoptTunnel(receiver, unsent);
}

void EndpointPool::OnAttemptFailed(Attempt& attempt, ConnectFailure failure) {
  --attempt_count_;
  delete &attempt;
  if (owner_ != nullptr) owner_->OnAttemptOver(*this, false);
  (failure == ConnectFailure::kTimeout ? metrics_.connect_timeouts : metrics_.connect_failures)
      .Add();
  // All whom it was to carry have waited for long enough.
  for (uint32_t left = std::min(waiting_, RequestsPerConnection()); left > 0; --left) {
    if (waiting_ == 0) break;
    ConnectionWaiter* const waiter = replays_.empty() ? waiters_.front() : replays_.front();
    waiter->StopWaiting();
    waiter->OnNoConnection(failure);
  }
  CountConnection(-1);  // not before: nobody else is to connect for those
  StartAttempts();
  TellIfFree();
}

}  // namespace sluice
