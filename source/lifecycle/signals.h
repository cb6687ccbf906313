// The signals of the process, as calls on the control loop.
//
//   SIGTERM, SIGINT   ask for a drain; a second one ends it
//   SIGUSR1           re-open log files, after a rotation
//   SIGUSR2           hand over to a new process of the program
//   SIGHUP            read files again that may have changed
//   SIGPIPE           ignored: a peer that left is seen by the write that fails
//
// libuv's own handler queues every delivery in a pipe, so of two signals that arrive before the
// loop turns, both are told. (The kernel itself keeps only one of each kind pending while the
// process has not run at all: no process can see more.)
#pragma once

#include <functional>
#include <memory>

#include "lifecycle/drain_report.h"
#include "sluice/result.h"

struct uv_loop_s;

namespace sluice {

struct SignalCallbacks {
  std::function<void(DrainTrigger)> stop;  // kSigterm or kSigint
  std::function<void()> reopen_logs;
  std::function<void()> restart;
  std::function<void()> reload;
};

class Signals {
 public:
  // Handlers are in place when this returns: call it before the process says it is ready, and
  // once. The callbacks run on the thread of `loop`, outside a dispatch of sluice::Loop: they post.
  static Result<std::unique_ptr<Signals>> Install(uv_loop_s* loop, SignalCallbacks callbacks);

  // From now on the signals are blocked in the calling thread. `loop` must run, or be drained by
  // its owner, once more before it is closed.
  ~Signals();
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;

 private:
  struct Watch;

  explicit Signals(SignalCallbacks callbacks);
  Result<void> Add(uv_loop_s* loop, int number);
  void OnSignal(int number);

  SignalCallbacks callbacks_;
  Watch* watches_[5] = {};  // owned by libuv once closing: freed in the close callback
  int count_ = 0;
};

}  // namespace sluice
