// The process: owns everything, wires it together, and runs the control thread.
//
//   control thread   signals, drain machine, admin, embedded origin
//   N workers        see server/worker.h
//   log thread       the access log
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "admin/admin_handler.h"
#include "base/log_writer.h"
#include "base/metrics.h"
#include "config/loader.h"
#include "lifecycle/drain.h"
#include "lifecycle/fan_out.h"
#include "lifecycle/part_drain.h"
#include "lifecycle/self_check.h"
#include "lifecycle/signals.h"
#include "net/file_watcher.h"
#include "net/listen_socket.h"
#include "net/uv_loop.h"
#include "server/control_port.h"
#include "server/embedded_origin.h"
#include "server/reloader.h"
#include "server/remote_drainable.h"
#include "server/remote_part_drainable.h"
#include "server/succession.h"
#include "server/tls_reloader.h"
#include "server/upstream_watch.h"
#include "server/worker.h"
#include "sluice/result.h"

namespace sluice {

struct ServeOptions {
  Config config;
  Program program;            // how this process was started
  std::string takeover_path;  // of the process to take over from; empty: none is known
  ConfigSource source;        // where `config` came from, to be read again; without a file: nowhere
  std::string embedded_origin_for;  // name of a cluster that the embedded origin serves, or empty
};

class Server {
 public:
  // Binds every socket and compiles the configuration, so that whatever can be wrong is found here.
  static Result<std::unique_ptr<Server>> Create(ServeOptions options);
  ~Server();

  // Serves until a drain has ended; returns the exit code (lifecycle/exit_code.h).
  int Run();

  // What is served where, a line each, for the person who started it.
  std::vector<std::string> Describe() const;

 private:
  Server();

  Result<void> Build(ServeOptions options);
  Result<void> StartLog(const Config& config);
  Result<void> StartEmbeddedOrigin(ServeOptions& options);
  Result<void> BindListeners();
  Result<SharedListenSockets> SocketsFor(const ListenerConfig& listener, size_t workers);
  Result<void> BuildControl();
  Result<void> WritePidFile() const;
  void RemoveFiles() const;
  void StartWorkers();
  void OnAccepting();
  void LeaveUnserved(const std::string& why);
  void LogListening() const;
  void ReportTurns();

  void ReopenLogs();
  void BuildTlsReloader();
  void BuildPartDrain();
  Result<void> BindAgain(const Part& part);

  // The admin: server_admin.cc.
  Result<void> OpenAdmin();
  AdminSources MakeAdminSources();
  void CollectConnections(std::function<void(std::vector<ConnectionRecord>)> reply);
  void CollectClusters(std::function<void(std::vector<ClusterRecord>)> reply);

  // Reload: server_reload.cc.
  void BuildReloader(ConfigSource source);
  Result<void> Publish(std::shared_ptr<const Snapshot> next, std::function<void()> done);
  Result<std::unique_ptr<AsyncLogWriter>> StartAccessLog(const AccessLogConfig& config);
  struct NewListeners;
  Result<NewListeners> BindNewListeners(const Config& config);
  void UseAddresses(const Config& before, std::vector<std::string> addresses);
  std::vector<std::shared_ptr<ListenerBudgets>> BudgetsFor(const Config& config);
  void SendToWorkers(const std::function<WorkerUpdate(size_t worker)>& update,
                     std::function<void()> done);
  void WatchFile();
  void OnHangUp();

  // Upstreams: server_upstreams.cc.
  Result<void> BuildUpstreams();
  void UseUpstreams();
  void OnEndpointsFound(const std::string& cluster, const std::vector<EndpointConfig>& endpoints);
  void OnHealth(const HealthFinding& finding);
  void DrainUnhealthy();
  void OnReadyAgain();
  void Succeed(std::shared_ptr<const Snapshot> next);
  void OnEndpointNews(size_t finder, const std::string& cluster, const EndpointNews& news);

  void OnStopSignal(DrainTrigger trigger);
  void OnRestartSignal();

  void Flush(std::function<void()> done);
  void Release(std::function<void()> done);

  // Destroyed in reverse: the workers before the log they write to and the metrics they count in.
  Metrics metrics_;
  UvLoop control_;
  MetricShard& control_shard_;
  std::unique_ptr<AsyncLogWriter> access_log_;
  Program program_;
  std::unique_ptr<Succession> succession_;
  std::shared_ptr<const Snapshot> snapshot_;
  std::unique_ptr<EmbeddedOrigin> embedded_origin_;
  std::unique_ptr<ControlPort> embedded_port_;
  std::unique_ptr<Budget> connection_budget_;  // of the process
  std::map<std::string, std::shared_ptr<ListenerBudgets>> listener_budgets_;
  std::vector<std::string> addresses_;  // of the listeners, as bound
  std::vector<std::unique_ptr<Worker>> workers_;
  std::vector<std::unique_ptr<RemoteDrainable>> remotes_;
  std::vector<std::unique_ptr<RemotePartDrainable>> part_remotes_;
  std::unique_ptr<UpstreamWatch> upstreams_;
  std::unique_ptr<SelfCheck> self_check_;
  std::vector<HealthFinding> turned_unhealthy_;  // and not drained yet
  // What is drained because its health check fails, by cluster and address.
  std::map<std::pair<std::string, std::string>, Part> unhealthy_;
  std::unique_ptr<TlsReloader> tls_reloader_;
  std::unique_ptr<Reloader> reloader_;
  std::unique_ptr<FileWatcher> file_watcher_;
  std::unique_ptr<FanOut> fan_out_;
  std::unique_ptr<DrainController> drain_;
  std::unique_ptr<PartDrainController> part_drain_;
  std::unique_ptr<AdminHandler> admin_;
  std::unique_ptr<ControlPort> admin_port_;
  std::unique_ptr<Signals> signals_;
  size_t workers_accepting_ = 0;
  size_t workers_stopped_ = 0;
  bool left_unserved_ = false;  // it was not to take over
};

}  // namespace sluice
