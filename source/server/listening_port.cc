#include "server/listening_port.h"

#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include "base/log.h"
#include "http/local_reply.h"

namespace sluice {
namespace {

// A paused worker hears of connections that close on itself, but not of those on other workers.
constexpr auto kRetry = std::chrono::milliseconds(20);

}  // namespace

void ListeningPort::Overloaded::OnRequest(ServerStream& stream, bool) {
  stream.record().detail = "connection_limit";
  SendLocalReply(stream, 503, "503 Service Unavailable: too many connections\n");
}

ListeningPort::ListeningPort(const ListenerConfig& config, std::vector<Fd> sockets,
                             std::shared_ptr<ListenerBudgets> budgets, const Services& services)
    : address_(config.address),
      backlog_(config.backlog),
      on_overload_(config.on_overload),
      budgets_(std::move(budgets)),
      process_budget_(services.process),
      connections_(services.connections),
      loop_(services.loop),
      shard_(services.shard),
      websocket_metrics_(services.shard, config.name),
      context_(config.name, services.shard),
      rejecting_(config.name, services.shard),
      over_limit_(services.shard.Counter(
          "sluice_connections_over_limit_total",
          "Times a connection met the limit: it was made to wait, or answered 503.",
          {{"listener", config.name}})),
      adopter_(services.loop),
      retry_(services.loop.timers(), Delegate::Bind<&ListeningPort::OnRetry>(this)) {
  MetricCell& accept_errors = services.shard.Counter(
      "sluice_accept_errors_total", "accept4 failed: out of descriptors or memory.",
      {{"listener", config.name}});
  for (Fd& socket : sockets) {
    listeners_.push_back(std::make_unique<Listener>(
        services.loop, std::move(socket),
        [this](std::unique_ptr<Transport> transport) { OnAccept(Secured(std::move(transport))); },
        accept_errors));
  }
  context_.direction = rejecting_.direction = config.direction;
  context_.on_connection_closed = [this] { OnClosed(); };
  rejecting_.handler = &overloaded_;
}

void ListeningPort::Use(WorkerGeneration& generation, size_t index, RequestLog* log) {
  const ListenerConfig& config = generation.snapshot().config.listeners[index];
  const Snapshot::Listener& compiled = generation.snapshot().listeners[index];
  context_.handler =
      &generation.AddProxy(index, {loop_, connections_.long_lived(), connections_.parts(),
                                   websocket_metrics_, budgets_->websockets});
  context_.options = rejecting_.options = compiled.options;
  rejecting_.options.limits.requests_per_connection = 1;
  SetLog(log);
  on_overload_ = config.on_overload;
  backlog_ = config.backlog;  // StartAccepting tells the kernel
  SetTls(compiled.tls);
  generation_ = Hold<WorkerGeneration>(&generation);
}

void ListeningPort::SetTls(std::shared_ptr<const TlsServerContext> context) {
  tls_ = std::move(context);
  if (tls_ != nullptr && !tls_metrics_) {
    tls_metrics_ = TlsHandshakeMetrics::OfListener(shard_, context_.name);
  }
}

void ListeningPort::StartAccepting() {
  bool listening = true;
  for (const auto& listener : listeners_) {
    listening = listener->Listen(backlog_) && listening;
  }
  if (!listening) LogListenFailed();
  held_ = false;
  if (!retry_.active()) Resume();
}

void ListeningPort::PauseAccepting() {
  held_ = true;
  Pause();
}

void ListeningPort::LetGo() {
  PrepareToStop();
  for (const auto& listener : listeners_) listener->LetGo();
}

std::vector<Fd> ListeningPort::DuplicateSockets() const {
  std::vector<Fd> sockets;
  for (const auto& listener : listeners_) {
    if (Fd socket = listener->Duplicate(); socket.valid()) sockets.push_back(std::move(socket));
  }
  return sockets;
}

void ListeningPort::Pause() {
  for (const auto& listener : listeners_) listener->Pause();
}

void ListeningPort::Resume() {
  if (held_) return;
  for (const auto& listener : listeners_) listener->Resume();
}

Result<void> ListeningPort::Adopt(const MovedConnection& moved) {
  if (tls_ != nullptr) return Fail("the listener " + context_.name + " has TLS");
  if (stopping_) return Fail("the listener " + context_.name + " does not accept");
  if (!TryTake()) return Fail("the connection limit is reached");
  Result<void> adopted = connections_.Adopt(moved, context_, adopter_);
  if (!adopted) {
    process_budget_.Return();
    budgets_->connections.Return();
  }
  return adopted;
}

void ListeningPort::StopAccepting() {
  PrepareToStop();
  for (const auto& listener : listeners_) listener->Stop();
}

void ListeningPort::RefuseConnections() {
  PrepareToStop();
  for (const auto& listener : listeners_) listener->Shut();
}

void ListeningPort::PrepareToStop() {
  stopping_ = true;
  retry_.Stop();
  if (parked_) OnAccept(std::move(parked_));
}

void ListeningPort::AcceptAgain() {
  stopping_ = false;
  bool listening = true;
  for (const auto& listener : listeners_) {
    listening = listener->Reopen(std::exchange(replacement_, Fd()), backlog_) && listening;
  }
  if (!listening) LogListenFailed();
}

void ListeningPort::LogListenFailed() const {
  LogEvent(Level::kError, "listen_failed",
           {{"listener", context_.name},
            {"error", std::string("cannot listen on ") + address_ + ": " + std::strerror(errno)}});
}

bool ListeningPort::TryTake() {
  if (!budgets_->connections.TryTake()) return false;
  if (process_budget_.TryTake()) return true;
  budgets_->connections.Return();
  return false;
}

std::unique_ptr<Transport> ListeningPort::Secured(std::unique_ptr<Transport> transport) {
  if (tls_ == nullptr) return transport;
  return TlsTransport::Accept(loop_, std::move(transport), tls_, *tls_metrics_);
}

void ListeningPort::OnAccept(std::unique_ptr<Transport> transport) {
  if (TryTake()) {
    Admit(std::move(transport));
    return;
  }
  over_limit_.Add();
  if (on_overload_ == OverloadAction::kPause && !stopping_) {
    // Another worker was faster. The socket cannot go back into the queue, so it waits here.
    parked_ = std::move(transport);
    Wait();
    return;
  }
  // It has to be told; so does one of a queue that is being emptied.
  connections_.Accept(std::move(transport), rejecting_);
}

void ListeningPort::Admit(std::unique_ptr<Transport> transport) {
  connections_.Accept(std::move(transport), context_);
  const bool full = budgets_->connections.exhausted() || process_budget_.exhausted();
  if (full && on_overload_ == OverloadAction::kPause && !stopping_) {
    over_limit_.Add();
    Wait();
  }
}

void ListeningPort::Wait() {
  Pause();
  retry_.Set(loop_.Now() + kRetry);
}

void ListeningPort::OnClosed() {
  process_budget_.Return();
  budgets_->connections.Return();
  if (retry_.active()) OnRetry();
}

void ListeningPort::OnRetry() {
  if (stopping_) return;
  retry_.Stop();
  if (parked_ && TryTake()) Admit(std::move(parked_));
  if (parked_ || budgets_->connections.exhausted() || process_budget_.exhausted()) {
    retry_.Set(loop_.Now() + kRetry);
  } else {
    Resume();
  }
}

}  // namespace sluice
