#include "server/remote_part_drainable.h"

#include <utility>

namespace sluice {

void RemotePartDrainable::DrainPart(const PartDrainOrder& order,
                                    std::function<void(const PartProgress&)> done) {
  away_.Post([this, order, done = std::move(done)] {
    target_.DrainPart(order, [this, done](const PartProgress& progress) {
      home_.Post([done, progress] { done(progress); });
    });
  });
}

void RemotePartDrainable::CutPart(const Part& part) {
  away_.Post([this, part] { target_.CutPart(part); });
}

void RemotePartDrainable::UndrainPart(const Part& part) {
  away_.Post([this, part] { target_.UndrainPart(part); });
}

}  // namespace sluice
