#include "net/fd_watcher.h"

#include <cstdlib>

namespace sluice {

FdWatcher::FdWatcher(UvLoop& loop, int fd, FdEvents& events)
    : loop_(loop), events_(events), handle_(new Handle) {
  handle_->owner = this;
  // Fails for a descriptor that cannot be polled (a regular file), which no caller has.
  if (uv_poll_init(loop.uv(), &handle_->poll, fd) != 0) std::abort();
}

FdWatcher::~FdWatcher() {
  handle_->owner = nullptr;
  uv_close(reinterpret_cast<uv_handle_t*>(&handle_->poll),
           [](uv_handle_t* handle) { delete reinterpret_cast<Handle*>(handle); });
}

void FdWatcher::Want(Readiness interest) {
  if (interest == wanted_) return;
  wanted_ = interest;
  int events = (interest.read ? UV_READABLE : 0) | (interest.write ? UV_WRITABLE : 0);
  // The kernel tells errors to everybody who waits for anything (epoll_ctl(2), EPOLLERR); urgent
  // data is what hardly ever comes.
  if (events == 0 && interest.error && !hung_up_) events = UV_PRIORITIZED;
  if (events == 0) {
    uv_poll_stop(&handle_->poll);
  } else {
    uv_poll_start(&handle_->poll, events, OnPoll);
  }
}

void FdWatcher::OnPoll(uv_poll_t* poll, int status, int events) {
  FdWatcher* self = reinterpret_cast<Handle*>(poll)->owner;
  if (self == nullptr) return;
  UvLoop::Dispatch dispatch(self->loop_);
  if (status < 0) {
    // libuv stops watching a descriptor in error (EPOLLERR). Both sides are told, so that what was
    // received before the error is still read; a new interest may be set by them.
    self->wanted_ = {};
    self->events_.OnReady({.read = true, .write = true});
    return;
  }
  if ((events & UV_PRIORITIZED) != 0) {
    self->hung_up_ = true;
    self->Want({});
    self->events_.OnReady({.read = true, .write = true});
    return;
  }
  self->events_.OnReady(
      {.read = (events & UV_READABLE) != 0, .write = (events & UV_WRITABLE) != 0});
}

}  // namespace sluice
