// Bound, listening sockets. TCP: one for each worker, sharing the port by SO_REUSEPORT, so that the
// kernel spreads connections and no two workers wake for one. Unix: one, shared by all workers.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "net/fd.h"
#include "sluice/result.h"

namespace sluice {

struct ListenSockets {
  std::vector<Fd> fds;  // one for each worker
  std::string address;  // as bound: port 0 is replaced by the port that was found
};

// `address` as in the configuration; `count` sockets. Fails with a message that names the address
// and what to do about it. A Unix socket file that nobody listens on any more is replaced.
Result<ListenSockets> BindListenSockets(const std::string& address, uint32_t backlog, size_t count);

// The same of sockets that were bound by another process, which may have had more or fewer workers.
struct SharedListenSockets {
  std::vector<std::vector<Fd>> by_worker;  // every socket has an owner, every worker has a socket
  std::string address;                     // as bound
};

// `sockets`, at least one, listen already, or did; `address` as in the configuration is only for
// messages and for workers that are more than the sockets: they get further ones by SO_REUSEPORT,
// which are bound and do not listen yet (Listener::Listen), or where that is not possible share
// one. Fails when a descriptor is no stream socket that listens, or when they are not bound to one
// address.
Result<SharedListenSockets> AdoptListenSockets(std::vector<Fd> sockets, const std::string& address,
                                               uint32_t backlog, size_t count);

// What a descriptor is bound to, as text; fails when it is no stream socket.
Result<std::string> BoundAddress(int fd);

}  // namespace sluice
