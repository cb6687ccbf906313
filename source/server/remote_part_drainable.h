// Carries the control thread's orders to drain a part to a worker's loop, and its answers back.
#pragma once

#include <functional>

#include "sluice/loop.h"
#include "sluice/part_drain.h"

namespace sluice {

class RemotePartDrainable final : public PartDrainable {
 public:
  // As RemoteDrainable: used on the thread of `home`; `target` belongs to the thread of `away`; all
  // three must outlive the last answer.
  RemotePartDrainable(Loop& home, Loop& away, PartDrainable& target)
      : home_(home), away_(away), target_(target) {}

  void DrainPart(const PartDrainOrder& order,
                 std::function<void(const PartProgress&)> done) override;
  void CutPart(const Part& part) override;
  void UndrainPart(const Part& part) override;

 private:
  Loop& home_;
  Loop& away_;
  PartDrainable& target_;
};

}  // namespace sluice
