// Who listens where, in a simulation: clients and the proxy dial, servers and the proxy listen, and
// every connection is a Pipe. One thread; the loop must outlive the network.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "sluice/transport.h"
#include "support/pipe.h"
#include "support/sim_loop.h"

namespace sluice {

class SimNetwork final : public Dialer {
 public:
  using Acceptor = std::function<void(std::unique_ptr<Transport>)>;

  // One address. A network knows no address that was not asked for by At: dialling it is refused.
  struct Address {
    Acceptor accept;          // empty: refused
    bool black_hole = false;  // no answer, ever
    int error = 0;            // an errno value that dialling fails with
    Duration connect_delay{};
    std::function<PipeFaults()> faults;              // of each new connection; empty: none
    std::deque<std::unique_ptr<Transport>> backlog;  // connected, not accepted yet
  };

  // A connection that was made, for assertions after both ends are gone.
  struct Connection {
    std::string address;
    std::string from;                           // LocalAddress of the side that dialled
    std::shared_ptr<const PipeAccount> client;  // the side that dialled
    std::shared_ptr<const PipeAccount> server;
  };

  explicit SimNetwork(SimLoop& loop) : loop_(loop) {}

  Address& At(const std::string& address) { return addresses_[address]; }

  // Accepts what is connected already and waits in the queue.
  void AcceptQueued(const std::string& address);
  // From now on dialling is refused; what is still in the queue is reset, as a kernel does.
  void StopListening(const std::string& address);

  // Server and client learn of the connection in events of their own, in either order under
  // TieBreak::kRandom. An attempt that is given up before is never seen by the server.
  std::unique_ptr<Attempt> Dial(const std::string& address, Done done) override;

  const std::vector<Connection>& connections() const { return connections_; }
  // The connection whose client has that LocalAddress, or nullptr.
  const Connection* Find(const std::string& from) const;
  // Connections to `address`: all that were made, and those of which the server has not closed.
  size_t made(const std::string& address) const;
  size_t open_at_server(const std::string& address) const;
  size_t open_at_client(const std::string& address) const;

 private:
  class SimAttempt;
  void Finish(const std::string& address, const std::weak_ptr<Done>& waiting);
  void AcceptOne(const std::string& address);
  void Connect(const std::string& address, const std::weak_ptr<Done>& waiting);

  SimLoop& loop_;
  std::map<std::string, Address> addresses_;
  std::vector<Connection> connections_;
  int next_port_ = 40000;
};

}  // namespace sluice
