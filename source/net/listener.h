// One worker's listening socket. It accepts in bounded batches, can pause (the kernel then queues),
// and when it stops it first empties the accept queue, because closing a socket resets what is
// still queued on it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/metrics.h"
#include "net/fd.h"
#include "net/fd_watcher.h"
#include "net/uv_loop.h"
#include "sluice/transport.h"

namespace sluice {

class Listener final : private FdEvents {
 public:
  using OnAccept = std::function<void(std::unique_ptr<Transport>)>;

  // Takes a listening, non-blocking socket. Accepts nothing before Resume. `accept_errors` counts
  // failed accepts and must outlive the listener.
  Listener(UvLoop& loop, Fd fd, OnAccept on_accept, MetricCell& accept_errors);
  ~Listener();

  // New connections stay in the kernel's queue until Resume.
  void Pause();
  void Resume();

  // Accepts what is queued now and closes the socket. Idempotent.
  void Stop();

 private:
  enum class State : uint8_t { kPaused, kAccepting, kBackingOff, kStopped };

  void OnReady(Readiness ready) override;
  void OnBackoffOver();

  // Accepts up to `most` connections; false when the queue is empty or accepting fails.
  bool Accept(int most);

  UvLoop& loop_;
  Fd fd_;
  OnAccept on_accept_;
  MetricCell& accept_errors_;
  std::optional<FdWatcher> watcher_;
  Timer backoff_;
  State state_ = State::kPaused;
};

}  // namespace sluice
