// Does something with many connections, a slice of them in each turn of the loop, so that nobody
// waits for the last of ten thousand.
#pragma once

#include <functional>

#include "base/intrusive_list.h"
#include "base/timer_queue.h"
#include "http/server_connection.h"
#include "sluice/loop.h"

namespace sluice {

class ConnectionSweep {
 public:
  using Act = std::function<void(ServerConnection&)>;

  // `act` may destroy any connection; `done`, which may be empty, is called whenever there is none
  // left. `loop` must outlive the sweep.
  ConnectionSweep(Loop& loop, Act act, std::function<void()> done = {});

  // Queues a connection, which leaves any other sweep.
  void Add(ServerConnection& connection);
  // Does the first slice now; the others follow.
  void Begin();
  bool empty() const { return queue_.empty(); }

 private:
  static constexpr size_t kSlice = 64;

  Loop& loop_;
  const Act act_;
  const std::function<void()> done_;
  Timer next_;
  IntrusiveList<ServerConnection, SweepTag> queue_;
};

}  // namespace sluice
