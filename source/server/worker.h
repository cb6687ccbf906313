// One worker: a thread with its loop, its listening sockets, its connections, its upstream pools
// and its counters. It shares nothing that changes with any other thread; others reach it by Post.
#pragma once

#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "admin/admin_sources.h"
#include "base/log_writer.h"
#include "base/metrics.h"
#include "http/part_drainer.h"
#include "net/fd.h"
#include "net/socket_dialer.h"
#include "net/tls_dialer.h"
#include "net/uv_loop.h"
#include "proxy/access_log.h"
#include "server/listening_port.h"
#include "server/snapshot.h"
#include "sluice/moved_connection.h"

namespace sluice {

// Of the whole process, by listener and in all.
struct ProcessBudgets {
  explicit ProcessBudgets(const Config& config);
  std::vector<std::unique_ptr<Budget>> listeners;
  std::vector<std::unique_ptr<Budget>> websockets;  // by listener
  Budget process;
};

// A listening socket of a worker.
struct OwnedSocket {
  std::string listener;
  std::string address;  // as configured
  Fd fd;
};

class Worker {
 public:
  // `sockets`: the listening sockets of each listener of the snapshot. `log` may be null. Budgets,
  // shard and log must outlive the worker.
  struct Surroundings {
    ProcessBudgets& budgets;
    MetricShard& shard;
    AsyncLogWriter* log;
  };
  Worker(std::shared_ptr<const Snapshot> snapshot, std::vector<std::vector<Fd>> sockets, uint64_t seed,
         const Surroundings& surroundings);
  // The thread must have ended, or never have been started.
  ~Worker();
  Worker(const Worker&) = delete;

  // Starts the thread and accepts; `accepting` is called on the worker's thread once it does.
  void Start(std::function<void()> accepting);

  // While a new process takes over, worker thread only: accepts nothing; accepts again; and has
  // given the sockets away.
  void PauseAccepting();
  void AcceptAgain();
  void LetGoOfSockets();
  // Live connections, on either side (sluice/moved_connection.h).
  Result<void> Adopt(const MovedConnection& moved);
  void MoveTo(ConnectionMover* mover) { connections_.MoveTo(mover); }
  // The listening sockets once more, worker thread only.
  std::vector<OwnedSocket> DuplicateSockets() const;

  // Closes what is idle and ends the thread; `stopped` is the last thing the thread calls.
  void Stop(std::function<void()> stopped);
  void Join();

  UvLoop& loop() { return loop_; }
  MetricShard& shard() { return shard_; }

  // Worker thread only.
  ConnectionManager& connections() { return connections_; }
  PartDrainer& part_drainer() { return part_drainer_; }
  // For a listener on a Unix socket that is about to be undrained.
  void SetSocket(size_t listener, Fd socket) { ports_[listener]->SetSocket(std::move(socket)); }
  std::vector<ConnectionRecord> DescribeConnections(uint32_t worker_index);
  // Certificates have changed: for connections from now on.
  void SetTls(size_t listener, std::shared_ptr<const TlsServerContext> context);
  void SetClusterTls(size_t cluster, std::shared_ptr<const TlsClientContext> context);

 private:
  // How connections to a cluster with TLS are made.
  struct SecureDialer {
    SecureDialer(Loop& loop, Dialer& plain, std::shared_ptr<const TlsClientContext> context,
                 TlsHandshakeMetrics counters)
        : metrics(counters), dialer(loop, plain, std::move(context), metrics) {}
    TlsHandshakeMetrics metrics;
    TlsDialer dialer;
  };

  void SwitchPart(const Part& part, bool work);
  Dialer& DialerFor(size_t cluster, MetricShard& shard);

  std::shared_ptr<const Snapshot> snapshot_;
  MetricShard& shard_;
  UvLoop loop_;
  SocketDialer dialer_;
  std::vector<std::unique_ptr<SecureDialer>> secure_dialers_;  // by cluster; null: cleartext
  std::unique_ptr<AccessLog> access_log_;
  ClusterMap clusters_;
  std::vector<std::unique_ptr<ListeningPort>> ports_;
  ConnectionManager connections_;  // its connections refer to the ports
  PartDrainer part_drainer_;
  std::function<void()> stopped_;
  std::thread thread_;
};

}  // namespace sluice
