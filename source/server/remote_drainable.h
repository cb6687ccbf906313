// Carries the control thread's calls to a Drainable that lives on a worker's loop, and its answers
// back.
#pragma once

#include <functional>

#include "sluice/drainable.h"
#include "sluice/loop.h"

namespace sluice {

class RemoteDrainable final : public Drainable {
 public:
  // Used on the thread of `home`. `target` belongs to the thread of `away`; all three must outlive
  // the last answer. A loop that has stopped does not answer.
  RemoteDrainable(Loop& home, Loop& away, Drainable& target)
      : home_(home), away_(away), target_(target) {}

  void EnterLameDuck(const LameDuckOrder& order) override;
  void LeaveLameDuck() override;
  void BeginDrain(const DrainOrder& order, std::function<void()> done) override;
  void Cut(CutReason reason) override;
  void Inspect(std::function<void(const DrainProgress&)> report) override;

 private:
  Loop& home_;
  Loop& away_;
  Drainable& target_;
};

}  // namespace sluice
