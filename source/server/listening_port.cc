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

ListeningPort::ListeningPort(const ListenerConfig& config, const Snapshot::Listener& compiled,
                             Fd fd, ConnectionBudgets budgets, const Services& services)
    : config_(config),
      on_overload_(config.on_overload),
      budgets_(budgets),
      connections_(services.connections),
      loop_(services.loop),
      websocket_metrics_(services.shard, config.name),
      proxy_({services.loop, *compiled.router, *compiled.forwarding, services.clusters,
              services.connections.long_lived(), websocket_metrics_, budgets.websockets,
              services.connections.parts()}),
      context_(config.name, services.shard),
      rejecting_(config.name, services.shard),
      over_limit_(services.shard.Counter(
          "sluice_connections_over_limit_total",
          "Times a connection met the limit: it was made to wait, or answered 503.",
          {{"listener", config.name}})),
      tls_(compiled.tls),
      retry_(services.loop.timers(), Delegate::Bind<&ListeningPort::OnRetry>(this)),
      listener_(
          services.loop, std::move(fd),
          [this](std::unique_ptr<Transport> transport) { OnAccept(Secured(std::move(transport))); },
          services.shard.Counter("sluice_accept_errors_total",
                                 "accept4 failed: out of descriptors or memory.",
                                 {{"listener", config.name}})) {
  context_.direction = rejecting_.direction = config.direction;
  context_.options = rejecting_.options = compiled.options;
  context_.request_log = rejecting_.request_log = services.request_log;
  context_.handler = &proxy_;
  context_.on_connection_closed = [this] { OnClosed(); };
  if (tls_ != nullptr) tls_metrics_ = TlsHandshakeMetrics::OfListener(services.shard, config.name);
  rejecting_.handler = &overloaded_;
  rejecting_.options.limits.requests_per_connection = 1;
}

void ListeningPort::StopAccepting() {
  PrepareToStop();
  listener_.Stop();
}

void ListeningPort::RefuseConnections() {
  PrepareToStop();
  listener_.Shut();
}

void ListeningPort::PrepareToStop() {
  stopping_ = true;
  retry_.Stop();
  if (parked_) OnAccept(std::move(parked_));
}

void ListeningPort::AcceptAgain() {
  stopping_ = false;
  if (listener_.Reopen(std::move(replacement_), config_.backlog)) return;
  LogEvent(Level::kError, "listen_failed",
           {{"listener", config_.name},
            {"error", std::string("cannot listen on ") + config_.address +
                          " again: " + std::strerror(errno)}});
}

bool ListeningPort::TryTake() {
  if (!budgets_.listener.TryTake()) return false;
  if (budgets_.process.TryTake()) return true;
  budgets_.listener.Return();
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
  const bool full = budgets_.listener.exhausted() || budgets_.process.exhausted();
  if (full && on_overload_ == OverloadAction::kPause && !stopping_) {
    over_limit_.Add();
    Wait();
  }
}

void ListeningPort::Wait() {
  listener_.Pause();
  retry_.Set(loop_.Now() + kRetry);
}

void ListeningPort::OnClosed() {
  budgets_.process.Return();
  budgets_.listener.Return();
  if (retry_.active()) OnRetry();
}

void ListeningPort::OnRetry() {
  if (stopping_) return;
  retry_.Stop();
  if (parked_ && TryTake()) Admit(std::move(parked_));
  if (parked_ || budgets_.listener.exhausted() || budgets_.process.exhausted()) {
    retry_.Set(loop_.Now() + kRetry);
  } else {
    listener_.Resume();
  }
}

}  // namespace sluice
