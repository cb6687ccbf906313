// The old side of a hot restart: gives the listeners to a new process, and what is in flight the
// time of a drain (docs/hand-over.md). One at a time; what goes wrong before the new process
// accepts is taken back, and this one serves as before.
//
//   kIdle --Restart, Accept--> kGreeting --kHello--> kGathering --> kOffered --kReady--> kStopping
//         --> kStopped --kAccepting--> kHandedOver
//   Until kStopping any failure leads back to kIdle, the timeout too. In kStopped only the end of
//   the new process does, because it may be accepting: at the timeout it is killed.
//
// Control thread only.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/metrics.h"
#include "base/timer_queue.h"
#include "lifecycle/drain.h"
#include "lifecycle/hand_over_messages.h"
#include "net/child_process.h"
#include "net/fd.h"
#include "net/fd_channel.h"
#include "net/uv_loop.h"
#include "sluice/result.h"

namespace sluice {

// What the new process is given.
struct HandOverInventory {
  std::vector<HandOverSocket> sockets;
  std::vector<Fd> fds;  // of the sockets, in their order
  std::vector<HandOverTicketKeys> ticket_keys;
  std::string counters;
};

// The rest of the process, as a hand-over needs it. All are called on the control thread and answer
// there.
struct HandOverHooks {
  std::function<void(std::function<void(HandOverInventory)> reply)> gather;
  // New connections stay in the kernel's queues until `accept_again`, or the new process takes
  // them.
  std::function<void(std::function<void()> done)> stop_accepting;
  std::function<void()> accept_again;
  // The sockets belong to the new process. The drain follows.
  std::function<void()> let_go;
  std::function<std::string()> counters;
  // The new process is gone, or not to be understood: no connection can move any more.
  std::function<void()> successor_lost;
};

struct HandOverOptions {
  Duration timeout{};               // from its connection until the new process accepts
  uint32_t generation = 1;          // of this process
  size_t max_generations = 1;       // that may drain at the same time
  std::vector<uint32_t> ancestors;  // pids of older generations
  bool moves_connections = true;
};

class HandOver final : private FdChannel::Events {
 public:
  // `pid` of the process that has taken over, or why there is none.
  using Done = std::function<void(Result<int> pid)>;

  // Everything given must outlive it.
  HandOver(UvLoop& loop, DrainController& drain, HandOverHooks hooks, HandOverOptions options,
           MetricShard& metrics);
  ~HandOver();
  HandOver(const HandOver&) = delete;
  HandOver& operator=(const HandOver&) = delete;

  // Starts `program`, which finds its end of a channel at ChildProcess::kDescriptor, and hands over
  // to it. `done` is called exactly once; from inside the call when it fails at once.
  void Restart(ChildProcess::Program program, Done done);

  // Hands over to whoever has connected; anybody but the user of this process, or root, is turned
  // away.
  void Accept(Fd connection);

  // Somebody is about to be told what this process has counted. The new one is told before, if it
  // accepts already: whoever asks it next must not find less.
  void TellCounters();

  // The program is about to end: says what it has counted since.
  void SayFarewell();

  // A live connection for the new process (sluice/moved_connection.h); its descriptors are lent for
  // the call. `answer` is called exactly
  // once, later or, when nothing can be moved, from inside the call.
  using MoveAnswer = std::function<void(bool taken)>;
  void Move(const std::string& listener, const std::string& state,
            const std::vector<int>& descriptors, MoveAnswer answer);

  // The listeners are the new process's; its pid.
  bool handed_over() const { return state_ == State::kHandedOver; }
  int successor() const { return successor_; }

 private:
  enum class State : uint8_t {
    kIdle,
    kGreeting,
    kGathering,
    kOffered,
    kStopping,
    kStopped,
    kHandedOver
  };

  void OnFrame(FdChannel::Frame frame) override;
  void OnChannelClosed(const std::string& why) override;

  void Begin(std::unique_ptr<FdChannel> channel);
  Result<void> MayBegin();
  void OnHello(std::string_view payload);
  void Offer(HandOverInventory inventory);
  void OnReady();
  void OnAccepting();
  void OnMoveAnswer(std::string_view payload);
  void OnTimer();
  void SendCounters(const std::string& counters);
  void RefuseAndFail(const std::string& why);
  void Fail(const std::string& why);
  void AwaitExit(const std::string& why);
  void EndChannel();
  void AnswerAllMoves();
  void Count(const char* result, int64_t by);

  UvLoop& loop_;
  DrainController& drain_;
  const HandOverHooks hooks_;
  HandOverOptions options_;
  MetricShard& metrics_;
  State state_ = State::kIdle;
  uint64_t attempt_ = 0;  // an answer to an earlier one is too late
  Timer timer_;
  std::unique_ptr<FdChannel> channel_;
  std::unique_ptr<ChildProcess> child_;  // null: somebody else has started it
  std::string failure_;                  // while the end of child_ is awaited
  Done done_;
  int successor_ = 0;
  uint64_t next_move_ = 1;
  std::map<uint64_t, MoveAnswer> moves_;
};

}  // namespace sluice
