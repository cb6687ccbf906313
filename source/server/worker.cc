#include "server/worker.h"

#include <algorithm>
#include <utility>

namespace sluice {

Worker::Worker(WorkerUpdate configuration, uint64_t seed, const Surroundings& surroundings)
    : shard_(surroundings.shard),
      process_budget_(surroundings.connections),
      news_(surroundings.news),
      generations_(shard_.Gauge("sluice_config_generations",
                                "Configurations that a worker still uses: the present one, and "
                                "those that requests in flight go by.")),
      loop_(seed),
      dialer_(loop_),
      clusters_({loop_, dialer_, shard_, [this] { ReapLater(); }, this,
                 surroundings.reports_endpoints ? &shard_ : nullptr}),
      connections_(loop_, surroundings.shard,
                   [this](const DrainScope& scope) {
                     for (const auto* ports : {&ports_, &removed_ports_}) {
                       for (const auto& port : *ports) {
                         if (scope.Includes(port->direction())) port->StopAccepting();
                       }
                     }
                   }),
      part_drainer_(connections_, [this](const Part& part, bool work) { SwitchPart(part, work); }) {
  Use(std::move(configuration));
}

void Worker::Use(WorkerUpdate configuration) {
  const Config& config = configuration.snapshot->config;
  all_generations_.push_back(std::make_unique<WorkerGeneration>(
      configuration.snapshot, clusters_.Use(*configuration.snapshot), [this] { ReapLater(); }));
  generations_.Add();
  for (const HealthFinding& finding : configuration.health) {
    clusters_.KnowHealth(finding.cluster, finding.address, finding.health);
  }
  WorkerGeneration& next = *all_generations_.back();
  RequestLog* const log = UseLog(configuration);
  std::vector<std::unique_ptr<ListeningPort>> before = std::exchange(ports_, {});
  for (const ListenerConfig& listener : config.listeners) {
    const auto same = std::find_if(before.begin(), before.end(), [&](const auto& port) {
      return port != nullptr && port->name() == listener.name &&
             port->address() == listener.address;
    });
    ports_.push_back(same == before.end() ? nullptr : std::move(*same));
  }
  for (auto& port : before) {
    if (port == nullptr) continue;
    port->Remove(next.number());
    removed_ports_.push_back(std::move(port));
  }
  for (size_t i = 0; i < config.listeners.size(); ++i) {
    if (ports_[i] == nullptr) {
      ports_[i] = OpenPort(config.listeners[i], std::move(configuration.sockets[i]),
                           std::move(configuration.budgets[i]), next.number());
    }
    ports_[i]->Use(next, i, log);
    if (started_) ports_[i]->StartAccepting();
  }
  for (const auto& port : removed_ports_) port->SetLog(log);
  if (generation_) generation_->Replace();
  generation_ = Hold<WorkerGeneration>(&next);
  for (const PartDrain& drain : connections_.parts().drains()) {
    if (drain.order.part.removed_by == 0) SwitchPart(drain.order.part, false);
  }
}

// Without sockets it gets those of one that has just been removed, so that nothing in their queues
// is lost: Server::BindNewListeners has chosen in the same way.
std::unique_ptr<ListeningPort> Worker::OpenPort(const ListenerConfig& config,
                                                std::vector<Fd> sockets,
                                                std::shared_ptr<ListenerBudgets> budgets,
                                                uint64_t generation) {
  for (const auto& port : removed_ports_) {
    if (!sockets.empty()) break;
    if (port->removed_by() != generation || port->address() != config.address) continue;
    sockets = port->DuplicateSockets();
    port->LetGo();
  }
  return std::make_unique<ListeningPort>(
      config, std::move(sockets), std::move(budgets),
      ListeningPort::Services{loop_, connections_, process_budget_, shard_});
}

RequestLog* Worker::UseLog(const WorkerUpdate& configuration) {
  const auto& line = configuration.snapshot->access_log_line;
  const bool same = std::exchange(log_writer_, configuration.log) == configuration.log;
  if (log_writer_ == nullptr) {
    access_log_.reset();
  } else if (same) {
    access_log_->SetLine(line);
  } else {
    access_log_ =
        std::make_unique<AccessLog>(loop_, line, log_writer_->AddChannel(AccessLogDropped(shard_)));
  }
  return access_log_.get();
}

void Worker::ReapLater() {
  if (!std::exchange(reaping_, true)) loop_.Post([this] { Reap(); });
}

// What was replaced and is not in use any more.
void Worker::Reap() {
  reaping_ = false;
  const size_t before = all_generations_.size();
  all_generations_.remove_if([](const auto& generation) { return !generation->held(); });
  generations_.Add(static_cast<int64_t>(all_generations_.size()) - static_cast<int64_t>(before));
  clusters_.Reap();
}

Worker::~Worker() = default;

// A route or a cluster gets no new work because the proxies ask for it before they choose.
void Worker::SwitchPart(const Part& part, bool work) {
  if (part.removed_by != 0) {
    if (part.kind == PartKind::kListener) SwitchRemovedPort(part, work);
    return;
  }
  switch (part.kind) {
    case PartKind::kListener:
      for (const auto& port : ports_) {
        if (port->name() != part.name) continue;
        work ? port->AcceptAgain() : port->RefuseConnections();
      }
      break;
    case PartKind::kRoute:
      break;
    case PartKind::kCluster:
      clusters_.SetDrained(part.name, !work);
      break;
    case PartKind::kEndpoint:
      clusters_.SetEndpointDrained(part.name, !work);
      break;
  }
}

Result<void> Worker::Adopt(const MovedConnection& moved) {
  for (const auto& port : ports_) {
    if (port->name() == moved.listener) return port->Adopt(moved);
  }
  return Fail("there is no listener " + moved.listener);
}

// Nothing else that was removed gets any work. `work` says here that nothing is left of it.
void Worker::SwitchRemovedPort(const Part& part, bool work) {
  const auto is_it = [&](const auto& port) {
    return port->name() == part.name && port->removed_by() == part.removed_by;
  };
  if (work) {
    std::erase_if(removed_ports_, is_it);
    return;
  }
  for (const auto& port : removed_ports_) {
    if (is_it(port)) port->StopAccepting();
  }
}

void Worker::SetTls(size_t listener, std::shared_ptr<const TlsServerContext> context) {
  ports_[listener]->SetTls(std::move(context));
}

void Worker::SetClusterTls(size_t cluster, std::shared_ptr<const TlsClientContext> context) {
  clusters_.SetTls(cluster, std::move(context));
}

void Worker::Start(std::function<void()> accepting) {
  loop_.Post([this, accepting = std::move(accepting)] {
    started_ = true;
    for (const auto& port : ports_) port->StartAccepting();
    accepting();
  });
  thread_ = std::thread([this] {
    loop_.Run();
    stopped_();
  });
}

void Worker::PauseAccepting() {
  for (const auto& port : ports_) port->PauseAccepting();
}

void Worker::AcceptAgain() {
  for (const auto& port : ports_) port->StartAccepting();
}

void Worker::LetGoOfSockets() {
  for (const auto& port : ports_) port->LetGo();
}

std::vector<OwnedSocket> Worker::DuplicateSockets() const {
  std::vector<OwnedSocket> sockets;
  for (const auto& port : ports_) {
    for (Fd& socket : port->DuplicateSockets()) {
      sockets.push_back({std::string(port->name()), port->address(), std::move(socket)});
    }
  }
  return sockets;
}

void Worker::Stop(std::function<void()> stopped) {
  loop_.Post([this, stopped = std::move(stopped)]() mutable {
    for (const auto& port : ports_) port->StopAccepting();
    clusters_.CloseIdle();
    stopped_ = std::move(stopped);
    loop_.Stop();
  });
}

void Worker::Join() {
  if (thread_.joinable()) thread_.join();
}

std::vector<ClusterRecord> Worker::DescribeClusters() {
  std::vector<ClusterRecord> records;
  const TimePoint now = loop_.Now();
  clusters_.ForEach([&](const Cluster& cluster) {
    ClusterRecord& record = records.emplace_back();
    record.name = cluster.config().name;
    record.in_flight = cluster.breaker().requests;
    record.waiting = cluster.breaker().pending;
    record.connections = cluster.breaker().connections;
    for (const auto& endpoint : cluster.endpoints()) {
      record.endpoints.push_back({endpoint->config.address, EndpointStateName(endpoint->state(now)),
                                  endpoint->config.weight, endpoint->config.priority,
                                  endpoint->config.zone, endpoint->active(),
                                  endpoint->outlier.ejections, ""});
    }
  });
  return records;
}

std::vector<ConnectionRecord> Worker::DescribeConnections(uint32_t worker_index) {
  std::vector<ConnectionRecord> records;
  records.reserve(connections_.connection_count());
  const TimePoint now = loop_.Now();
  connections_.ForEachConnection([&](ServerConnection& connection) {
    ConnectionRecord& record = records.emplace_back();
    record.listener = connection.context().name;
    record.peer = connection.info().peer;
    record.state = connection.StateName();
    record.worker = worker_index;
    record.age = now - connection.accepted_at();
    record.requests = connection.requests();
    connection.codec().ForEachStream([&](const RequestRecord& request) {
      record.in_flight.push_back({request.protocol, std::string(request.route),
                                  now - request.started, request.bytes_in, request.bytes_out,
                                  std::string(request.waiting_for)});
    });
  });
  return records;
}

}  // namespace sluice
