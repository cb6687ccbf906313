// A listening socket whose connections are wanted as bare descriptors, a few in an hour.
#pragma once

#include <functional>
#include <optional>

#include "net/fd.h"
#include "net/fd_watcher.h"
#include "net/uv_loop.h"

namespace sluice {

class FdAcceptor final : private FdEvents {
 public:
  // Takes a listening, non-blocking socket, and calls `on_accept` for each connection.
  FdAcceptor(UvLoop& loop, Fd socket, std::function<void(Fd connection)> on_accept);

  // Closes the socket; what is queued on it stays so if another process has it, too.
  void Close();

  // Another descriptor of the socket; invalid once closed.
  Fd Duplicate() const;

 private:
  void OnReady(Readiness ready) override;

  Fd socket_;
  std::function<void(Fd)> on_accept_;
  std::optional<FdWatcher> watcher_;
};

}  // namespace sluice
