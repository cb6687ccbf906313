// Every key of the configuration with its type and default, for documentation and hints.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace sluice {

struct ConfigKey {
  enum class Shape : uint8_t { kScalar, kMap, kList, kSection };
  std::string path;  // "drain.deadline", "listeners[].timeouts.idle", "routes[].match.prefix"
  Shape shape = Shape::kScalar;
  std::string type;  // "duration", "size", "inbound, outbound", "list of domain"
  // As it would be written, or "required", or "-" for a key that excludes others and is not the
  // default one, or words.
  std::string default_value;
  std::string shorthand;  // the key of this section that a lone scalar stands for
};

// In the order of the documentation. Sections and their elements ("clusters[].endpoints[]") are
// keys too. Thread safe; made once.
const std::vector<ConfigKey>& ConfigKeys();

// The key of that path, or nullptr.
const ConfigKey* FindConfigKey(std::string_view path);

// The path of `name` in `section` ("" at the top). Routes are the same wherever they stand, so
// their paths start at "routes".
std::string ConfigKeyPath(std::string_view section, std::string_view name);

}  // namespace sluice
