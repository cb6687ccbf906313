#include "net/fd_acceptor.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <utility>

namespace sluice {

FdAcceptor::FdAcceptor(UvLoop& loop, Fd socket, std::function<void(Fd)> on_accept)
    : socket_(std::move(socket)), on_accept_(std::move(on_accept)) {
  watcher_.emplace(loop, socket_.get(), static_cast<FdEvents&>(*this));
  watcher_->Want({.read = true});
}

void FdAcceptor::Close() {
  watcher_.reset();
  socket_.Close();
}

Fd FdAcceptor::Duplicate() const {
  return socket_.valid() ? Fd(fcntl(socket_.get(), F_DUPFD_CLOEXEC, 0)) : Fd();
}

void FdAcceptor::OnReady(Readiness) {
  Fd connection(accept4(socket_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (connection.valid()) on_accept_(std::move(connection));
}

}  // namespace sluice
