// YAML text -> ConfigNode. Built to be fed anything: size, nesting and the growth by aliases are
// bounded, so a hostile document costs bounded time, memory and stack.
#pragma once

#include <cstddef>
#include <string>

#include "config/node.h"
#include "config/problems.h"

namespace sluice {

inline constexpr size_t kMaxConfigBytes = 4 * 1024 * 1024;
inline constexpr int kMaxConfigNesting = 64;
// Both with every alias replaced by what it stands for.
inline constexpr size_t kMaxConfigNodes = 500'000;
inline constexpr size_t kMaxConfigTextBytes = 16 * 1024 * 1024;

// Reads one document; an empty text is a null node. `source` goes into every position. On a syntax
// error, or a document beyond the bounds, one problem is added and the result is false; duplicate
// keys are added as problems, and the first one is kept.
bool ParseYaml(const std::string& text, int source, ConfigNode* root, ConfigProblems* problems);

}  // namespace sluice
