#include "lifecycle/takeover.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <utility>

#include "base/log.h"

namespace sluice {
namespace {

// More than this is no account of counters.
constexpr size_t kMostCounters = 64 * 1024 * 1024;

// A process that dies closes its end a moment before it is known to be dead.
constexpr int kDeathBoundMs = 2000;
constexpr time_t kConnectSeconds = 5;

uint16_t Type(HandOverMessage message) { return static_cast<uint16_t>(message); }

}  // namespace

Result<Fd> Takeover::Connect(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) {
    return sluice::Fail("--takeover " + path + ": the path is too long for a Unix socket");
  }
  std::memcpy(address.sun_path, path.c_str(), path.size());
  Fd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return sluice::Fail(std::string("--takeover: socket: ") + std::strerror(errno));
  // A process that stands still lets its queue fill, and connect(2) would wait for ever.
  const timeval bound{kConnectSeconds, 0};
  setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &bound, sizeof(bound));
  if (connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0) return fd;
  if (errno == ENOENT || errno == ECONNREFUSED) return Fd();
  return sluice::Fail("--takeover " + path + ": cannot connect: " + std::strerror(errno));
}

void Takeover::Refuse(int descriptor, const std::string& why) {
  const std::string frame = FdChannel::Encode(Type(HandOverMessage::kRefusal), why);
  send(descriptor, frame.data(), frame.size(), MSG_NOSIGNAL);
}

Takeover::Takeover(UvLoop& loop, Fd connection, Duration timeout)
    : loop_(loop),
      timeout_(timeout),
      timer_(loop.timers(), Delegate::Bind<&Takeover::OnTimer>(this)) {
  channel_ = std::make_unique<FdChannel>(loop, std::move(connection),
                                         static_cast<FdChannel::Events&>(*this));
  if (const auto peer = channel_->peer()) {
    predecessor_ = peer->pid;
    predecessor_handle_ = Fd(static_cast<int>(syscall(SYS_pidfd_open, peer->pid, 0)));
  }
}

Takeover::~Takeover() = default;

void Takeover::Receive(std::function<void(Result<std::optional<Inheritance>>)> then) {
  received_ = std::move(then);
  timer_.Set(loop_.Now() + timeout_);
  channel_->Send(Type(HandOverMessage::kHello), Encode(HandOverHello{}));
}

void Takeover::Ready(Hooks hooks, std::function<void(Result<void>)> then) {
  hooks_ = std::move(hooks);
  accept_now_ = std::move(then);
  if (state_ == State::kOver) {  // it died, or gave up, while we prepared ourselves
    loop_.Post([this] {
      const Result<void> now = failure_.empty() ? Result<void>() : sluice::Fail(failure_);
      std::exchange(accept_now_, nullptr)(now);
    });
    return;
  }
  state_ = State::kReady;
  timer_.Set(loop_.Now() + timeout_);
  channel_->Send(Type(HandOverMessage::kReady), {});
}

void Takeover::Accepting() {
  if (state_ == State::kAccepting) channel_->Send(Type(HandOverMessage::kAccepting), {});
}

void Takeover::GiveUp(const std::string& why) {
  if (state_ != State::kOver) channel_->Send(Type(HandOverMessage::kRefusal), why);
}

void Takeover::OnFrame(FdChannel::Frame frame) {
  const auto type = static_cast<HandOverMessage>(frame.type);
  const bool receiving = state_ == State::kGreeting && offered_;
  if (type == HandOverMessage::kRefusal) {
    Fail("the process that serves now refuses to hand over: " + frame.payload.substr(0, 1000));
  } else if (type == HandOverMessage::kOffer && state_ == State::kGreeting && !offered_) {
    OnOffer(frame.payload);
  } else if (type == HandOverMessage::kSockets && receiving) {
    OnSockets(std::move(frame));
  } else if (type == HandOverMessage::kTicketKeys && receiving) {
    auto keys = DecodeTicketKeys(frame.payload);
    if (!keys) return Fail(keys.error().message);
    inheritance_.ticket_keys.push_back(std::move(*keys));
  } else if (type == HandOverMessage::kCounters &&
             (receiving || state_ == State::kReady || state_ == State::kAccepting)) {
    counters_ += frame.payload;
    if (counters_.size() > kMostCounters) Fail("the other process sends too many counters");
  } else if (type == HandOverMessage::kComplete && receiving) {
    OnComplete();
  } else if (type == HandOverMessage::kStopped && state_ == State::kReady) {
    timer_.Stop();
    state_ = State::kAccepting;
    if (!counters_.empty()) hooks_.on_counters(std::exchange(counters_, {}));
    std::exchange(accept_now_, nullptr)({});
  } else if (type == HandOverMessage::kMove && state_ == State::kAccepting) {
    OnMove(std::move(frame));
  } else if (type == HandOverMessage::kCountersEnd && state_ == State::kAccepting) {
    hooks_.on_counters(std::exchange(counters_, {}));
  } else {
    Fail("the other process does not keep to the protocol");
  }
}

void Takeover::OnOffer(std::string_view payload) {
  auto offer = DecodeOffer(payload);
  if (!offer) return Fail(offer.error().message);
  if (offer->version != kHandOverVersion) {
    return Fail("the process that serves now speaks version " + std::to_string(offer->version) +
                " of the hand-over, and this one " + std::to_string(kHandOverVersion));
  }
  offered_ = true;
  promised_sockets_ = offer->socket_count;
  inheritance_.generation = offer->generation + 1;
  inheritance_.ancestors = std::move(offer->ancestors);
  inheritance_.ancestors.push_back(static_cast<uint32_t>(predecessor_));
}

void Takeover::OnSockets(FdChannel::Frame frame) {
  auto sockets = DecodeSockets(frame.payload);
  if (!sockets) return Fail(sockets.error().message);
  if (sockets->size() != frame.fds.size()) {
    return Fail("the other process does not keep to the protocol: sockets are missing");
  }
  for (size_t i = 0; i < sockets->size(); ++i) {
    inheritance_.sockets.push_back(std::move((*sockets)[i]));
    inheritance_.fds.push_back(std::move(frame.fds[i]));
  }
}

void Takeover::OnComplete() {
  if (inheritance_.sockets.size() != promised_sockets_) {
    return Fail("the other process does not keep to the protocol: sockets are missing");
  }
  timer_.Stop();
  state_ = State::kInherited;
  inheritance_.counters = std::exchange(counters_, {});
  std::exchange(received_, nullptr)(std::optional<Inheritance>(std::move(inheritance_)));
}

void Takeover::OnMove(FdChannel::Frame frame) {
  auto move = DecodeMove(frame.payload);
  if (!move) return Fail(move.error().message);
  const uint64_t id = move->id;
  const auto answer = [this, id](Result<void> adopted) {
    if (state_ != State::kAccepting) return;
    const HandOverMoveAnswer reply{id, adopted.has_value(),
                                   adopted ? std::string() : adopted.error().message};
    channel_->Send(Type(HandOverMessage::kMoveAnswer), Encode(reply));
  };
  if (frame.fds.empty() || frame.fds.size() > 2) return answer(sluice::Fail("no descriptors"));
  MovedConnection connection;
  connection.listener = std::move(move->listener);
  connection.state = std::move(move->state);
  connection.client = frame.fds[0].get();
  if (frame.fds.size() == 2) connection.upstream = frame.fds[1].get();
  hooks_.adopt(std::move(connection), std::make_shared<const std::vector<Fd>>(std::move(frame.fds)),
               answer);
}

void Takeover::OnTimer() {
  Fail("the process that serves now did not answer within restart.timeout");
}

bool Takeover::PredecessorDied() const {
  pollfd death{predecessor_handle_.get(), POLLIN, 0};
  return !predecessor_handle_.valid() || poll(&death, 1, kDeathBoundMs) == 1;
}

void Takeover::OnChannelClosed(const std::string& why) {
  if (state_ == State::kAccepting) {
    state_ = State::kOver;
    counters_.clear();
    hooks_.on_predecessor_gone();
    return;
  }
  if (!PredecessorDied()) return Fail(why);
  // Nobody else accepts: this one has to, and what was inherited is good.
  LogEvent(Level::kWarning, "predecessor_died", {{"pid", predecessor_}});
  timer_.Stop();
  state_ = State::kOver;
  if (received_) {
    // Sockets that have come are bound, so that nobody else could; whole or not, they are taken.
    auto come = offered_ ? std::optional<Inheritance>(std::move(inheritance_)) : std::nullopt;
    std::exchange(received_, nullptr)(std::move(come));
  }
  if (accept_now_) std::exchange(accept_now_, nullptr)({});
}

void Takeover::Fail(const std::string& why) {
  if (state_ == State::kOver) return;
  const bool serving = state_ == State::kAccepting;
  state_ = State::kOver;
  failure_ = why;
  timer_.Stop();
  channel_->Close();
  if (serving) {  // the old one drains what it has, and this one serves on
    LogEvent(Level::kError, "predecessor_lost", {{"pid", predecessor_}, {"error", why}});
    hooks_.on_predecessor_gone();
  }
  if (received_) std::exchange(received_, nullptr)(sluice::Fail(why));
  if (accept_now_) std::exchange(accept_now_, nullptr)(sluice::Fail(why));
}

}  // namespace sluice
