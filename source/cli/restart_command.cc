#include "cli/restart_command.h"

#include <nlohmann/json.hpp>
#include <string>

#include "lifecycle/exit_code.h"

namespace sluice {

int RunRestart(const AdminCaller& admin, const Terminal& terminal) {
  const AdminResult answer = admin("POST", "/restart");
  if (!answer) {
    terminal.Error(answer.error().message);
    return kExitFailure;
  }
  if (answer->status != 200) {
    terminal.Error("not restarted, and the running process serves on: " + AdminErrorText(*answer));
    return kExitFailure;
  }
  const auto json = nlohmann::json::parse(answer->body, nullptr, /*allow_exceptions=*/false);
  const auto pid = [&](const char* name) {
    return json.is_object() && json.contains(name) ? json[name].dump() : std::string("?");
  };
  terminal.out << "process " << pid("pid") << " has taken over from " << pid("previous_pid")
               << ", which drains" << std::endl;
  return kExitOk;
}

}  // namespace sluice
