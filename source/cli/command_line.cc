#include "cli/command_line.h"

#include <CLI/CLI.hpp>

#include "lifecycle/exit_code.h"
#include "sluice/version.h"

namespace sluice {
namespace {

constexpr char kFooter[] = R"(Examples:
  sluice serve                               try it: http://127.0.0.1:8080, a demonstration origin
  sluice serve --to http://127.0.0.1:3000    in front of a service
  sluice serve -c sluice.yaml                as a file says
  sluice check -c sluice.yaml                is the file right, and can its promises be kept?
  sluice status                              how is the running process?
  sluice reload                              read the configuration again
  sluice drain --wait                        drain it, and return when it is gone
  sluice restart                             a new version in its place: nobody notices

SIGTERM or Ctrl-C drain too; a second one cuts what is still in flight.
`sluice COMMAND --help` says more of each command.

Exit codes:
  0  done; after a drain: nothing was cut
  1  could not start, or could not reach the running process
  2  the command line or the configuration is wrong
  3  drained, but requests were cut: see the drain report in the log)";

constexpr char kHint[] = "try: sluice --help\n";

constexpr char kServeFooter[] =
    R"(Without --to and -c, requests go to a demonstration origin inside Sluice.
Options override the file; --set overrides both and can be given many times:
  --set drain.propagation_delay=0s --set access_log=off --set listeners.0.limits.connections=1000)";

constexpr char kDrainFooter[] =
    R"(/ready answers 503 at once. Requests are served for the propagation delay, so that load
balancers can look away; then listeners close, and what is in flight has until the deadline.

A part is drained at once, until --undo: a route or a cluster answers 503, an endpoint is not chosen,
a listener refuses connections. What is in flight there has until the deadline; the rest is served
as before, and /ready stays 200.
  sluice drain --endpoint 10.0.0.7:8080 --wait
  sluice drain --endpoint 10.0.0.7:8080 --undo)";

constexpr char kReloadFooter[] =
    R"(The file is checked as a whole. When something is wrong with it, it says where, nothing changes, and
the exit code is 2. What has not changed is not touched; what was removed is drained.)";

constexpr char kRestartFooter[] =
    R"(The new process is started with the arguments of the running one, reads the configuration
anew, and gets its listening sockets and its idle connections. Until it accepts, the running one
serves; if it cannot (a bad configuration, a crash), the running one goes on, and says why here.
SIGUSR2 does the same.)";

constexpr char kAdminHelp[] = "admin of the running process: HOST:PORT or unix:/PATH";

void AddOverrides(CLI::App* app, std::vector<std::string>* overrides) {
  app->add_option("--set", *overrides, "override one key of the configuration")
      ->type_name("KEY.PATH=VALUE")
      ->allow_extra_args(false);
}

CLI::App* AddServe(CLI::App* app, ServeCommand* command) {
  CLI::App* serve = app->add_subcommand("serve", "run the proxy");
  auto* file = serve->add_option("-c,--config", command->config_file, "configuration file (YAML)")
                   ->type_name("FILE");
  serve->add_option("--to", command->to, "service to front, e.g. http://127.0.0.1:3000")
      ->type_name("URL")
      ->excludes(file);
  serve->add_option("--listen", command->listen, "address of the first listener [127.0.0.1:8080]")
      ->type_name("ADDR");
  serve
      ->add_option("--admin", command->admin,
                   std::string("address of the admin [") + kDefaultAdmin + "]")
      ->type_name("ADDR");
  serve
      ->add_option("--workers", command->workers,
                   "worker threads [one for each CPU the process may use]")
      ->type_name("N");
  AddOverrides(serve, &command->overrides);
  serve
      ->add_option("--takeover", command->takeover,
                   "take over from the process whose restart.socket this is, if it runs")
      ->type_name("PATH");
  serve->footer(kServeFooter);
  return serve;
}

CLI::App* AddCheck(CLI::App* app, CheckCommand* command) {
  CLI::App* check =
      app->add_subcommand("check", "read a configuration, and say what is wrong or cannot be kept");
  check->add_option("-c,--config", command->config_file, "configuration file (YAML)")
      ->type_name("FILE")
      ->required();
  AddOverrides(check, &command->overrides);
  check->add_flag("--strict", command->strict, "exit 2 on warnings, too");
  return check;
}

CLI::App* AddDrain(CLI::App* app, DrainCommand* command) {
  CLI::App* drain =
      app->add_subcommand("drain", "drain the running process, without losing a request");
  drain->add_option("--admin", command->admin, kAdminHelp)
      ->type_name("ADDR")
      ->capture_default_str();
  auto* wait = drain->add_flag("--wait", command->wait,
                               "return when the process is gone, or the part is drained; exit 3 "
                               "if requests were cut");
  drain
      ->add_flag("--undo", command->undo,
                 "take a drain back, as long as its propagation delay lasts; a part serves again")
      ->excludes(wait);
  auto* part = drain->add_option_group("Part", "drain only a part of what is served");
  for (const std::string scope : {"listener", "route", "cluster", "endpoint"}) {
    const auto take = [command, scope](const std::string& name) {
      command->scope = scope;
      command->name = name;
    };
    part->add_option_function<std::string>("--" + scope, take, "only this " + scope)
        ->type_name(scope == "endpoint" ? "ADDR" : "NAME");
  }
  part->require_option(0, 1);
  drain->footer(kDrainFooter);
  return drain;
}

CLI::App* AddReload(CLI::App* app, ReloadCommand* command) {
  CLI::App* reload = app->add_subcommand(
      "reload", "have the running process read its configuration again, and say what changed");
  reload->add_option("--admin", command->admin, kAdminHelp)
      ->type_name("ADDR")
      ->capture_default_str();
  reload->footer(kReloadFooter);
  return reload;
}

CLI::App* AddRestart(CLI::App* app, RestartCommand* command) {
  CLI::App* restart = app->add_subcommand(
      "restart",
      "start the program anew in place of the running process, without losing a request");
  restart->add_option("--admin", command->admin, kAdminHelp)
      ->type_name("ADDR")
      ->capture_default_str();
  restart->footer(kRestartFooter);
  return restart;
}

CLI::App* AddStatus(CLI::App* app, StatusCommand* command) {
  CLI::App* status =
      app->add_subcommand("status", "how the running process is: phase, what is in flight");
  status->add_option("--admin", command->admin, kAdminHelp)
      ->type_name("ADDR")
      ->capture_default_str();
  status->add_flag("--json", command->json, "the whole document, for programs");
  return status;
}

}  // namespace

tl::expected<Command, int> ParseCommandLine(int argc, const char* const* argv,
                                            const Terminal& terminal) {
  CLI::App app("Sluice: a reverse proxy that can be stopped without anybody noticing.", "sluice");
  app.footer(kFooter);
  app.set_version_flag("--version", std::string("sluice ") + kVersion + " (" + kRevision + ")",
                       "print the version");
  // Not "required": CLI11 would then complain of a missing command where one is misspelt.
  app.require_subcommand(0, 1);
  ServeCommand serve;
  CheckCommand check;
  DrainCommand drain;
  ReloadCommand reload;
  StatusCommand status;
  const CLI::App* serve_app = AddServe(&app, &serve);
  const CLI::App* check_app = AddCheck(&app, &check);
  const CLI::App* drain_app = AddDrain(&app, &drain);
  const CLI::App* reload_app = AddReload(&app, &reload);
  RestartCommand restart;
  const CLI::App* restart_app = AddRestart(&app, &restart);
  const CLI::App* status_app = AddStatus(&app, &status);

  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& asked) {  // --help, --version
    return tl::unexpected(app.exit(asked, terminal.out, terminal.err));
  } catch (const CLI::ParseError& mistake) {
    terminal.Error(mistake.what());
    terminal.err << kHint;
    return tl::unexpected(kExitUsage);
  }
  if (serve_app->parsed()) {
    serve.arguments.assign(argv, argv + argc);
    return Command(std::move(serve));
  }
  if (check_app->parsed()) return Command(std::move(check));
  if (drain_app->parsed()) return Command(std::move(drain));
  if (reload_app->parsed()) return Command(std::move(reload));
  if (restart_app->parsed()) return Command(std::move(restart));
  if (status_app->parsed()) return Command(std::move(status));
  terminal.Error("a command is missing: serve, check, drain, reload, restart or status");
  terminal.err << kHint;
  return tl::unexpected(kExitUsage);
}

}  // namespace sluice
