// YAML in, Config out. The only place that knows yaml-cpp (loader*.cc).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "config/config.h"
#include "sluice/result.h"

namespace sluice {

// Where a configuration comes from.
struct ConfigSource {
  std::string file;                    // path; empty: start from an empty document
  std::vector<std::string> overrides;  // "KEY.PATH=VALUE", e.g. "drain.propagation_delay=0s",
                                       // "listeners.0.address=127.0.0.1:8081"; VALUE is YAML
};

// The text of a file, which is small enough to be a configuration.
Result<std::string> ReadConfigFile(const std::string& path);

// Reads, merges the overrides, checks. The error holds every problem found (up to ten), one to a
// line: "file:line:column: what is wrong; what was expected; did you mean ...".
Result<Config> LoadConfig(const ConfigSource& source);

// The same from text; `name` stands for the file in errors.
Result<Config> ParseConfig(const std::string& text, const std::string& name,
                           const std::vector<std::string>& overrides = {});

// The whole configuration as YAML in the loader's own keys, defaults included: parses back to an
// equal Config. Shown by the admin's /config.
std::string DumpConfig(const Config& config);

}  // namespace sluice
