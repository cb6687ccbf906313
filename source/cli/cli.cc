#include "cli/cli.h"

#include <chrono>
#include <string>
#include <thread>
#include <variant>

#include "cli/admin_client.h"
#include "cli/check_command.h"
#include "cli/drain_command.h"
#include "cli/init_process.h"
#include "cli/reload_command.h"
#include "cli/restart_command.h"
#include "cli/serve_command.h"
#include "cli/status_command.h"

namespace sluice {
namespace {

// How often `sluice drain --wait` looks.
constexpr std::chrono::milliseconds kPause{200};

// The new process has restart.timeout to become ready, which bounds the wait.
constexpr std::chrono::hours kRestartPatience{1};

AdminCaller AdminAt(const std::string& address,
                    std::chrono::milliseconds patience = std::chrono::seconds(5)) {
  return [address, patience](std::string_view method, std::string_view path) {
    return CallAdmin(address, method, path, patience);
  };
}

struct Runner {
  const Terminal& terminal;

  int operator()(const ServeCommand& command) const {
    const auto serve = [&] { return RunServe(command, terminal); };
    return IsInitProcess() ? RunAsInit(serve) : serve();
  }
  int operator()(const CheckCommand& command) const { return RunCheck(command, terminal); }
  int operator()(const DrainCommand& command) const {
    return RunDrain(
        command, AdminAt(command.admin), [] { std::this_thread::sleep_for(kPause); }, terminal);
  }
  int operator()(const RestartCommand& command) const {
    return RunRestart(AdminAt(command.admin, kRestartPatience), terminal);
  }
  int operator()(const ReloadCommand& command) const {
    return RunReload(AdminAt(command.admin), terminal);
  }
  int operator()(const StatusCommand& command) const {
    return RunStatus(command, AdminAt(command.admin), terminal);
  }
};

}  // namespace

int RunCommand(const Command& command, const Terminal& terminal) {
  return std::visit(Runner{terminal}, command);
}

}  // namespace sluice
