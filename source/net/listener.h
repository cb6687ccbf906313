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

  // Takes a non-blocking socket that listens, or will by Listen. Accepts nothing before Resume.
  // `accept_errors` counts failed accepts and must outlive the listener.
  Listener(UvLoop& loop, Fd fd, OnAccept on_accept, MetricCell& accept_errors);
  ~Listener();

  // Listens, if the socket is only bound; has no effect once shut or stopped. False, with errno,
  // when the kernel does not let it.
  bool Listen(uint32_t backlog);

  // New connections stay in the kernel's queue until Resume.
  void Pause();
  void Resume();

  // Accepts what is queued now and has the kernel refuse new connections, without giving up the
  // address. Only from a Listener that was not stopped; Pause and Resume do nothing until Reopen.
  void Shut();

  // After Shut: listens again, and accepts. A Unix socket that was shut stays so, and needs a new
  // one in `replacement`. False, with errno, when the kernel does not let it.
  bool Reopen(Fd replacement, uint32_t backlog);

  // Accepts what is queued now and closes the socket. Idempotent.
  void Stop();

  // Closes the descriptor and accepts nothing more: another process has the socket and its queue.
  void LetGo();

  // Another descriptor of the socket, which is close-on-exec; invalid once stopped, and of a Unix
  // socket once shut: it is of no use to anybody.
  Fd Duplicate() const;

 private:
  enum class State : uint8_t { kPaused, kAccepting, kBackingOff, kShut, kStopped };

  void OnReady(Readiness ready) override;
  void OnBackoffOver();

  // Accepts up to `most` connections; false when the queue is empty or accepting fails.
  bool Accept(int most);
  void AcceptAll();

  UvLoop& loop_;
  Fd fd_;
  OnAccept on_accept_;
  MetricCell& accept_errors_;
  std::optional<FdWatcher> watcher_;
  Timer backoff_;
  State state_ = State::kPaused;
};

}  // namespace sluice
