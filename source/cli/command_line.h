// What a person types, as data. The only place that knows CLI11 (command_line.cc).
#pragma once

#include <string>
#include <tl/expected.hpp>
#include <variant>
#include <vector>

#include "cli/terminal.h"

namespace sluice {

inline constexpr char kDefaultAdmin[] = "127.0.0.1:9901";

struct ServeCommand {
  std::string config_file;  // empty: none
  std::string to;           // URL of the service; empty: none
  std::string listen;       // these three: empty as long as not given
  std::string admin;
  std::string workers;
  std::vector<std::string> overrides;  // "KEY.PATH=VALUE"
  std::string takeover;                // socket of the process to take over from; empty: none
  std::vector<std::string> arguments;  // all of them, as typed
};

struct CheckCommand {
  std::string config_file;
  std::vector<std::string> overrides;
  bool strict = false;  // warnings fail, too
};

struct DrainCommand {
  std::string admin = kDefaultAdmin;
  bool wait = false;
  bool undo = false;
  std::string scope{};  // "listener", "route", "cluster" or "endpoint"; empty: the process
  std::string name{};   // of that
};

struct RestartCommand {
  std::string admin = kDefaultAdmin;
};

struct StatusCommand {
  std::string admin = kDefaultAdmin;
  bool json = false;
};

struct ReloadCommand {
  std::string admin = kDefaultAdmin;
};

using Command = std::variant<ServeCommand, CheckCommand, DrainCommand, ReloadCommand,
                             RestartCommand, StatusCommand>;

// The command, or the exit code when there is nothing left to do: help and version were printed to
// `terminal.out`, or a mistake was explained on `terminal.err`.
tl::expected<Command, int> ParseCommandLine(int argc, const char* const* argv,
                                            const Terminal& terminal);

}  // namespace sluice
