// One worker: a thread with its loop, its listening sockets, its connections, its upstream pools
// and its counters. It shares nothing that changes with any other thread; others reach it by Post.
#pragma once

#include <functional>
#include <list>
#include <memory>
#include <thread>
#include <vector>

#include "admin/admin_sources.h"
#include "base/log_writer.h"
#include "base/metrics.h"
#include "http/part_drainer.h"
#include "net/fd.h"
#include "net/socket_dialer.h"
#include "net/uv_loop.h"
#include "proxy/access_log.h"
#include "server/cluster_set.h"
#include "server/listening_port.h"
#include "server/snapshot.h"
#include "server/upstream_watch.h"
#include "sluice/moved_connection.h"

namespace sluice {

// A configuration on its way to a worker.
struct WorkerUpdate {
  std::shared_ptr<const Snapshot> snapshot;
  // By place of the listener. One without any has them already, or gets those of one that listens
  // on its address now and goes.
  std::vector<std::vector<Fd>> sockets;
  std::vector<std::shared_ptr<ListenerBudgets>> budgets;
  AsyncLogWriter* log = nullptr;  // null: no access log
  std::vector<HealthFinding> health = {};
};

// A listening socket of a worker.
struct OwnedSocket {
  std::string listener;
  std::string address;  // as configured
  Fd fd;
};

class Worker final : private ClusterObserver {
 public:
  // Budget, shard and logs must outlive the worker.
  struct Surroundings {
    Budget& connections;  // of the process
    MetricShard& shard;
    // Its requests have found something out; on its thread.
    std::function<void(const std::string& cluster, const EndpointNews&)> news;
    bool reports_endpoints = false;  // one of the workers does
  };
  Worker(WorkerUpdate configuration, uint64_t seed, const Surroundings& surroundings);
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
  // Goes over to another configuration: with the next request of every connection.
  void Use(WorkerUpdate configuration);
  ConnectionManager& connections() { return connections_; }
  PartDrainer& part_drainer() { return part_drainer_; }
  // For a listener on a Unix socket that is about to be undrained.
  void SetSocket(size_t listener, Fd socket) { ports_[listener]->SetSocket(std::move(socket)); }
  std::vector<ConnectionRecord> DescribeConnections(uint32_t worker_index);
  // Certificates have changed: for connections from now on.
  void SetTls(size_t listener, std::shared_ptr<const TlsServerContext> context);
  void SetHealth(const HealthFinding& finding) {
    clusters_.SetHealth(finding.cluster, finding.address, finding.health);
  }
  // What another worker has found out.
  void Learn(const std::string& cluster, const EndpointNews& news) {
    clusters_.Learn(cluster, news);
  }
  std::vector<ClusterRecord> DescribeClusters();
  void SetClusterTls(size_t cluster, std::shared_ptr<const TlsClientContext> context);

 private:
  // ClusterObserver
  void OnEndpointNews(const Cluster& cluster, const EndpointNews& news) override {
    news_(cluster.config().name, news);
  }

  void SwitchPart(const Part& part, bool work);
  void SwitchRemovedPort(const Part& part, bool work);
  std::unique_ptr<ListeningPort> OpenPort(const ListenerConfig& config, std::vector<Fd> sockets,
                                          std::shared_ptr<ListenerBudgets> budgets,
                                          uint64_t generation);
  RequestLog* UseLog(const WorkerUpdate& configuration);
  void ReapLater();
  void Reap();

  MetricShard& shard_;
  Budget& process_budget_;
  const std::function<void(const std::string&, const EndpointNews&)> news_;
  MetricCell& generations_;
  UvLoop loop_;
  SocketDialer dialer_;
  AsyncLogWriter* log_writer_ = nullptr;
  std::unique_ptr<AccessLog> access_log_;
  ClusterSet clusters_;
  std::list<std::unique_ptr<WorkerGeneration>> all_generations_;
  Hold<WorkerGeneration> generation_;                  // the present one
  std::vector<std::unique_ptr<ListeningPort>> ports_;  // by place in its configuration
  std::vector<std::unique_ptr<ListeningPort>> removed_ports_;
  bool started_ = false;
  bool reaping_ = false;
  ConnectionManager connections_;  // its connections refer to the ports
  PartDrainer part_drainer_;
  std::function<void()> stopped_;
  std::thread thread_;
};

}  // namespace sluice
