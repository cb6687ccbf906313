// One configured listener on one worker: its sockets, the limits on what it may let in, and the
// handler that gets the requests.
//
// Worker thread, except for construction.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/budget.h"
#include "http/connection_manager.h"
#include "net/listener.h"
#include "net/socket_adopter.h"
#include "net/tls_transport.h"
#include "server/worker_generation.h"

namespace sluice {

// Of one listener, over all workers.
struct ListenerBudgets {
  explicit ListenerBudgets(const ListenerLimits& limits)
      : connections(limits.connections), websockets(limits.websockets) {}
  Budget connections;
  Budget websockets;
};

class ListeningPort {
 public:
  // Everything in `services` must outlive it.
  struct Services {
    UvLoop& loop;
    ConnectionManager& connections;
    Budget& process;  // connections over all workers and listeners
    MetricShard& shard;
  };
  // Call Use before anything else. `sockets`: one, or more when they were inherited from a process
  // with more workers.
  ListeningPort(const ListenerConfig& config, std::vector<Fd> sockets,
                std::shared_ptr<ListenerBudgets> budgets, const Services& services);
  ListeningPort(const ListeningPort&) = delete;

  // Goes over to a configuration, in which it is the listener at `index`: for all requests from now
  // on, on every connection. `log` may be null, and must outlive it otherwise.
  void Use(WorkerGeneration& generation, size_t index, RequestLog* log);

  Direction direction() const { return context_.direction; }
  const std::string& name() const { return context_.name; }
  const std::string& address() const { return address_; }  // as configured

  void StartAccepting();
  // New connections stay in the kernel's queues until StartAccepting.
  void PauseAccepting();
  // Another process has the sockets: nothing more is accepted.
  void LetGo();
  // The sockets, once more.
  std::vector<Fd> DuplicateSockets() const;

  // For connections from now on; null: cleartext.
  void SetTls(std::shared_ptr<const TlsServerContext> context);

  // Takes a connection that comes from another process: see ConnectionManager::Adopt.
  Result<void> Adopt(const MovedConnection& moved);

  // Empties the accept queue into the connection manager, then closes the socket.
  void StopAccepting();

  // A new configuration, this one, has no such listener: StopAccepting is next.
  void Remove(uint64_t removed_by) { context_.removed_by = rejecting_.removed_by = removed_by; }
  uint64_t removed_by() const { return context_.removed_by; }
  // Where requests are logged that end from now on.
  void SetLog(RequestLog* log) { context_.request_log = rejecting_.request_log = log; }

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

  const std::string address_;  // as configured
  uint32_t backlog_;
  OverloadAction on_overload_;
  const std::shared_ptr<ListenerBudgets> budgets_;
  Budget& process_budget_;
  ConnectionManager& connections_;
  Loop& loop_;
  MetricShard& shard_;
  WebSocketMetrics websocket_metrics_;
  Hold<WorkerGeneration> generation_;
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
