#include "cli/drain_command.h"

#include <string>

#include "cli/status_command.h"
#include "lifecycle/exit_code.h"

namespace sluice {
namespace {

// A process that is this many times silent in a row is not draining, it hangs.
constexpr int kMaxSilences = 5;

int Follow(const AdminCaller& admin, const std::function<void()>& pause, const Terminal& terminal) {
  std::string shown;
  uint64_t cut = 0;
  int silences = 0;
  for (;;) {
    const AdminResult looked = admin("GET", "/drain");
    if (looked) {
      silences = 0;
      cut = CutCount(looked->body);
      const std::string line = StatusLine(looked->body);
      if (line != shown) terminal.out << line << std::endl;
      if (line.starts_with("ready")) {
        terminal.Error("the drain was taken back");
        return kExitFailure;
      }
      shown = line;
    } else if (looked.error().kind == AdminError::Kind::kNotThere) {
      break;
    } else if (++silences == kMaxSilences) {
      terminal.Error(looked.error().message);
      return kExitFailure;
    }
    pause();
  }
  if (cut == 0) {
    terminal.out << Coloured(Colour::kGreen, "drained", terminal.out_colours)
                 << ": the process is gone\n";
    return kExitOk;
  }
  terminal.out << Coloured(Colour::kYellow, "gone", terminal.out_colours) << ": " << cut
               << " in flight were cut; the drain report in its log says which\n";
  return kExitCut;
}

}  // namespace

int RunDrain(const DrainCommand& command, const AdminCaller& admin,
             const std::function<void()>& pause, const Terminal& terminal) {
  const AdminResult asked =
      command.undo ? admin("DELETE", "/drain") : admin("POST", "/drain?trigger=cli");
  if (!asked) {
    terminal.Error(asked.error().message);
    return kExitFailure;
  }
  if (asked->status != 200) {
    terminal.Error(AdminErrorText(*asked));
    return kExitFailure;
  }
  if (command.wait) return Follow(admin, pause, terminal);
  terminal.out << StatusLine(asked->body) << '\n';
  return kExitOk;
}

}  // namespace sluice
