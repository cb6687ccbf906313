// The connections of one worker to one endpoint: idle ones are reused last-in-first-out, so that
// the rest can age and close; requests that find none wait in order.
//
// One worker thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/intrusive_list.h"
#include "base/metrics.h"
#include "base/timer_queue.h"
#include "config/config.h"
#include "http/client_connection.h"
#include "http/http_options.h"
#include "sluice/loop.h"
#include "sluice/transport.h"

namespace sluice {

class EndpointPool;

// Why a request got no connection.
enum class ConnectFailure : uint8_t {
  kNoEndpoint,  // the cluster has none that is usable
  kRefused,     // or unreachable: the attempt failed
  kTimeout,     // no connection within connect_timeout
  kOverflow,    // too many requests are waiting already
};
std::string_view ConnectFailureName(ConnectFailure failure);

struct WaiterTag {};

// Somebody who needs a connection. Leaves the queue when destroyed.
class ConnectionWaiter : public ListHook<WaiterTag> {
 public:
  // `connection` is idle and must be given a request at once. `reused`: it has carried one before.
  virtual void OnConnection(ClientConnection& connection, EndpointPool& endpoint, bool reused) = 0;
  virtual void OnNoConnection(ConnectFailure failure) = 0;

 protected:
  ~ConnectionWaiter() = default;
};

// What a request needs from the connection it gets.
struct ConnectionNeeds {
  bool fresh = false;    // never used before: for the replay of a request that a reused one lost
  bool checked = false;  // a reused one is looked at first: for a request that cannot be replayed
};

// Counters of one cluster on one worker, shared by its pools.
struct ClusterMetrics {
  ClusterMetrics(const std::string& cluster, MetricShard& shard);
  MetricCell& connections_total;
  MetricCell& connections_open;
  MetricCell& connect_failures;
  MetricCell& connect_timeouts;
  MetricCell& overflows;
  MetricCell& requests;
  MetricCell& replays;
};

class EndpointPool {
 public:
  // Everything given must outlive the pool.
  EndpointPool(Loop& loop, Dialer& dialer, const ClusterConfig& config,
               const EndpointConfig& endpoint, ClusterMetrics& metrics);
  ~EndpointPool();
  EndpointPool(const EndpointPool&) = delete;

  // Calls the waiter exactly once, at once if an idle connection is there, unless it is destroyed
  // or unlinked before.
  void Acquire(ConnectionWaiter& waiter, ConnectionNeeds needs);

  // Closes what is idle; what is in use closes when it becomes idle.
  void CloseIdle();

  const std::string& address() const { return endpoint_.address; }

 private:
  class Connection;
  class Attempt;
  struct AllTag {};
  struct IdleTag {};

  Connection* TakeIdle(ConnectionNeeds needs);
  void StartAttempts();
  void OnConnected(Attempt& attempt, std::unique_ptr<Transport> transport);
  void OnAttemptFailed(Attempt& attempt, ConnectFailure failure);
  void OnIdle(Connection& connection);
  void OnClosed(Connection& connection);
  void OnIdleTimer();
  bool AtLimit() const;
  uint32_t CountWaiters();

  Loop& loop_;
  Dialer& dialer_;
  const ClusterConfig& config_;
  const EndpointConfig& endpoint_;
  ClusterMetrics& metrics_;
  HttpLimits limits_;
  IntrusiveList<ConnectionWaiter, WaiterTag> waiters_;
  IntrusiveList<Attempt, AllTag> attempts_;
  IntrusiveList<Connection, AllTag> connections_;
  IntrusiveList<Connection, IdleTag> idle_;  // the longest idle first
  Timer idle_timer_;
  uint32_t attempt_count_ = 0;
  uint32_t connection_count_ = 0;
  uint32_t idle_count_ = 0;
  bool closing_ = false;
};

}  // namespace sluice
