#include "lifecycle/hand_over.h"

#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/log.h"

namespace sluice {
namespace {

// The kernel takes 253 descriptors at once.
constexpr size_t kSocketsPerFrame = 128;
constexpr size_t kCountersPerFrame = 512 * 1024;

// While it drains, the old process still counts; the new one shows it with so much delay.
constexpr Duration kCountersEvery = std::chrono::seconds(1);

// At the very end the last of them has so long to leave.
constexpr Duration kFarewellBound = std::chrono::milliseconds(300);

// The new process does not keep up: what else could be moved is better drained.
constexpr size_t kMostQueued = 16 * 1024 * 1024;

uint16_t Type(HandOverMessage message) { return static_cast<uint16_t>(message); }

// A program that cannot start says so by its exit code, a moment after it has closed its files.
constexpr Duration kExitBound = std::chrono::seconds(2);

// False of one that has ended, and that nobody has asked about yet.
bool IsAlive(uint32_t pid) {
  const Fd handle(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  pollfd ended{handle.get(), POLLIN, 0};
  return handle.valid() && poll(&ended, 1, 0) == 0;
}

}  // namespace

HandOver::HandOver(UvLoop& loop, DrainController& drain, HandOverHooks hooks,
                   HandOverOptions options, MetricShard& metrics)
    : loop_(loop),
      drain_(drain),
      hooks_(std::move(hooks)),
      options_(std::move(options)),
      metrics_(metrics),
      timer_(loop.timers(), Delegate::Bind<&HandOver::OnTimer>(this)) {
  for (const char* result : {"taken", "failed"}) Count(result, 0);
}

HandOver::~HandOver() = default;

void HandOver::Count(const char* result, int64_t by) {
  metrics_
      .Counter("sluice_handover_total", "Hand-overs to a new process, by how they ended.",
               {{"result", result}})
      .Add(by);
}

Result<void> HandOver::MayBegin() {
  if (state_ == State::kHandedOver) {
    return sluice::Fail("process " + std::to_string(successor_) +
                        " has taken over already: ask that one");
  }
  if (state_ != State::kIdle) return sluice::Fail("another process is taking over just now");
  auto& ancestors = options_.ancestors;
  std::erase_if(ancestors, [](uint32_t pid) { return !IsAlive(pid); });
  if (ancestors.size() + 1 > options_.max_generations) {
    return sluice::Fail(std::to_string(ancestors.size()) +
                        " older generations still drain, and restart.generations allows no more; "
                        "try again when one has ended");
  }
  return drain_.BeginHandOver();
}

void HandOver::Restart(ChildProcess::Program program, Done done) {
  if (const auto may = MayBegin(); !may) return done(tl::unexpected(may.error()));
  done_ = std::move(done);
  ++attempt_;
  state_ = State::kGreeting;
  auto [ours, theirs] = FdChannel::MakePair();
  if (!ours.valid()) return Fail("out of file descriptors");
  program.descriptor = theirs.get();
  auto child = ChildProcess::Start(loop_, program, [this](const std::string& how) {
    // It may have said why; and what it said is read first.
    loop_.Post([this, attempt = attempt_, how] {
      if (attempt == attempt_ && state_ != State::kHandedOver) {
        Fail("the new process has ended: " + how + "; its log says why");
      }
    });
  });
  if (!child) return Fail(child.error().message);
  child_ = std::move(*child);
  successor_ = child_->pid();
  LogEvent(Level::kInfo, "hand_over", {{"pid", successor_}, {"program", program.path}});
  Begin(
      std::make_unique<FdChannel>(loop_, std::move(ours), static_cast<FdChannel::Events&>(*this)));
}

void HandOver::Accept(Fd connection) {
  auto channel = std::make_unique<FdChannel>(loop_, std::move(connection),
                                             static_cast<FdChannel::Events&>(*this));
  const auto peer = channel->peer();
  if (!peer || (peer->uid != geteuid() && peer->uid != 0)) {
    LogEvent(Level::kWarning, "hand_over_refused",
             {{"error", "a process of another user asked for the listeners"}});
    loop_.DeleteLater(std::move(channel));
    return;
  }
  if (const auto may = MayBegin(); !may) {
    channel->Send(Type(HandOverMessage::kRefusal), may.error().message);
    LogEvent(Level::kWarning, "hand_over_refused", {{"error", may.error().message}});
    loop_.DeleteLater(std::move(channel));
    return;
  }
  ++attempt_;
  state_ = State::kGreeting;
  successor_ = peer->pid;
  LogEvent(Level::kInfo, "hand_over", {{"pid", successor_}});
  Begin(std::move(channel));
}

void HandOver::Begin(std::unique_ptr<FdChannel> channel) {
  channel_ = std::move(channel);
  timer_.Set(loop_.Now() + options_.timeout);
}

void HandOver::OnFrame(FdChannel::Frame frame) {
  const auto type = static_cast<HandOverMessage>(frame.type);
  if (type == HandOverMessage::kHello && state_ == State::kGreeting) {
    OnHello(frame.payload);
  } else if (type == HandOverMessage::kReady && state_ == State::kOffered) {
    OnReady();
  } else if (type == HandOverMessage::kAccepting && state_ == State::kStopped) {
    OnAccepting();
  } else if (type == HandOverMessage::kMoveAnswer && state_ == State::kHandedOver) {
    OnMoveAnswer(frame.payload);
  } else if (type == HandOverMessage::kRefusal) {
    Fail("the new process gave up: " + frame.payload.substr(0, 1000));
  } else {
    RefuseAndFail("the new process does not keep to the protocol");
  }
}

void HandOver::OnHello(std::string_view payload) {
  const auto hello = DecodeHello(payload);
  if (!hello) return RefuseAndFail(hello.error().message);
  if (hello->version != kHandOverVersion) {
    return RefuseAndFail("the new process speaks version " + std::to_string(hello->version) +
                         " of the hand-over, and this one " + std::to_string(kHandOverVersion) +
                         ": stop this one by a drain, and start the new one");
  }
  state_ = State::kGathering;
  hooks_.gather([this, attempt = attempt_](HandOverInventory inventory) {
    if (attempt == attempt_ && state_ == State::kGathering) Offer(std::move(inventory));
  });
}

void HandOver::Offer(HandOverInventory inventory) {
  state_ = State::kOffered;
  HandOverOffer offer;
  offer.generation = options_.generation;
  offer.socket_count = static_cast<uint32_t>(inventory.sockets.size());
  offer.moves_connections = options_.moves_connections;
  offer.ancestors = options_.ancestors;
  channel_->Send(Type(HandOverMessage::kOffer), Encode(offer));
  for (size_t begin = 0; begin < inventory.sockets.size(); begin += kSocketsPerFrame) {
    const size_t end = std::min(begin + kSocketsPerFrame, inventory.sockets.size());
    const std::vector<HandOverSocket> sockets(
        inventory.sockets.begin() + static_cast<ptrdiff_t>(begin),
        inventory.sockets.begin() + static_cast<ptrdiff_t>(end));
    std::vector<int> fds;
    for (size_t i = begin; i < end; ++i) fds.push_back(inventory.fds[i].get());
    channel_->Send(Type(HandOverMessage::kSockets), Encode(sockets), fds);
  }
  for (const HandOverTicketKeys& keys : inventory.ticket_keys) {
    channel_->Send(Type(HandOverMessage::kTicketKeys), Encode(keys));
  }
  SendCounters(inventory.counters);
  channel_->Send(Type(HandOverMessage::kComplete), {});
}

void HandOver::OnReady() {
  state_ = State::kStopping;
  hooks_.stop_accepting([this, attempt = attempt_] {
    if (attempt != attempt_ || state_ != State::kStopping) return;
    state_ = State::kStopped;
    // Whoever asks the new process finds no less than this one has told.
    SendCounters(hooks_.counters());
    channel_->Send(Type(HandOverMessage::kStopped), {});
  });
}

void HandOver::OnAccepting() {
  state_ = State::kHandedOver;
  Count("taken", 1);
  LogEvent(Level::kInfo, "handed_over", {{"pid", successor_}});
  timer_.Set(loop_.Now() + kCountersEvery);
  hooks_.let_go();
  drain_.EndHandOver(true);
  if (done_) std::exchange(done_, nullptr)(successor_);
}

void HandOver::OnTimer() {
  switch (state_) {
    case State::kIdle:
      return;
    case State::kHandedOver:
      TellCounters();
      timer_.Set(loop_.Now() + kCountersEvery);
      return;
    default:
      if (!failure_.empty()) return Fail(std::exchange(failure_, {}));
      RefuseAndFail("the new process was not ready within restart.timeout");
  }
}

void HandOver::OnChannelClosed(const std::string& why) {
  if (state_ == State::kHandedOver) {
    // Nothing to do for us: it has what it needs, or somebody else has to start another.
    LogEvent(Level::kWarning, "successor_lost", {{"pid", successor_}, {"error", why}});
    EndChannel();
    hooks_.successor_lost();
    AnswerAllMoves();
    return;
  }
  child_ ? AwaitExit(why) : Fail(why);
}

void HandOver::AwaitExit(const std::string& why) {
  failure_ = why;
  timer_.Set(loop_.Now() + kExitBound);
}

void HandOver::TellCounters() {
  if (state_ != State::kStopped && state_ != State::kHandedOver) return;
  if (channel_ == nullptr || channel_->queued_bytes() > 0) return;  // or the new process hangs
  SendCounters(hooks_.counters());
  channel_->Send(Type(HandOverMessage::kCountersEnd), {});
}

void HandOver::SayFarewell() {
  if (state_ != State::kHandedOver || channel_ == nullptr) return;
  SendCounters(hooks_.counters());
  channel_->Send(Type(HandOverMessage::kCountersEnd), {});
  channel_->SendAll(kFarewellBound);
}

void HandOver::SendCounters(const std::string& counters) {
  for (size_t begin = 0; begin < counters.size(); begin += kCountersPerFrame) {
    channel_->Send(Type(HandOverMessage::kCounters),
                   std::string_view(counters).substr(begin, kCountersPerFrame));
  }
}

void HandOver::RefuseAndFail(const std::string& why) {
  if (state_ == State::kHandedOver) return OnChannelClosed(why);
  if (state_ == State::kStopped) {
    // It has been told to accept, and it may. There must not be two of us: its end is awaited.
    LogEvent(Level::kError, "hand_over_killed", {{"pid", successor_}, {"error", why}});
    // 0: it is in a pid namespace of its own, out of reach; to kill(2) it would mean us.
    if (successor_ > 0) kill(successor_, SIGKILL);
    timer_.Set(loop_.Now() + options_.timeout);
    return;
  }
  if (channel_) channel_->Send(Type(HandOverMessage::kRefusal), why);
  Fail(why);
}

void HandOver::Fail(const std::string& why) {
  if (state_ == State::kIdle) return;
  const bool stopped = state_ >= State::kStopping;
  state_ = State::kIdle;
  failure_.clear();
  ++attempt_;
  EndChannel();
  if (child_) {
    child_->Kill();  // it is of no use any more, and may hang
    child_.reset();
  }
  Count("failed", 1);
  LogEvent(Level::kError, "hand_over_failed", {{"pid", successor_}, {"error", why}});
  if (stopped) hooks_.accept_again();
  drain_.EndHandOver(false);
  if (done_) std::exchange(done_, nullptr)(sluice::Fail(why));
}

void HandOver::EndChannel() {
  timer_.Stop();
  if (channel_ == nullptr) return;
  channel_->Close();
  loop_.DeleteLater(std::move(channel_));
}

// ---- live connections ----

void HandOver::Move(const std::string& listener, const std::string& state,
                    const std::vector<int>& descriptors, MoveAnswer answer) {
  const bool possible = state_ == State::kHandedOver && channel_ != nullptr &&
                        options_.moves_connections && channel_->queued_bytes() < kMostQueued &&
                        state.size() + listener.size() + 64 < FdChannel::kMaxPayload;
  if (!possible) return answer(false);
  const uint64_t id = next_move_++;
  moves_.emplace(id, std::move(answer));
  channel_->Send(Type(HandOverMessage::kMove), Encode(HandOverMove{id, listener, state}),
                 descriptors);
}

void HandOver::OnMoveAnswer(std::string_view payload) {
  const auto answer = DecodeMoveAnswer(payload);
  if (!answer) return OnChannelClosed(answer.error().message);
  auto waiting = moves_.extract(answer->id);
  if (waiting.empty()) return;
  if (!answer->taken) {
    LogEvent(Level::kDebug, "move_refused", {{"error", answer->why_not}});
  }
  waiting.mapped()(answer->taken);
}

// Whatever the new process had not acknowledged it has not touched.
void HandOver::AnswerAllMoves() {
  for (auto& [id, answer] : std::exchange(moves_, {})) answer(false);
}

}  // namespace sluice
