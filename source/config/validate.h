// What shows only when the whole configuration is read: names that are used twice or point nowhere,
// keys that contradict each other.
#pragma once

#include "config/config.h"
#include "config/loader_reader.h"
#include "config/problems.h"

namespace sluice {

// Fills in what was left out and depends on other keys: names, so that everything has one, and the
// line of the access log.
void FillIn(Config* config);

// `config` as it was read: it has not moved since, so `positions` still finds its fields. Fields
// that were refused, or left empty for want of a value, have had their problem and are passed over.
void ValidateConfig(const Config& config, const ConfigPositions& positions,
                    ConfigProblems* problems);

}  // namespace sluice
