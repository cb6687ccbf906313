// One part that is drained, as the drain report lists it. Plain data.
#pragma once

#include "base/time.h"
#include "sluice/part_drain.h"

namespace sluice {

enum class PartState : uint8_t { kDraining, kDrained };

struct PartReport {
  PartState state = PartState::kDraining;
  Duration age{};         // in this state
  PartProgress progress;  // and which part it is
  bool absent = false;    // an endpoint that a lookup does not find now
};

}  // namespace sluice
