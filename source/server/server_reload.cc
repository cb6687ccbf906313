// The part of the server that goes over to another configuration.
#include <unistd.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "base/log.h"
#include "net/listen_socket.h"
#include "server/log_setup.h"
#include "server/removed_parts.h"
#include "server/server.h"

namespace sluice {
// Of the listeners of a new configuration.
struct Server::NewListeners {
  std::vector<std::vector<std::vector<Fd>>> sockets;  // by worker, then by listener
  std::vector<std::string> addresses;                 // as bound
};

void Server::BuildReloader(ConfigSource source) {
  Reloader::Surroundings around{
      .loop = control_,
      .shard = control_shard_,
      .source = std::move(source),
      .present = [this]() -> const Snapshot& { return *snapshot_; },
      .allowed = [this]() -> Result<void> {
        const Phase phase = drain_->phase();
        if (phase == Phase::kReady || phase == Phase::kLameDuck) return {};
        return Fail("not now: the phase is " + std::string(PhaseName(phase)) +
                    ", and a configuration is reloaded only in ready and lame_duck");
      },
      .publish =
          [this](std::shared_ptr<const Snapshot> next, std::function<void()> done) {
            return Publish(std::move(next), std::move(done));
          }};
  reloader_ = std::make_unique<Reloader>(std::move(around));
  WatchFile();
}

void Server::WatchFile() {
  const ReloadConfig& config = snapshot_->config.reload;
  file_watcher_.reset();
  if (!config.watch || !reloader_->has_source()) return;
  file_watcher_ = std::make_unique<FileWatcher>(
      control_, reloader_->file(), config.debounce,
      [this] { control_.Post([this] { reloader_->OnFileChanged(); }); });
}

Result<std::unique_ptr<AsyncLogWriter>> Server::StartAccessLog(const AccessLogConfig& config) {
  if (!config.enabled) return nullptr;
  AsyncLogWriter::Options options;
  options.path = config.path;
  std::string error;
  // A shard of its own: the log's thread counts in it.
  auto log = AsyncLogWriter::Start(options, AccessLogDropped(metrics_.AddShard()), &error);
  if (log == nullptr) return Fail("access_log.path: " + error);
  return log;
}

std::vector<std::shared_ptr<ListenerBudgets>> Server::BudgetsFor(const Config& config) {
  std::vector<std::shared_ptr<ListenerBudgets>> budgets;
  for (const ListenerConfig& listener : config.listeners) {
    auto& budget = listener_budgets_[listener.name];
    if (budget == nullptr) budget = std::make_shared<ListenerBudgets>(listener.limits);
    budget->connections.SetLimit(listener.limits.connections);
    budget->websockets.SetLimit(listener.limits.websockets);
    budgets.push_back(budget);
  }
  std::erase_if(listener_budgets_, [&](const auto& entry) {
    return std::find(budgets.begin(), budgets.end(), entry.second) == budgets.end();
  });
  return budgets;
}

// A listener that stays has its sockets, and one whose address is that of a listener that goes gets
// those (Worker::OpenPort).
Result<Server::NewListeners> Server::BindNewListeners(const Config& config) {
  const auto& present = snapshot_->config.listeners;
  NewListeners all;
  all.addresses.resize(config.listeners.size());
  all.sockets.resize(workers_.size());
  for (auto& sockets : all.sockets) sockets.resize(config.listeners.size());
  std::vector<bool> taken(present.size());
  const auto take = [&](size_t place, bool same_name) {
    const ListenerConfig& listener = config.listeners[place];
    for (size_t i = 0; i < present.size() && all.addresses[place].empty(); ++i) {
      const bool fits = !taken[i] && present[i].address == listener.address &&
                        (!same_name || present[i].name == listener.name);
      if (!fits) continue;
      taken[i] = true;
      all.addresses[place] = addresses_[i];
    }
  };
  for (size_t i = 0; i < config.listeners.size(); ++i) take(i, /*same_name=*/true);
  for (size_t i = 0; i < config.listeners.size(); ++i) {
    take(i, /*same_name=*/false);
    if (!all.addresses[i].empty()) continue;
    const ListenerConfig& listener = config.listeners[i];
    auto bound = BindListenSockets(listener.address, listener.backlog, workers_.size());
    if (!bound) return Fail("listener " + listener.name + ": " + bound.error().message);
    all.addresses[i] = bound->address;
    for (size_t w = 0; w < workers_.size(); ++w) {
      all.sockets[w][i].push_back(std::move(bound->fds[w]));
    }
  }
  return all;
}

// Of those that go, the files are removed, so that nobody finds them any more.
void Server::UseAddresses(const Config& before, std::vector<std::string> addresses) {
  for (size_t i = 0; i < addresses_.size(); ++i) {
    const std::string& address = addresses_[i];
    const bool stays = std::find(addresses.begin(), addresses.end(), address) != addresses.end();
    if (!stays && address.starts_with("unix:")) unlink(address.c_str() + 5);
  }
  for (size_t i = 0; i < addresses.size(); ++i) {
    const ListenerConfig& listener = snapshot_->config.listeners[i];
    const bool is_new = std::none_of(
        before.listeners.begin(), before.listeners.end(), [&](const ListenerConfig& other) {
          return other.name == listener.name && other.address == listener.address;
        });
    if (!is_new) continue;
    LogEvent(Level::kInfo, "listening", {{"listener", listener.name}, {"address", addresses[i]}});
  }
  addresses_ = std::move(addresses);
}

// What can fail comes first: until then nothing has changed.
Result<void> Server::Publish(std::shared_ptr<const Snapshot> next, std::function<void()> done) {
  const std::shared_ptr<const Snapshot> present = snapshot_;
  const Config& before = present->config;
  const Config& config = next->config;
  auto listeners = BindNewListeners(config);
  if (!listeners) return tl::unexpected(listeners.error());
  std::unique_ptr<AsyncLogWriter> log;
  const bool other_log = config.access_log.enabled != before.access_log.enabled ||
                         config.access_log.path != before.access_log.path;
  if (other_log) {
    auto started = StartAccessLog(config.access_log);
    if (!started) return tl::unexpected(started.error());
    log = std::move(*started);
  }
  std::string error;
  if (!ConfigureLog(LogOptionsOf(config.log), &error)) return Fail("log.path: " + error);

  connection_budget_->SetLimit(config.max_connections);
  // The one before is written to until every worker has the next.
  std::shared_ptr<AsyncLogWriter> old_log;
  if (other_log) old_log = std::exchange(access_log_, std::move(log));
  snapshot_ = std::move(next);
  SendToWorkers(
      [this, budgets = BudgetsFor(config), &listeners](size_t worker) {
        return WorkerUpdate{snapshot_, std::move(listeners->sockets[worker]), budgets,
                            access_log_.get(), upstreams_->Health()};
      },
      [old_log, done = std::move(done)] { done(); });
  tls_reloader_->Use(snapshot_);
  drain_->SetConfig(config.drain);
  part_drain_->SetConfig(config.drain, PartNamesOf(config));
  const bool watches_as_before = config.reload.watch == before.reload.watch &&
                                 config.reload.debounce == before.reload.debounce;
  if (!watches_as_before) WatchFile();
  UseAddresses(before, std::move(listeners->addresses));
  part_drain_->DrainRemoved(RemovedParts(before, config, snapshot_->generation));
  UseUpstreams();
  return {};
}

void Server::SendToWorkers(const std::function<WorkerUpdate(size_t worker)>& update,
                           std::function<void()> done) {
  auto missing = std::make_shared<size_t>(workers_.size());
  for (size_t i = 0; i < workers_.size(); ++i) {
    auto one = std::make_shared<WorkerUpdate>(update(i));
    workers_[i]->loop().Post([this, &worker = *workers_[i], one, missing, done] {
      worker.Use(std::move(*one));
      control_.Post([missing, done] {
        if (--*missing == 0) done();
      });
    });
  }
}

void Server::OnHangUp() {
  if (reloader_->has_source()) {
    reloader_->Reload("signal", {});
  } else if (tls_reloader_->has_work()) {
    tls_reloader_->Reload();
  } else {
    LogEvent(
        Level::kWarning, "signal_ignored",
        {{"signal", "SIGHUP"},
         {"reason", "it was started without a configuration file: there is nothing to reload"}});
  }
}

}  // namespace sluice
