#include "cli/check_command.h"

#include <string>

#include "config/checker.h"
#include "config/loader.h"
#include "lifecycle/exit_code.h"
#include "server/tls_setup.h"

namespace sluice {
namespace {

std::string Count(size_t count, const std::string& noun) {
  return std::to_string(count) + " " + noun + (count == 1 ? "" : "s");
}

size_t RouteCount(const Config& config) {
  size_t count = 0;
  for (const ListenerConfig& listener : config.listeners) {
    for (const VirtualHost& host : listener.virtual_hosts) count += host.routes.size();
  }
  return count;
}

}  // namespace

int RunCheck(const CheckCommand& command, const Terminal& terminal) {
  const auto config = LoadConfig({.file = command.config_file, .overrides = command.overrides});
  if (!config) {
    terminal.Error(config.error().message);
    return kExitUsage;
  }
  const auto tls_warnings = CheckTls(*config, std::chrono::system_clock::now());
  if (!tls_warnings) {
    terminal.Error(tls_warnings.error().message);
    return kExitUsage;
  }
  auto warnings = CheckConfig(*config);
  warnings.insert(warnings.end(), tls_warnings->begin(), tls_warnings->end());
  for (const std::string& warning : warnings) terminal.Warning(warning);
  if (command.strict && !warnings.empty()) {
    terminal.Error(command.config_file + ": " + Count(warnings.size(), "warning") +
                   ", and --strict allows none");
    return kExitUsage;
  }
  terminal.out << Coloured(Colour::kGreen, "ok", terminal.out_colours) << ": "
               << command.config_file << ": " << Count(config->listeners.size(), "listener") << ", "
               << Count(RouteCount(*config), "route") << ", "
               << Count(config->clusters.size(), "cluster");
  if (!warnings.empty()) terminal.out << ", " << Count(warnings.size(), "warning");
  terminal.out << '\n';
  return kExitOk;
}

}  // namespace sluice
