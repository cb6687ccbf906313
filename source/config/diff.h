// What a new configuration changes, key by key, in the words of the configuration.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "config/config.h"

namespace sluice {

struct ConfigChange {
  enum class Kind : uint8_t { kAdded, kRemoved, kChanged };
  Kind kind = Kind::kChanged;
  // Elements of lists go by their names: "listeners[main].timeouts.idle". Of something that was
  // added or removed with all that is in it, only itself is named: "clusters[app]".
  std::string path;
  std::string before;  // values, of kChanged
  std::string after;
  bool at_restart = false;  // a running process cannot change it

  bool operator==(const ConfigChange&) const = default;
};
std::string_view ConfigChangeName(ConfigChange::Kind kind);  // "added", "removed", "changed"

using ConfigDiff = std::vector<ConfigChange>;

// In the order of paths; empty when the two mean the same.
ConfigDiff DiffConfigs(const Config& before, const Config& after);

// Gives `after` the values of `before` wherever a running process cannot change them.
void KeepUntilRestart(const Config& before, Config* after);

// A cluster that is looked up keeps the endpoints that it has until there is an answer, however it
// is looked up from now on, and wherever they are from.
void KeepDiscovered(const Config& before, Config* after);

}  // namespace sluice
