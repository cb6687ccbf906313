// Statuses as a configuration writes them: one, or a range of them; those of gRPC by name.
#pragma once

#include <optional>
#include <string_view>

namespace sluice {

struct StatusRange {
  int first = 0;
  int last = 0;  // included
  bool Contains(int status) const { return status >= first && status <= last; }
};

// Reads "503" or "500-599", of final responses.
std::optional<StatusRange> ParseStatusRange(std::string_view text);

// The number of "unavailable".
std::optional<int> GrpcStatusByName(std::string_view name);

}  // namespace sluice
