#include "cli/serve_command.h"

#include <string>
#include <utility>
#include <vector>

#include "base/log.h"
#include "cli/service_url.h"
#include "config/checker.h"
#include "config/duration.h"
#include "config/loader.h"
#include "lifecycle/exit_code.h"
#include "server/tls_setup.h"

namespace sluice {
namespace {

// Listens on what is asked for, in front of one endpoint: that of --to, or the embedded origin's,
// which takes the place of this one when its port is known.
constexpr char kOneService[] = R"(listeners:
  - address: 127.0.0.1:8080
    cluster: service
clusters:
  - name: service
    endpoints: ["127.0.0.1:1"]
)";
constexpr char kCluster[] = "service";

// As YAML: an IPv6 address would otherwise be read as a list.
std::string Quoted(const std::string& value) {
  std::string quoted = "'";
  for (const char c : value) quoted.append(c == '\'' ? 2 : 1, c);
  return quoted + "'";
}

std::vector<std::string> Overrides(const ServeCommand& command) {
  std::vector<std::string> overrides;
  if (!command.listen.empty()) {
    overrides.push_back("listeners.0.address=" + Quoted(command.listen));
  }
  if (!command.admin.empty()) overrides.push_back("admin=" + Quoted(command.admin));
  if (!command.workers.empty()) overrides.push_back("workers=" + command.workers);
  overrides.insert(overrides.end(), command.overrides.begin(), command.overrides.end());
  return overrides;
}

std::string HowToStop(const DrainConfig& drain) {
  std::string text = "stop with Ctrl-C: it drains";
  if (drain.propagation_delay > Duration::zero()) {
    text += ", serving " + FormatDuration(drain.propagation_delay) +
            " more while load balancers look away";
  }
  return text + ", then requests in flight have " + FormatDuration(drain.deadline) +
         " to finish; twice stops at once";
}

// Also to the process that is to be replaced, which serves on.
int Refuse(const Error& error, const Terminal& terminal) {
  terminal.Error(error.message);
  Succession::Refuse(error.message);
  return kExitUsage;
}

}  // namespace

Result<ServeOptions> MakeServeOptions(const ServeCommand& command, const Terminal& terminal) {
  std::vector<std::string> overrides = Overrides(command);
  ServeOptions options;
  if (!command.config_file.empty()) {
    options.source = {.file = command.config_file, .overrides = std::move(overrides)};
    auto config = LoadConfig(options.source);
    if (!config) return tl::unexpected(config.error());
    options.config = std::move(*config);
    return options;
  }
  // Somebody tries it out: lines for a person. First, so that --set can say otherwise.
  if (terminal.interactive) overrides.insert(overrides.begin(), "log.format=text");
  if (command.to.empty()) {
    options.embedded_origin_for = kCluster;
  } else {
    const auto endpoint = EndpointOfUrl(command.to);
    if (!endpoint) return tl::unexpected(endpoint.error());
    overrides.insert(overrides.begin(), "clusters.0.endpoints=[" + Quoted(*endpoint) + "]");
  }
  auto config = ParseConfig(kOneService, "built-in configuration", overrides);
  if (!config) return tl::unexpected(config.error());
  options.config = std::move(*config);
  return options;
}

int RunServe(const ServeCommand& command, const Terminal& terminal) {
  auto options = MakeServeOptions(command, terminal);
  if (!options) return Refuse(options.error(), terminal);
  const auto tls_warnings = CheckTls(options->config, std::chrono::system_clock::now());
  if (!tls_warnings) return Refuse(tls_warnings.error(), terminal);
  std::vector<std::string> warnings = CheckConfig(options->config);
  warnings.insert(warnings.end(), tls_warnings->begin(), tls_warnings->end());
  const std::string how_to_stop = HowToStop(options->config.drain);
  // With a JSON log on the same stream, only a person may be greeted.
  const bool greet = terminal.interactive || options->config.log.format == LogFormat::kText;

  options->program = ProgramOf(command.arguments);
  options->takeover_path = command.takeover;
  auto server = Server::Create(std::move(*options));
  if (!server) {
    terminal.Error(server.error().message);
    return kExitFailure;
  }
  for (const std::string& warning : warnings) {
    LogEvent(Level::kWarning, "config_warning", {{"warning", warning}});
  }
  if (greet) {
    for (const std::string& line : (*server)->Describe()) terminal.err << line << '\n';
    terminal.err << how_to_stop << std::endl;
  }
  return (*server)->Run();
}

}  // namespace sluice
