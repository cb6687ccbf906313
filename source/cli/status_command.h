// `sluice status`, and the words in which the command line speaks of a running process.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "cli/admin_client.h"
#include "cli/command_line.h"
#include "cli/terminal.h"

namespace sluice {

// Prints how the process is. Returns the exit code.
int RunStatus(const StatusCommand& command, const AdminCaller& admin, const Terminal& terminal);

// The answer of GET /drain in a few lines, each "name   value".
std::string StatusText(const std::string& document, bool colours);

// The same in one line, without what changes by itself: "draining, 3 in flight (http1 3)".
std::string StatusLine(const std::string& document);

// One entry of "parts" in that document.
struct PartStatus {
  std::string scope;
  std::string name;
  bool drained = false;
  bool absent = false;  // an endpoint that a lookup does not find now
  double seconds = 0;   // in this state
  uint64_t in_flight = 0;
  uint64_t connections = 0;
  uint64_t cut = 0;
};

// The part that is drained by this name; nothing when it serves.
std::optional<PartStatus> FindPart(const std::string& document, const std::string& scope,
                                   const std::string& name);

// What changes of it: "route api: draining, 3 in flight".
std::string PartLine(const PartStatus& part);

// How much the drain of that document has cut.
uint64_t CutCount(const std::string& document);

// "850ms", "4.2s", "3m20s", "2h05m", "12d3h": as much as is worth reading.
std::string HumanDuration(double seconds);

}  // namespace sluice
