// A YAML document as plain data with positions: what the loader works on, free of any library.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "config/problems.h"

namespace sluice {

struct ConfigNode {
  enum class Kind : uint8_t { kNull, kScalar, kSequence, kMapping };
  struct Entry;

  Kind kind = Kind::kNull;
  ConfigPosition at;
  std::string text;               // of a scalar
  std::vector<ConfigNode> items;  // of a sequence
  std::vector<Entry> entries;     // of a mapping, in the order written; keys are unique

  // The value of that key, or nullptr. Valid until the mapping changes.
  const ConfigNode* Find(std::string_view key) const;
  ConfigNode* Find(std::string_view key);
};

struct ConfigNode::Entry {
  std::string key;
  ConfigPosition at;  // of the key
  ConfigNode value;
};

inline const ConfigNode* ConfigNode::Find(std::string_view key) const {
  for (const Entry& entry : entries) {
    if (entry.key == key) return &entry.value;
  }
  return nullptr;
}

inline ConfigNode* ConfigNode::Find(std::string_view key) {
  for (Entry& entry : entries) {
    if (entry.key == key) return &entry.value;
  }
  return nullptr;
}

}  // namespace sluice
