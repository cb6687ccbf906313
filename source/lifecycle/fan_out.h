// Many Drainables as one: the workers of a process, as the drain controller sees them.
#pragma once

#include <functional>
#include <vector>

#include "sluice/drainable.h"

namespace sluice {

// Control thread only. Each part is given every call, in order; sums and completions are gathered
// from however many turns of the loop the parts need.
//
// A part that calls back twice is counted once: a completion is never stolen from another part.
class FanOut : public Drainable {
 public:
  // `parts` must outlive this object. May be empty: everything is then done at once.
  explicit FanOut(std::vector<Drainable*> parts);

  void EnterLameDuck(const LameDuckOrder& order) override;
  void LeaveLameDuck() override;

  // `done` is called when every part is done with this call.
  void BeginDrain(const DrainOrder& order, std::function<void()> done) override;

  void Cut(CutReason reason) override;

  // Reports the sum once every part has answered.
  void Inspect(std::function<void(const DrainProgress&)> report) override;

 private:
  std::vector<Drainable*> parts_;
};

}  // namespace sluice
