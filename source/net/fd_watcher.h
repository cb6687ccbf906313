// Watches a file descriptor that somebody else owns. Level-triggered: the callback comes again as
// long as the descriptor is ready and the interest stands.
#pragma once

#include <uv.h>

#include "net/uv_loop.h"

namespace sluice {

// Which kinds of readiness. An error or hang-up of the descriptor is told as reading and writing:
// the call that follows finds out what it is.
struct Readiness {
  bool read = false;
  bool write = false;
  bool error = false;  // an error alone, where neither of the others is wanted
  bool operator==(const Readiness&) const = default;
};

class FdEvents {
 public:
  virtual void OnReady(Readiness ready) = 0;

 protected:
  ~FdEvents() = default;
};

class FdWatcher {
 public:
  // Starts without interest. `events` must outlive the watcher. Destroy the watcher before closing
  // the descriptor.
  FdWatcher(UvLoop& loop, int fd, FdEvents& events);
  ~FdWatcher();
  FdWatcher(const FdWatcher&) = delete;
  FdWatcher& operator=(const FdWatcher&) = delete;

  void Want(Readiness interest);
  Readiness wanted() const { return wanted_; }

 private:
  // libuv's part, which outlives the watcher until libuv has let go of it.
  struct Handle {
    uv_poll_t poll;
    FdWatcher* owner;
  };
  static void OnPoll(uv_poll_t* poll, int status, int events);

  UvLoop& loop_;
  FdEvents& events_;
  Handle* handle_;
  Readiness wanted_;
  bool hung_up_ = false;  // or something else that would be told as an error for ever
};

}  // namespace sluice
