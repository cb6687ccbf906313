// A listener served on the control thread: the admin, and the embedded origin. It is not part of
// the drain: it must answer until the very end.
#pragma once

#include <memory>
#include <string>

#include "http/connection_manager.h"
#include "net/listener.h"
#include "net/uv_loop.h"
#include "sluice/handler.h"
#include "sluice/result.h"

namespace sluice {

class ControlPort {
 public:
  // Binds `address`, or takes `inherited`, a socket that listens there already, if it is valid; and
  // accepts, unless it is to wait for Accept. `handler` and the others must outlive it.
  static Result<std::unique_ptr<ControlPort>> Open(UvLoop& loop, const std::string& name,
                                                   const std::string& address, Handler& handler,
                                                   MetricShard& shard, Fd inherited = Fd());
  ~ControlPort();

  void Accept() { listener_.Resume(); }
  // New connections stay in the kernel's queue until Accept.
  void Pause() { listener_.Pause(); }
  // Another process has the socket, and its file.
  void LetGo();
  Fd DuplicateSocket() const { return listener_.Duplicate(); }

  // As bound: port 0 is replaced.
  const std::string& address() const { return address_; }

 private:
  ControlPort(UvLoop& loop, const std::string& name, std::string address, Fd fd, Handler& handler,
              MetricShard& shard);

  std::string address_;
  ListenerContext context_;
  ConnectionManager connections_;
  Listener listener_;
  bool let_go_ = false;
};

}  // namespace sluice
