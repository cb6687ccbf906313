// The connections of one worker to one endpoint, and the requests that wait for one, in order.
//
// A connection that carries one request at a time is idle or in use; idle ones are reused
// last-in-first-out, so that the rest can age and close, and each waiter has one opened for it.
// One that multiplexes is shared until it is full: requests go to the one that became usable last,
// which keeps their number small, and a further one is opened only for what those there cannot
// carry.
//
// One worker thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/intrusive_list.h"
#include "base/timer_queue.h"
#include "config/cluster_config.h"
#include "http/client_connection.h"
#include "http/h2_client_connection.h"
#include "sluice/held.h"
#include "sluice/loop.h"
#include "sluice/transport.h"
#include "upstream/circuit_breaker.h"
#include "upstream/cluster_metrics.h"

namespace sluice {

class EndpointPool;

// Why a request got no connection.
enum class ConnectFailure : uint8_t {
  kNoEndpoint,  // the cluster has none that is usable
  kRefused,     // or unreachable: the attempt failed
  kTimeout,     // no connection within connect_timeout
  kNoHttp2,     // it is reached, but TLS has agreed on another protocol
  kOverflow,    // too many requests are waiting already
  kOverload,    // those who wait for an answer wait for too long already
};
std::string_view ConnectFailureName(ConnectFailure failure);

struct WaiterTag {};

// Somebody who needs a connection. Leaves the queue when destroyed.
class ConnectionWaiter : public ListHook<WaiterTag> {
 public:
  // `connection` has room and must be given a request at once. `reused`: it has carried one before.
  virtual void OnConnection(ClientConnection& connection, EndpointPool& endpoint, bool reused) = 0;
  virtual void OnNoConnection(ConnectFailure failure) = 0;

  // For the pool: it has joined the queue of this length, and of all of the cluster, if there is
  // such a thing.
  void OnQueued(uint32_t& queue_length, uint32_t* all);
  // Does not want one any more.
  void StopWaiting();

 protected:
  ~ConnectionWaiter() { StopWaiting(); }

 private:
  uint32_t* queue_length_ = nullptr;
  uint32_t* all_ = nullptr;
};

// What a request needs from the connection it gets.
struct ConnectionNeeds {
  bool fresh = false;    // one that has carried no request: what a reused one did to it is enough
  bool checked = false;  // a reused one is looked at first: for a request that cannot be replayed
};

// The cluster's side of a pool.
class EndpointPoolOwner {
 public:
  // An attempt to connect has failed, or succeeded.
  virtual void OnAttemptOver(EndpointPool& pool, bool connected) = 0;
  // The upstream said by GOAWAY, without an error, that a connection shall end.
  virtual void OnGoaway(EndpointPool& pool) = 0;
  // The limit on connections of the cluster is reached: closes an idle one of another pool. False
  // when there is none.
  virtual bool MakeRoomFor(EndpointPool& pool) = 0;
  // Whether another pool lacks connections.
  virtual bool OthersLackConnections(const EndpointPool& pool) const = 0;
  // A connection has closed while the limit was reached: StartAttempts is due for all.
  virtual void OnRoomForConnection() = 0;

 protected:
  ~EndpointPoolOwner() = default;
};

// Held by the requests on it, so that one which is removed stays until they are over.
class EndpointPool final : public Held {
 public:
  // Everything given must outlive the pool, but for `endpoint`.
  EndpointPool(Loop& loop, Dialer& dialer, const ClusterConfig& config,
               const EndpointConfig& endpoint, ClusterMetrics& metrics);
  ~EndpointPool() override;

  // Before the first request; both must outlive the pool. Without, it is alone.
  void Join(EndpointPoolOwner& owner, CircuitBreaker& breaker) {
    owner_ = &owner;
    breaker_ = &breaker;
  }

  // Calls the waiter exactly once, at once if a connection with room is there, unless it is
  // destroyed or stops waiting before.
  void Acquire(ConnectionWaiter& waiter, ConnectionNeeds needs);

  // Goes on with a tunnel over HTTP/1.1 that another process has frozen.
  ClientStream& Adopt(std::unique_ptr<Transport> transport, ResponseReceiver& receiver,
                      std::string_view unsent);

  // Closes what is idle.
  void CloseIdle();
  // Closes what has been idle for longest; false when nothing is.
  bool CloseOneIdle();

  // Opens connections for those who wait, as far as the limits allow. Of the cluster's limit one is
  // always allowed, as the first: where all others are in use, waiting for them could last for
  // ever.
  void StartAttempts();
  // More wait than the attempts under way can carry, and our own limit allows another.
  bool LacksConnections() const;

  // While draining, a connection is closed as soon as nothing is in flight on it.
  void SetDraining(bool draining);

  // It gets no new work any more and drains. `freed` is called, perhaps several times, when nobody
  // holds it and its last connection has closed; the pool must not be destroyed inside.
  void Retire(std::function<void()> freed);
  bool free() const { return !held() && connections_.empty() && attempts_.empty(); }

  const std::string& address() const { return endpoint_.address; }

 private:
  class Connection;
  class Attempt;
  struct AllTag {};
  struct UsableTag {};
  //   kUnusable (new, or full) <--> kShared <--> kIdle
  //   any of them -> kDraining (takes none any more) -> kClosed, or at once kClosed
  enum class State : uint8_t { kUnusable, kShared, kIdle, kDraining, kClosed };
  using WaiterList = IntrusiveList<ConnectionWaiter, WaiterTag>;

  // Held
  void OnLetGo() override { TellIfFree(); }

  void TellIfFree();
  void Enqueue(ConnectionWaiter& waiter, WaiterList& queue);
  ConnectionWaiter* NextWaiter(Connection& connection);
  Connection* FindUsable(ConnectionNeeds needs);
  void Hand(Connection& connection, ConnectionWaiter& waiter);
  void Serve(Connection& connection);

  bool WornOut(const Connection& connection) const;
  bool Takes(Connection& connection) const;
  void Settle(Connection& connection);
  void Move(Connection& connection, State to);
  void SetIdle(Connection& connection);
  bool NeededElsewhere() const;
  void Retire(Connection& connection);
  void OnAvailable(Connection& connection);
  void OnDraining(Connection& connection);
  void OnGoaway();
  void OnClosed(Connection& connection);
  void OnIdleTimer();

  uint32_t RequestsPerConnection() const;
  bool AtOwnLimit() const;
  bool AtLimit() const;
  bool FindRoom();
  void CountConnection(int change);
  void OnConnected(Attempt& attempt, std::unique_ptr<Transport> transport);
  void OnAttemptFailed(Attempt& attempt, ConnectFailure failure);

  Loop& loop_;
  Dialer& dialer_;
  const ClusterConfig& config_;
  const EndpointConfig endpoint_;
  ClusterMetrics& metrics_;
  H2ClientContext http2_;
  WaiterList waiters_;
  WaiterList replays_;  // wait for a fresh connection
  IntrusiveList<Attempt, AllTag> attempts_;
  IntrusiveList<Connection, AllTag> connections_;
  IntrusiveList<Connection, UsableTag> shared_;  // in use, with room; the best one last
  IntrusiveList<Connection, UsableTag> idle_;    // the longest idle first
  Timer idle_timer_;
  uint32_t waiting_ = 0;           // in waiters_ and replays_
  uint32_t attempt_count_ = 0;     // attempts_
  uint32_t connection_count_ = 0;  // connections_, but for shared ones that are draining
  uint32_t idle_count_ = 0;        // idle_
  bool multiplexes_;               // as the last connection did, or the next is thought to
  bool draining_ = false;
  bool closing_ = false;
  EndpointPoolOwner* owner_ = nullptr;
  CircuitBreaker* breaker_ = nullptr;
  std::function<void()> freed_;  // set: retired
};

}  // namespace sluice
