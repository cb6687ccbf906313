#include "net/listener.h"

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

void Listener::Pause() {
  if (state_ == State::kStopped) return;
  state_ = State::kPaused;
  backoff_.Stop();
  watcher_->Want({});
}

void Listener::Resume() {
  if (state_ != State::kPaused) return;
  state_ = State::kAccepting;
  watcher_->Want({.read = true});
}

void Listener::Stop() {
  if (state_ == State::kStopped) return;
  state_ = State::kStopped;
  backoff_.Stop();
  Accept(kLastBatch);
  watcher_.reset();
  fd_.Close();
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
