#include "net/listener.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <cerrno>
#include <utility>

#include "net/socket_address.h"
#include "net/socket_transport.h"

namespace sluice {
namespace {

// Large enough to spare turns of the loop under a burst, small enough to be fair to open
// connections.
constexpr int kBatch = 16;

// Emptying the queue while others keep connecting must end: the queue's own bound is the backlog.
constexpr int kLastBatch = 65536;

// Out of descriptors or memory: accepting again at once would spin.
constexpr auto kBackoff = std::chrono::milliseconds(50);

// Of a TCP socket; others do not know the option.
void SetReuseAddress(int fd, bool on) {
  const int value = on ? 1 : 0;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &value, sizeof(value));
}

bool IsUnixSocket(int fd) {
  int domain = 0;
  socklen_t size = sizeof(domain);
  return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 && domain == AF_UNIX;
}

}  // namespace

Listener::Listener(UvLoop& loop, Fd fd, OnAccept on_accept, MetricCell& accept_errors)
    : loop_(loop),
      fd_(std::move(fd)),
      on_accept_(std::move(on_accept)),
      accept_errors_(accept_errors),
      backoff_(loop.timers(), Delegate::Bind<&Listener::OnBackoffOver>(this)) {
  watcher_.emplace(loop_, fd_.get(), static_cast<FdEvents&>(*this));
}

Listener::~Listener() { watcher_.reset(); }

bool Listener::Listen(uint32_t backlog) {
  if (state_ == State::kStopped || state_ == State::kShut) return true;
  return listen(fd_.get(), static_cast<int>(backlog)) == 0;
}

void Listener::Pause() {
  if (state_ == State::kStopped || state_ == State::kShut) return;
  state_ = State::kPaused;
  backoff_.Stop();
  watcher_->Want({});
}

void Listener::Resume() {
  if (state_ != State::kPaused) return;
  state_ = State::kAccepting;
  watcher_->Want({.read = true});
}

void Listener::Shut() {
  if (state_ == State::kStopped || state_ == State::kShut) return;
  state_ = State::kShut;
  AcceptAll();
  // Linux: shutdown ends listening, and what is bound stays bound. Without SO_REUSEADDR nobody else
  // can bind the address in the meantime; sockets of ours with SO_REUSEPORT are all shut alike.
  SetReuseAddress(fd_.get(), false);
  shutdown(fd_.get(), SHUT_RD);
  // A Unix socket is shared by all workers and keeps its queue.
  if (IsUnixSocket(fd_.get())) AcceptAll();
}

bool Listener::Reopen(Fd replacement, uint32_t backlog) {
  if (state_ != State::kShut) return true;
  if (replacement.valid()) {
    watcher_.reset();
    fd_ = std::move(replacement);
    watcher_.emplace(loop_, fd_.get(), static_cast<FdEvents&>(*this));
  }
  SetReuseAddress(fd_.get(), true);
  if (listen(fd_.get(), static_cast<int>(backlog)) != 0) return false;
  state_ = State::kPaused;
  Resume();
  return true;
}

void Listener::Stop() {
  if (state_ == State::kStopped) return;
  if (std::exchange(state_, State::kStopped) != State::kShut) AcceptAll();
  watcher_.reset();
  fd_.Close();
}

void Listener::LetGo() {
  state_ = State::kStopped;
  backoff_.Stop();
  watcher_.reset();
  fd_.Close();
}

Fd Listener::Duplicate() const {
  if (state_ == State::kShut && IsUnixSocket(fd_.get())) return Fd();
  return fd_.valid() ? Fd(fcntl(fd_.get(), F_DUPFD_CLOEXEC, 0)) : Fd();
}

void Listener::AcceptAll() {
  backoff_.Stop();
  watcher_->Want({});
  Accept(kLastBatch);
}

void Listener::OnReady(Readiness) {
  if (state_ == State::kAccepting) Accept(kBatch);
}

void Listener::OnBackoffOver() {
  if (state_ != State::kBackingOff) return;
  state_ = State::kPaused;
  Resume();
}

bool Listener::Accept(int most) {
  for (int i = 0; i < most; ++i) {
    SocketAddress peer;
    Fd fd(accept4(fd_.get(), peer.data(), peer.length_out(), SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (fd.valid()) {
      on_accept_(std::make_unique<SocketTransport>(loop_, std::move(fd), peer.ToString()));
      if (state_ == State::kPaused) return false;  // the owner has enough
      continue;
    }
    switch (errno) {
      case EAGAIN:
        return false;
      case EINTR:
      case ECONNABORTED:  // the client gave up while it was queued
      case EPROTO:
        continue;
      default:
        accept_errors_.Add();
        if (state_ == State::kAccepting) {
          state_ = State::kBackingOff;
          watcher_->Want({});
          backoff_.Set(loop_.Now() + kBackoff);
        }
        return false;
    }
  }
  return true;
}

}  // namespace sluice
