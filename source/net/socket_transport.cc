#include "net/socket_transport.h"

#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cerrno>
#include <utility>

#include "net/socket_address.h"

namespace sluice {

SocketTransport::SocketTransport(UvLoop& loop, Fd fd, std::string peer)
    : loop_(loop), fd_(std::move(fd)), peer_(std::move(peer)) {}

SocketTransport::~SocketTransport() { Release(); }

void SocketTransport::SetEvents(TransportEvents* events) {
  events_ = events;
  if (closed() || watcher_) return;
  watcher_.emplace(loop_, fd_.get(), static_cast<FdEvents&>(*this));
  UpdateInterest();
}

void SocketTransport::Write(std::string_view bytes) {
  if (closed() || write_side_ != Side::kOpen || write_error_ != 0) return;
  if (!output_) output_ = loop_.output_queues().Acquire();
  output_->Add(bytes);
  if (output_->size() >= kHighWatermark) promise_ = Promise::kLowWatermark;
  loop_.FlushLater(*this);
}

size_t SocketTransport::queued_bytes() const { return output_ ? output_->size() : 0; }

size_t SocketTransport::untaken_bytes() const {
  int in_kernel = 0;
  if (closed() || ioctl(fd_.get(), SIOCOUTQ, &in_kernel) != 0) return queued_bytes();
  return queued_bytes() + static_cast<size_t>(in_kernel);
}

void SocketTransport::FlushNow() {
  if (!output_ || closed() || frozen_) return;
  Send();
  // The caller sees these bytes wait, and the peer may make room for them before the dispatch ends:
  // then too somebody has to be told that they left.
  if (queued_bytes() > 0 && promise_ == Promise::kNothing) promise_ = Promise::kEmpty;
  // Whether it failed, or what was promised is now true, is told at the end of the dispatch.
  loop_.FlushLater(*this);
}

void SocketTransport::Flush() {
  if (closed()) return;
  if (output_) Send();
  AfterSend();
}

void SocketTransport::Send() {
  if (write_error_ == 0) write_error_ = output_->Send(fd_.get());
  if (write_error_ != 0) output_->Clear();
  if (output_->empty()) loop_.output_queues().Release(std::move(output_));
}

// The one place that tells the owner about its writes.
void SocketTransport::AfterSend() {
  if (write_error_ != 0) {
    FailWrite(write_error_);
    return;
  }
  const size_t queued = queued_bytes();
  if (queued > 0 && promise_ == Promise::kNothing) promise_ = Promise::kEmpty;
  if (queued == 0 && write_side_ == Side::kShutting) {
    write_side_ = Side::kShut;
    shutdown(fd_.get(), SHUT_WR);
    UpdateInterest();
    promise_ = Promise::kNothing;
    if (events_ != nullptr) events_->OnWriteShut();
    return;
  }
  UpdateInterest();
  const bool kept = queued == 0 || (promise_ == Promise::kLowWatermark && queued <= kLowWatermark);
  if (promise_ == Promise::kNothing || !kept) return;
  promise_ = queued == 0 ? Promise::kNothing : Promise::kEmpty;
  if (events_ != nullptr) events_->OnWritable();
}

void SocketTransport::ShutdownWrite() {
  if (closed() || write_side_ != Side::kOpen) return;
  write_side_ = Side::kShutting;
  loop_.FlushLater(*this);
}

void SocketTransport::Close() {
  events_ = nullptr;
  Release();
}

void SocketTransport::Reset() {
  if (closed()) return;
  const linger abort{.l_onoff = 1, .l_linger = 0};
  setsockopt(fd_.get(), SOL_SOCKET, SO_LINGER, &abort, sizeof(abort));
  Close();
}

void SocketTransport::Release() {
  Flushable::Unlink();
  watcher_.reset();
  fd_.Close();
  if (output_) {
    output_->Clear();
    loop_.output_queues().Release(std::move(output_));
  }
}

void SocketTransport::PauseReading() {
  if (std::exchange(reading_paused_, true)) return;
  // A broken write waits for the last input to be read (FailWrite), which nobody will read now.
  if (write_error_ != 0) loop_.FlushLater(*this);
  UpdateInterest();
}

void SocketTransport::ResumeReading() {
  if (!std::exchange(reading_paused_, false)) return;
  UpdateInterest();
}

void SocketTransport::WatchForReset() {
  tells_reset_ = true;
  UpdateInterest();
}

bool SocketTransport::HasUnreadInput() {
  if (closed()) return true;
  char byte;
  const ssize_t got = recv(fd_.get(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return got >= 0 || (errno != EAGAIN && errno != EWOULDBLOCK);
}

std::optional<FrozenTransport> SocketTransport::Freeze() {
  const bool whole = read_side_ == Side::kOpen && write_side_ == Side::kOpen;
  if (closed() || frozen_ || !whole) return std::nullopt;
  FlushNow();
  if (write_error_ != 0) return std::nullopt;
  frozen_ = true;
  Flushable::Unlink();
  UpdateInterest();
  return FrozenTransport{fd_.get(), std::string(output_ ? output_->kept() : std::string_view())};
}

void SocketTransport::Thaw() {
  if (!std::exchange(frozen_, false) || closed()) return;
  loop_.FlushLater(*this);
  UpdateInterest();
}

std::string SocketTransport::LocalAddress() const {
  SocketAddress address;
  if (closed() || getsockname(fd_.get(), address.data(), address.length_out()) != 0) return {};
  return address.ToString();
}

void SocketTransport::OnReady(Readiness ready) {
  if (ready.write && queued_bytes() > 0) {
    Send();
    AfterSend();
  }
  if (ready.read && !closed()) Read();
  // After an error libuv has dropped the interest; say it again if there still is one.
  if (!closed()) UpdateInterest();
}

void SocketTransport::Read() {
  if (reading_paused_ || read_side_ != Side::kOpen) {
    // Nobody wants data now, so this is the error or hang-up that ends the watch: ask for it.
    int error = 0;
    socklen_t length = sizeof(error);
    getsockopt(fd_.get(), SOL_SOCKET, SO_ERROR, &error, &length);
    if (error != 0) Fail(error);
    return;
  }
  ssize_t got;
  do {
    got = recv(fd_.get(), loop_.read_buffer(), UvLoop::kReadBufferSize, 0);
  } while (got < 0 && errno == EINTR);
  if (got > 0) {
    if (events_ != nullptr) events_->OnData({loop_.read_buffer(), static_cast<size_t>(got)});
  } else if (got == 0) {
    read_side_ = Side::kShut;  // OnReady drops the interest, unless the owner closes right away
    if (write_error_ != 0) {
      Fail(write_error_);
    } else if (events_ != nullptr) {
      events_->OnEof();
    }
  } else if (errno != EAGAIN && errno != EWOULDBLOCK) {
    Fail(errno);
  }
}

// A peer may answer early and close while we still write to it. Its answer is in our receive queue
// and must be read before the broken write is reported (RFC 9112 9.5).
void SocketTransport::FailWrite(int error) {
  if (reading_paused_ || read_side_ != Side::kOpen) {
    Fail(error);
  } else {
    UpdateInterest();
  }
}

void SocketTransport::Fail(int error) {
  TransportEvents* events = std::exchange(events_, nullptr);
  Release();
  if (events != nullptr) events->OnError(error);
}

void SocketTransport::UpdateInterest() {
  if (!watcher_) return;
  watcher_->Want({.read = !reading_paused_ && read_side_ == Side::kOpen && !frozen_,
                  .write = output_ && output_->waiting() && write_error_ == 0 && !frozen_,
                  .error = tells_reset_ && !frozen_});
}

}  // namespace sluice
