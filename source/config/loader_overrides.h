// "--set KEY.PATH=VALUE": edits of the document, before anything is made of it.
#pragma once

#include <string>
#include <vector>

#include "config/node.h"
#include "config/problems.h"

namespace sluice {

// Applies `overrides` in order. A list element is named by its index (the one after the last
// appends) or by its `name` or `address`; sections and lists that are missing are made. The n-th
// override is the position of what it wrote, so that the checks that follow can say whose fault it
// is. One that cannot be applied adds a problem and changes nothing.
void ApplyOverrides(const std::vector<std::string>& overrides, ConfigNode* root,
                    ConfigProblems* problems);

}  // namespace sluice
