#include "cli/reload_command.h"

#include <nlohmann/json.hpp>
#include <string>

#include "lifecycle/exit_code.h"

namespace sluice {
namespace {

using Json = nlohmann::json;

constexpr int kRefusedStatus = 422;

std::string ChangeLine(const Json& change) {
  std::string line = change.value("what", "") + " " + change.value("path", "");
  if (change.contains("after")) {
    line += ": " + change.value("before", "") + " -> " + change.value("after", "");
  }
  return line;
}

void Print(const Json& changes, const std::string& after, const Terminal& terminal) {
  for (const Json& change : changes) terminal.out << "  " << ChangeLine(change) << after << '\n';
}

}  // namespace

int RunReload(const AdminCaller& admin, const Terminal& terminal) {
  const AdminResult asked = admin("POST", "/reload");
  if (!asked) {
    terminal.Error(asked.error().message);
    return kExitFailure;
  }
  if (asked->status != 200) {
    terminal.Error(AdminErrorText(*asked));
    return asked->status == kRefusedStatus ? kExitUsage : kExitFailure;
  }
  const Json report = Json::parse(asked->body, nullptr, /*allow_exceptions=*/false);
  if (!report.is_object()) {
    terminal.Error("the answer of the admin is no report of a reload");
    return kExitFailure;
  }
  const bool changed = report.value("result", "") == "changed";
  terminal.out << Coloured(Colour::kGreen, changed ? "reloaded" : "unchanged", terminal.out_colours)
               << ": generation " << report.value("generation", 0) << '\n';
  Print(report.value("changes", Json::array()), "", terminal);
  Print(report.value("at_restart", Json::array()), " (at the next restart)", terminal);
  return kExitOk;
}

}  // namespace sluice
