// One generation of the process after another: takes over from the one before, and hands over to
// the next (docs/hand-over.md). Wires lifecycle/takeover and lifecycle/hand_over to the workers,
// the admin and the service manager.
//
// Control thread only.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/metrics.h"
#include "config/config.h"
#include "lifecycle/drain.h"
#include "lifecycle/hand_over.h"
#include "lifecycle/takeover.h"
#include "net/fd_acceptor.h"
#include "net/uv_loop.h"
#include "server/control_port.h"
#include "server/inherited_sockets.h"
#include "server/snapshot.h"
#include "server/worker.h"

namespace sluice {

// How this process was started, and so how the next one is.
struct Program {
  std::string path;  // found again where the next version of it is put
  std::vector<std::string> arguments;
};

// Where a symbolic link may lead to another version tomorrow it is left one: the program as it was
// called, made absolute.
Program ProgramOf(const std::vector<std::string>& arguments);

class Succession {
 public:
  // Gets what there is to inherit: from the process that started this one to take over, from the
  // one that listens at `takeover_path` if that is not empty, or from the service manager. Runs
  // `loop` meanwhile. Fails when there is a process that serves and does not hand over.
  static Result<std::unique_ptr<Succession>> Begin(UvLoop& loop, const RestartConfig& config,
                                                   const std::string& takeover_path);
  // Before Begin: this program cannot start. Whoever has started it to take over is told why.
  static void Refuse(const std::string& why);
  ~Succession();
  Succession(const Succession&) = delete;
  Succession& operator=(const Succession&) = delete;

  InheritedSockets& sockets() { return sockets_; }

  // Keys that seal tickets as before, and counters that go on.
  void Inherit(const Snapshot& snapshot, Metrics& metrics, WallTime now);

  // The rest of the process, built. All of it must outlive this object, or its last call.
  struct Process {
    Program program;
    DrainController& drain;
    Metrics& metrics;
    MetricShard& shard;
    std::vector<std::unique_ptr<Worker>>& workers;
    ControlPort* admin;  // null: none
    std::function<const Snapshot&()> snapshot;
  };
  // From here on others may take over. Fails when restart.socket cannot be bound.
  Result<void> Attach(Process process);

  // Everything is prepared: calls `start` when this process may accept, or `give_up` when it must
  // not.
  void WhenMayAccept(std::function<void()> start, std::function<void(const std::string&)> give_up);
  // There was a process to take over from.
  bool takes_over() const { return takeover_ != nullptr; }
  // It may not accept yet.
  bool waiting() const { return waiting_; }
  // This process cannot go on; if there is one that hands over to it, it is told why.
  void GiveUp(const std::string& why);

  // Every worker accepts.
  void OnAccepting();

  // Starts the next process, and calls `done` once with its pid or with what went wrong.
  void Restart(HandOver::Done done);

  // The sockets, and the files that belong to them, are another process's.
  bool handed_over() const { return hand_over_ && hand_over_->handed_over(); }
  uint32_t generation() const { return inheritance_.generation; }

  // The last thing before the exit.
  void SayFarewell();
  // Before somebody is told what this process has counted.
  void TellCounters();

 private:
  class Mover;

  explicit Succession(UvLoop& loop);

  Result<void> BindTakeoverSocket();
  HandOverHooks MakeHooks();
  void Gather(std::function<void(HandOverInventory)> reply);
  void EachWorker(void (Worker::*act)(), std::function<void()> done = nullptr);
  void LetGo();
  void StopMoving();
  void Adopt(MovedConnection connection, Takeover::Hooks::Descriptors descriptors,
             std::function<void(Result<void>)> answer);

  UvLoop& loop_;
  RestartConfig config_;
  Inheritance inheritance_;
  InheritedSockets sockets_;
  std::unique_ptr<Takeover> takeover_;  // null: the first generation
  std::optional<Process> process_;
  std::unique_ptr<HandOver> hand_over_;
  std::unique_ptr<FdAcceptor> takeover_socket_;
  std::vector<std::unique_ptr<Mover>> movers_;  // by worker
  bool waiting_ = false;
  size_t next_worker_ = 0;
};

}  // namespace sluice
