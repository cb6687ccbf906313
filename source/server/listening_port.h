// One configured listener on one worker: its sockets, the limits on what it may let in, and the
// handler that gets the requests.
//
// Worker thread, except for construction.
#pragma once

#include <memory>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "base/budget.h"
#include "http/connection_manager.h"
#include "net/listener.h"
#include "net/socket_adopter.h"
#include "net/tls_transport.h"
#include "proxy/proxy.h"
#include "server/snapshot.h"

namespace sluice {

// Over all workers: of the listener, and of the process.
struct ConnectionBudgets {
  Budget& listener;
  Budget& process;
  Budget& websockets;
};

class ListeningPort {
 public:
  // `config`, `compiled` and the budgets must outlive it, as must everything in `services`.
  struct Services {
    UvLoop& loop;
    ConnectionManager& connections;
    const ClusterMap& clusters;
    RequestLog* request_log;
    MetricShard& shard;
  };
  // `sockets`: one, or more when they were inherited from a process with more workers.
  ListeningPort(const ListenerConfig& config, const Snapshot::Listener& compiled,
                std::vector<Fd> sockets, ConnectionBudgets budgets, const Services& services);
  ListeningPort(const ListeningPort&) = delete;

  Direction direction() const { return context_.direction; }
  std::string_view name() const { return context_.name; }
  const std::string& address() const { return config_.address; }  // as configured

  void StartAccepting();
  // New connections stay in the kernel's queues until StartAccepting.
  void PauseAccepting();
  // Another process has the sockets: nothing more is accepted.
  void LetGo();
  // The sockets, once more.
  std::vector<Fd> DuplicateSockets() const;

  // For connections from now on; only where there is TLS already.
  void SetTls(std::shared_ptr<const TlsServerContext> context) { tls_ = std::move(context); }

  // Takes a connection that comes from another process: see ConnectionManager::Adopt.
  Result<void> Adopt(const MovedConnection& moved);

  // Empties the accept queue into the connection manager, then closes the socket.
  void StopAccepting();

  // The same, but the address stays taken, and new connections are refused until AcceptAgain.
  void RefuseConnections();
  void AcceptAgain();
  // What AcceptAgain needs on a Unix socket.
  void SetSocket(Fd socket) { replacement_ = std::move(socket); }

 private:
  // Answers every request with 503 on connections that are over the limit.
  class Overloaded final : public Handler {
   public:
    void OnRequest(ServerStream& stream, bool end_stream) override;
  };

  void PrepareToStop();
  void LogListenFailed() const;
  void Pause();
  void Resume();
  std::unique_ptr<Transport> Secured(std::unique_ptr<Transport> transport);
  void OnAccept(std::unique_ptr<Transport> transport);
  bool TryTake();  // a place in both budgets
  void Admit(std::unique_ptr<Transport> transport);
  void Wait();
  void OnClosed();
  void OnRetry();

  const ListenerConfig& config_;
  const OverloadAction on_overload_;
  ConnectionBudgets budgets_;
  ConnectionManager& connections_;
  Loop& loop_;
  WebSocketMetrics websocket_metrics_;
  Proxy proxy_;
  Overloaded overloaded_;
  ListenerContext context_;
  ListenerContext rejecting_;
  MetricCell& over_limit_;
  std::shared_ptr<const TlsServerContext> tls_;  // null: cleartext
  std::optional<TlsHandshakeMetrics> tls_metrics_;
  SocketAdopter adopter_;
  Timer retry_;
  // Accepted just as another worker took the last place: the head of the queue, so to speak.
  // Nothing of it is read until there is a place.
  std::unique_ptr<Transport> parked_;
  std::vector<std::unique_ptr<Listener>> listeners_;
  Fd replacement_;
  bool stopping_ = false;
  bool held_ = false;  // by PauseAccepting
};

}  // namespace sluice
