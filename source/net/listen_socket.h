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

}  // namespace sluice
