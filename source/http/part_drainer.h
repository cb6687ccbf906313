// Drains parts of what one worker serves: tells, watches and cuts what belongs to the part, and
// nothing else. A route or a cluster is refused where requests are routed (PartDrains::Has); what
// else has to be switched off, and on again, the owner does.
//
// One worker thread; `done` is called on it.
#pragma once

#include <functional>

#include "base/timer_queue.h"
#include "http/connection_manager.h"
#include "http/connection_sweep.h"
#include "http/part_drains.h"
#include "sluice/part_drain.h"

namespace sluice {

class PartDrainer final : public PartDrainable {
 public:
  // `work`: false stops new work for a part, after emptying the accept queue of a listener into
  // the connection manager; true admits it again.
  using Switch = std::function<void(const Part& part, bool work)>;

  // `connections` must outlive it.
  PartDrainer(ConnectionManager& connections, Switch work);
  ~PartDrainer() override;
  PartDrainer(const PartDrainer&) = delete;

  void DrainPart(const PartDrainOrder& order,
                 std::function<void(const PartProgress&)> done) override;
  void CutPart(const Part& part) override;
  void UndrainPart(const Part& part) override;

 private:
  uint64_t Count(const PartDrain& drain);
  void Tell(ServerConnection& connection);
  void Cut(ServerConnection& connection);
  void CutAll();
  void OnCutAgain();

  ConnectionManager& connections_;
  PartDrains& drains_;
  const Switch work_;
  ConnectionSweep telling_;
  ConnectionSweep cutting_;
  Timer cut_again_;
};

}  // namespace sluice
