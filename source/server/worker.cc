#include "server/worker.h"

#include <utility>

namespace sluice {

ProcessBudgets::ProcessBudgets(const Config& config) : process(config.max_connections) {
  for (const ListenerConfig& listener : config.listeners) {
    listeners.push_back(std::make_unique<Budget>(listener.limits.connections));
    websockets.push_back(std::make_unique<Budget>(listener.limits.websockets));
  }
}

Worker::Worker(std::shared_ptr<const Snapshot> snapshot, std::vector<std::vector<Fd>> sockets, uint64_t seed,
               const Surroundings& surroundings)
    : snapshot_(std::move(snapshot)),
      shard_(surroundings.shard),
      loop_(seed),
      dialer_(loop_),
      connections_(loop_, surroundings.shard,
                   [this](const DrainScope& scope) {
                     for (const auto& port : ports_) {
                       if (scope.Includes(port->direction())) port->StopAccepting();
                     }
                   }),
      part_drainer_(connections_, [this](const Part& part, bool work) { SwitchPart(part, work); }) {
  const Config& config = snapshot_->config;
  if (snapshot_->access_log_line != nullptr && surroundings.log != nullptr) {
    access_log_ = std::make_unique<AccessLog>(
        loop_, snapshot_->access_log_line,
        surroundings.log->AddChannel(AccessLogDropped(surroundings.shard)));
  }
  for (size_t i = 0; i < config.clusters.size(); ++i) {
    const ClusterConfig& cluster = config.clusters[i];
    clusters_[cluster.name] = std::make_unique<Cluster>(loop_, DialerFor(i, surroundings.shard),
                                                        cluster, surroundings.shard);
  }
  const ListeningPort::Services services{loop_, connections_, clusters_, access_log_.get(),
                                         surroundings.shard};
  for (size_t i = 0; i < config.listeners.size(); ++i) {
    const ConnectionBudgets budgets{*surroundings.budgets.listeners[i],
                                    surroundings.budgets.process,
                                    *surroundings.budgets.websockets[i]};
    ports_.push_back(std::make_unique<ListeningPort>(config.listeners[i], snapshot_->listeners[i],
                                                     std::move(sockets[i]), budgets, services));
  }
}

Worker::~Worker() = default;

// A route or a cluster gets no new work because the proxies ask for it before they choose.
void Worker::SwitchPart(const Part& part, bool work) {
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
      clusters_.at(part.name)->SetDrained(!work);
      break;
    case PartKind::kEndpoint:
      for (const auto& [name, cluster] : clusters_) cluster->SetEndpointDrained(part.name, !work);
      break;
  }
}

Dialer& Worker::DialerFor(size_t cluster, MetricShard& shard) {
  secure_dialers_.emplace_back();
  const auto& context = snapshot_->cluster_tls[cluster];
  if (context == nullptr) return dialer_;
  const std::string& name = snapshot_->config.clusters[cluster].name;
  secure_dialers_.back() = std::make_unique<SecureDialer>(
      loop_, dialer_, context, TlsHandshakeMetrics::OfCluster(shard, name));
  return secure_dialers_.back()->dialer;
}

Result<void> Worker::Adopt(const MovedConnection& moved) {
  for (const auto& port : ports_) {
    if (port->name() == moved.listener) return port->Adopt(moved);
  }
  return Fail("there is no listener " + moved.listener);
}

void Worker::SetTls(size_t listener, std::shared_ptr<const TlsServerContext> context) {
  ports_[listener]->SetTls(std::move(context));
}

void Worker::SetClusterTls(size_t cluster, std::shared_ptr<const TlsClientContext> context) {
  secure_dialers_[cluster]->dialer.SetContext(std::move(context));
}

void Worker::Start(std::function<void()> accepting) {
  loop_.Post([this, accepting = std::move(accepting)] {
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
    for (const auto& [name, cluster] : clusters_) cluster->CloseIdle();
    stopped_ = std::move(stopped);
    loop_.Stop();
  });
}

void Worker::Join() {
  if (thread_.joinable()) thread_.join();
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
