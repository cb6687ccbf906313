// The new side of a hot restart: gets the listeners of the process that serves now, tells it when
// it may stop, and takes its live connections (docs/hand-over.md).
//
//   kGreeting --kOffer ... kComplete--> kInherited --Ready--> kReady --kStopped--> kAccepting
//        \------------------\---------------\------------------\---> kOver
//   When the old process dies on the way, what is there of it is taken, and the rest is done
//   without it; when it lives and does not hand over, this one has no business here.
//
// Control thread only.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/timer_queue.h"
#include "lifecycle/hand_over_messages.h"
#include "net/fd.h"
#include "net/fd_channel.h"
#include "net/uv_loop.h"
#include "sluice/moved_connection.h"
#include "sluice/result.h"

namespace sluice {

// What the old process has given.
struct Inheritance {
  std::vector<HandOverSocket> sockets;
  std::vector<Fd> fds;  // of the sockets, in their order
  std::vector<HandOverTicketKeys> ticket_keys;
  std::string counters;
  uint32_t generation = 1;          // of this process
  std::vector<uint32_t> ancestors;  // pids of older generations that may still drain
};

class Takeover final : private FdChannel::Events {
 public:
  // Where a connected end is found: inherited, or at a path. An invalid one when nobody listens
  // there, so that there is nothing to take over; fails when it cannot be used.
  static Result<Fd> Connect(const std::string& path);

  // To be said at the end of the channel `descriptor` before there is a Takeover: this program
  // cannot start.
  static void Refuse(int descriptor, const std::string& why);

  // The rest of the process, once it runs.
  struct Hooks {
    // Takes a live connection; answers at any time, exactly once. The descriptors of the connection
    // are lent as long as `descriptors` is kept.
    using Descriptors = std::shared_ptr<const std::vector<Fd>>;
    std::function<void(MovedConnection, Descriptors descriptors,
                       std::function<void(Result<void>)> answer)>
        adopt;
    std::function<void(const std::string& counters)> on_counters;
    std::function<void()> on_predecessor_gone;
  };

  // Takes a connected end. Until it accepts every wait is bounded by `timeout`. `loop` must outlive
  // it.
  Takeover(UvLoop& loop, Fd connection, Duration timeout);
  ~Takeover();
  Takeover(const Takeover&) = delete;
  Takeover& operator=(const Takeover&) = delete;

  // Asks for everything. `then` is called once: what has come until then, or nothing, when the old
  // process has died before all was here; an error when it lives and refuses, or is silent.
  void Receive(std::function<void(Result<std::optional<Inheritance>>)> then);

  // Everything is prepared. `then` is called once: accept now; or an error, and the process must
  // go.
  void Ready(Hooks hooks, std::function<void(Result<void>)> then);

  // Every worker accepts.
  void Accepting();

  // Tells the old process that it has to go on.
  void GiveUp(const std::string& why);

  int predecessor() const { return predecessor_; }

 private:
  enum class State : uint8_t { kGreeting, kInherited, kReady, kAccepting, kOver };

  void OnFrame(FdChannel::Frame frame) override;
  void OnChannelClosed(const std::string& why) override;
  void OnOffer(std::string_view payload);
  void OnSockets(FdChannel::Frame frame);
  void OnComplete();
  void OnMove(FdChannel::Frame frame);
  void OnTimer();
  void Fail(const std::string& why);
  bool PredecessorDied() const;

  UvLoop& loop_;
  const Duration timeout_;
  State state_ = State::kGreeting;
  std::unique_ptr<FdChannel> channel_;
  int predecessor_ = 0;
  Fd predecessor_handle_;  // a pidfd
  Timer timer_;
  bool offered_ = false;
  uint32_t promised_sockets_ = 0;
  Inheritance inheritance_;
  std::string failure_;   // why there is nothing to take over, although the old process lives
  std::string counters_;  // parts of an account on its way
  std::function<void(Result<std::optional<Inheritance>>)> received_;
  std::function<void(Result<void>)> accept_now_;
  Hooks hooks_;
};

}  // namespace sluice
