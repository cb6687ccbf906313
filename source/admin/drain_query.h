// What the query of /drain asks for: the whole process, or one part of what it serves.
#pragma once

#include <optional>
#include <string_view>

#include "sluice/part_drain.h"
#include "sluice/result.h"

namespace sluice {

struct DrainQuery {
  std::optional<Part> part;        // nothing: the process
  bool from_command_line = false;  // trigger=cli
};

// `path` with its query: listener=, route=, cluster= or endpoint=, one of them at most, and
// trigger=; names may be percent-encoded. Fails on anything else: a parameter that was misspelt
// must not drain the whole process.
Result<DrainQuery> ParseDrainQuery(std::string_view path);

}  // namespace sluice
