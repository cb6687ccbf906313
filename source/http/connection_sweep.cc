#include "http/connection_sweep.h"

#include <chrono>
#include <utility>

namespace sluice {

ConnectionSweep::ConnectionSweep(Loop& loop, Act act, std::function<void()> done)
    : loop_(loop),
      act_(std::move(act)),
      done_(std::move(done)),
      next_(loop.timers(), Delegate::Bind<&ConnectionSweep::Begin>(this)) {}

void ConnectionSweep::Add(ServerConnection& connection) {
  connection.ListHook<SweepTag>::Unlink();
  queue_.PushBack(&connection);
}

void ConnectionSweep::Begin() {
  for (size_t i = 0; i < kSlice && !queue_.empty(); ++i) {
    ServerConnection& connection = *queue_.front();
    connection.ListHook<SweepTag>::Unlink();
    act_(connection);
  }
  if (!queue_.empty()) {
    next_.Set(loop_.Now() + std::chrono::milliseconds(1));  // not in this turn
  } else if (done_) {
    done_();
  }
}

}  // namespace sluice
