#include "server/server.h"

#include <sys/resource.h>
#include <unistd.h>

#include <random>
#include <utility>

#include "base/cpu_count.h"
#include "base/log.h"
#include "config/loader.h"
#include "lifecycle/exit_code.h"
#include "lifecycle/service_manager.h"
#include "net/listen_socket.h"
#include "server/log_setup.h"
#include "sluice/version.h"

namespace sluice {
namespace {

uint64_t FreshSeed() {
  std::random_device device;
  return (static_cast<uint64_t>(device()) << 32) ^ device();
}

// Every connection needs a descriptor on either side; the soft limit is a default for programs that
// use select(2).
void RaiseDescriptorLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace

Server::Server() : control_(FreshSeed()), control_shard_(metrics_.AddShard()) {}

Server::~Server() = default;

Result<std::unique_ptr<Server>> Server::Create(ServeOptions options) {
  RaiseDescriptorLimit();
  std::unique_ptr<Server> server(new Server);
  if (auto built = server->Build(std::move(options)); !built) {
    if (server->succession_) {
      server->succession_->GiveUp(built.error().message);
    } else {
      Succession::Refuse(built.error().message);
    }
    return tl::unexpected(built.error());
  }
  return server;
}

Result<void> Server::Build(ServeOptions options) {
  program_ = std::move(options.program);
  if (auto done = StartLog(options.config); !done) return done;
  auto succession = Succession::Begin(control_, options.config.restart, options.takeover_path);
  if (!succession) return tl::unexpected(succession.error());
  succession_ = std::move(*succession);
  auto log = StartAccessLog(options.config.access_log);
  if (!log) return tl::unexpected(log.error());
  access_log_ = std::move(*log);
  if (auto done = StartEmbeddedOrigin(options); !done) return done;
  ConfigSource source = std::move(options.source);
  auto snapshot = BuildSnapshot(std::move(options.config));
  if (!snapshot) return tl::unexpected(snapshot.error());
  snapshot_ = std::move(*snapshot);
  succession_->Inherit(*snapshot_, metrics_, control_.WallNow());
  if (auto done = BindListeners(); !done) return done;
  if (auto done = BuildControl(); !done) return done;
  BuildReloader(std::move(source));
  if (auto done = BuildUpstreams(); !done) return done;
  if (succession_->takes_over()) return {};  // until then the pid file is another's
  return WritePidFile();
}

// ---- building ----

Result<void> Server::StartLog(const Config& config) {
  std::string error;
  if (!ConfigureLog(LogOptionsOf(config.log), &error)) return Fail("log.path: " + error);
  return {};
}

Result<void> Server::StartEmbeddedOrigin(ServeOptions& options) {
  if (options.embedded_origin_for.empty()) return {};
  embedded_origin_ = std::make_unique<EmbeddedOrigin>(control_);
  auto port = ControlPort::Open(control_, "embedded origin", "127.0.0.1:0", *embedded_origin_,
                                control_shard_);
  if (!port) return tl::unexpected(port.error());
  embedded_port_ = std::move(*port);
  embedded_port_->Accept();
  for (ClusterConfig& cluster : options.config.clusters) {
    if (cluster.name == options.embedded_origin_for) {
      cluster.endpoints = {EndpointConfig{embedded_port_->address(), 1}};
    }
  }
  return {};
}

Result<void> Server::BindListeners() {
  const Config& config = snapshot_->config;
  const size_t count = config.workers != 0 ? config.workers : UsableCpus();
  connection_budget_ = std::make_unique<Budget>(config.max_connections);
  const auto budgets = BudgetsFor(config);
  std::vector<std::vector<std::vector<Fd>>> sockets(count);  // by worker, then by listener
  for (const ListenerConfig& listener : config.listeners) {
    auto shared = SocketsFor(listener, count);
    if (!shared) return Fail("listener " + listener.name + ": " + shared.error().message);
    addresses_.push_back(shared->address);
    for (size_t i = 0; i < count; ++i) sockets[i].push_back(std::move(shared->by_worker[i]));
  }
  for (size_t i = 0; i < count; ++i) {
    workers_.push_back(std::make_unique<Worker>(
        WorkerUpdate{snapshot_, std::move(sockets[i]), budgets, access_log_.get()}, FreshSeed(),
        Worker::Surroundings{*connection_budget_, metrics_.AddShard(),
                             [this, i](const std::string& cluster, const EndpointNews& news) {
                               control_.Post(
                                   [this, i, cluster, news] { OnEndpointNews(i, cluster, news); });
                             },
                             i == 0}));
    Worker& worker = *workers_.back();
    remotes_.push_back(
        std::make_unique<RemoteDrainable>(control_, worker.loop(), worker.connections()));
    part_remotes_.push_back(
        std::make_unique<RemotePartDrainable>(control_, worker.loop(), worker.part_drainer()));
  }
  return {};
}

// Inherited ones, or new.
Result<SharedListenSockets> Server::SocketsFor(const ListenerConfig& listener, size_t workers) {
  auto inherited =
      succession_->sockets().Take(HandOverSocket::Kind::kListener, listener.name, listener.address);
  if (!inherited.empty()) {
    return AdoptListenSockets(std::move(inherited), listener.address, listener.backlog, workers);
  }
  auto bound = BindListenSockets(listener.address, listener.backlog, workers);
  if (!bound) return tl::unexpected(bound.error());
  SharedListenSockets shared{.by_worker = std::vector<std::vector<Fd>>(workers),
                             .address = std::move(bound->address)};
  for (size_t i = 0; i < workers; ++i) shared.by_worker[i].push_back(std::move(bound->fds[i]));
  return shared;
}

void Server::ReportTurns() {
  const auto report = [](UvLoop& loop, MetricShard& shard, const std::string& thread) {
    MetricCell& longest = shard.Gauge("sluice_loop_turn_seconds_max",
                                      "The longest turn of an event loop, since it began, or since "
                                      "the drain did.",
                                      {{"thread", thread}}, 1e6);
    loop.Post([&loop, &longest] { loop.ReportTurns(longest); });
  };
  report(control_, control_shard_, "control");
  for (size_t i = 0; i < workers_.size(); ++i) {
    report(workers_[i]->loop(), workers_[i]->shard(), "worker" + std::to_string(i));
  }
}

void Server::BuildTlsReloader() {
  TlsReloader::Publish publish;
  // The snapshot has the new one too, for whoever goes over to it, or makes another of it.
  publish.to_listener = [this](size_t i, const std::shared_ptr<const TlsServerContext>& context) {
    auto next = std::make_shared<Snapshot>(*snapshot_);
    next->listeners[i].tls = context;
    snapshot_ = std::move(next);
    for (const auto& worker : workers_) {
      worker->loop().Post([&worker = *worker, i, context] { worker.SetTls(i, context); });
    }
  };
  publish.to_cluster = [this](size_t i, const std::shared_ptr<const TlsClientContext>& context) {
    auto next = std::make_shared<Snapshot>(*snapshot_);
    next->cluster_tls[i] = context;
    snapshot_ = std::move(next);
    if (upstreams_) UseUpstreams();
    for (const auto& worker : workers_) {
      worker->loop().Post([&worker = *worker, i, context] { worker.SetClusterTls(i, context); });
    }
  };
  tls_reloader_ =
      std::make_unique<TlsReloader>(control_, snapshot_, std::move(publish), control_shard_);
}

void Server::BuildPartDrain() {
  PartDrainController::Surroundings around{
      .loop = control_,
      .process = *drain_,
      .workers = {},
      .metrics = control_shard_,
      .before_undrain = [this](const Part& part) { return BindAgain(part); }};
  for (const auto& remote : part_remotes_) around.workers.push_back(remote.get());
  part_drain_ = std::make_unique<PartDrainController>(
      snapshot_->config.drain, PartNamesOf(snapshot_->config), std::move(around));
}

// A Unix socket that was shut cannot listen again: a new one takes its place.
Result<void> Server::BindAgain(const Part& part) {
  if (part.kind != PartKind::kListener) return {};
  const auto& listeners = snapshot_->config.listeners;
  for (size_t i = 0; i < listeners.size(); ++i) {
    const ListenerConfig& listener = listeners[i];
    if (listener.name != part.name || !listener.address.starts_with("unix:")) continue;
    auto bound = BindListenSockets(listener.address, listener.backlog, workers_.size());
    if (!bound) return tl::unexpected(bound.error());
    for (size_t w = 0; w < workers_.size(); ++w) {
      auto socket = std::make_shared<Fd>(std::move(bound->fds[w]));
      workers_[w]->loop().Post(
          [&worker = *workers_[w], i, socket] { worker.SetSocket(i, std::move(*socket)); });
    }
  }
  return {};
}

Result<void> Server::BuildControl() {
  BuildTlsReloader();
  const Config& config = snapshot_->config;
  std::vector<Drainable*> parts;
  for (const auto& remote : remotes_) parts.push_back(remote.get());
  fan_out_ = std::make_unique<FanOut>(std::move(parts));
  DrainHooks hooks;
  hooks.stop_background = [this](const std::function<void()>& done) {
    upstreams_->Stop();
    done();
  };
  hooks.flush = [this](std::function<void()> done) { Flush(std::move(done)); };
  hooks.release = [this](std::function<void()> done) { Release(std::move(done)); };
  drain_ = std::make_unique<DrainController>(control_, config.drain, *fan_out_, std::move(hooks),
                                             control_shard_);
  drain_->AddListener([this](Phase from, Phase to) {
    if (from == Phase::kHandingOver && to == Phase::kReady) {
      control_.Post([this] { OnReadyAgain(); });
    }
    // What counts from here on is how long turns take while it drains.
    if (to == Phase::kDraining) ReportTurns();
    const bool stops = to == Phase::kLameDuck || to == Phase::kDraining;
    if (stops && !succession_->handed_over()) NotifyServiceManager("STOPPING=1");
    if (to == Phase::kExited) control_.Stop();
  });
  ReportTurns();

  BuildPartDrain();

  auto signals = Signals::Install(
      control_.uv(), {.stop =
                          [this](DrainTrigger trigger) {
                            control_.Post([this, trigger] { OnStopSignal(trigger); });
                          },
                      .reopen_logs = [this] { control_.Post([this] { ReopenLogs(); }); },
                      .restart = [this] { control_.Post([this] { OnRestartSignal(); }); },
                      .reload = [this] { control_.Post([this] { OnHangUp(); }); }});
  if (!signals) return tl::unexpected(signals.error());
  signals_ = std::move(*signals);

  control_shard_
      .Gauge("sluice_build_info", "Always 1; the labels say what runs.",
             {{"version", kVersion}, {"revision", kRevision}})
      .Set(1);
  if (auto opened = OpenAdmin(); !opened) return opened;
  return succession_->Attach({.program = program_,
                              .drain = *drain_,
                              .metrics = metrics_,
                              .shard = control_shard_,
                              .workers = workers_,
                              .admin = admin_port_.get(),
                              .snapshot = [this]() -> const Snapshot& { return *snapshot_; }});
}

Result<void> Server::WritePidFile() const {
  const std::string& path = snapshot_->config.pid_file;
  if (path.empty()) return {};
  const auto written = WriteFileAtomically(path, std::to_string(getpid()) + "\n");
  if (!written) return Fail("pid_file: " + written.error().message);
  return {};
}

// ---- running ----

int Server::Run() {
  upstreams_->WarmUp([this] {
    succession_->WhenMayAccept([this] { StartWorkers(); },
                               [this](const std::string& why) { LeaveUnserved(why); });
  });
  control_.Run();
  if (left_unserved_) return kExitFailure;
  if (workers_stopped_ < workers_.size()) {
    // A worker that hangs was left behind by the drain; it cannot be joined.
    FlushLog();
    _exit(drain_->exit_code());
  }
  return drain_->exit_code();
}

void Server::StartWorkers() {
  for (const auto& worker : workers_) {
    worker->Start([this] {
      control_.Post([this] {
        if (++workers_accepting_ == workers_.size()) OnAccepting();
      });
    });
  }
}

void Server::OnAccepting() {
  if (admin_port_) admin_port_->Accept();
  if (succession_->takes_over()) {
    if (const auto written = WritePidFile(); !written) {
      LogEvent(Level::kError, "pid_file_failed", {{"error", written.error().message}});
    }
  }
  LogListening();
  drain_->OnReady();
  succession_->OnAccepting();
}

// The process that serves does not hand over, or this one was told to stop before it did.
void Server::LeaveUnserved(const std::string& why) {
  LogEvent(Level::kError, "takeover_failed", {{"error", why}});
  left_unserved_ = true;
  control_.Stop();
}

void Server::OnStopSignal(DrainTrigger trigger) {
  if (succession_->waiting()) {
    succession_->GiveUp("it was told to stop by " + std::string(DrainTriggerName(trigger)));
    LeaveUnserved("told to stop before it could take over");
    return;
  }
  upstreams_->EndWarmUp();
  drain_->OnSignal(trigger);
}

void Server::OnRestartSignal() {
  // How it ends is in the log.
  succession_->Restart([](const Result<int>&) {});
}

void Server::LogListening() const {
  for (size_t i = 0; i < addresses_.size(); ++i) {
    LogEvent(Level::kInfo, "listening",
             {{"listener", snapshot_->config.listeners[i].name}, {"address", addresses_[i]}});
  }
  if (admin_port_) {
    LogEvent(Level::kInfo, "listening",
             {{"listener", "admin"}, {"address", admin_port_->address()}});
  }
}

std::vector<std::string> Server::Describe() const {
  const auto url = [](const std::string& address, bool tls = false) {
    if (address.starts_with("unix:")) return address;
    return (tls ? "https://" : "http://") + address;
  };
  std::vector<std::string> lines;
  for (size_t i = 0; i < addresses_.size(); ++i) {
    const ListenerConfig& listener = snapshot_->config.listeners[i];
    lines.push_back("listener " + listener.name + ": " +
                    url(addresses_[i], listener.tls.has_value()));
  }
  if (admin_port_) lines.push_back("admin: " + url(admin_port_->address()));
  return lines;
}

void Server::ReopenLogs() {
  ReopenLog();
  if (access_log_) access_log_->Reopen();
  LogEvent(Level::kInfo, "logs_reopened");
}

// ---- the last phases of a drain ----

void Server::Flush(std::function<void()> done) {
  FlushLog();
  if (!access_log_) {
    done();
    return;
  }
  access_log_->Flush([this, done = std::move(done)] { control_.Post(done); });
}

void Server::Release(std::function<void()> done) {
  succession_->SayFarewell();
  for (const auto& worker : workers_) {
    worker->Stop([this, done] {
      control_.Post([this, done] {
        if (++workers_stopped_ < workers_.size()) return;
        for (const auto& stopped : workers_) stopped->Join();
        RemoveFiles();
        done();
      });
    });
  }
}

void Server::RemoveFiles() const {
  if (succession_->handed_over()) return;  // they are the new process's
  for (const std::string& address : addresses_) {
    if (address.starts_with("unix:")) unlink(address.c_str() + 5);
  }
  for (const std::string& path : {snapshot_->config.pid_file, snapshot_->config.restart.socket}) {
    if (!path.empty()) unlink(path.c_str());
  }
}

}  // namespace sluice
