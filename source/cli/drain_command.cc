#include "cli/drain_command.h"

#include <cctype>
#include <string>
#include <string_view>
#include <utility>

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

// The path of /drain for the part that is asked for.
std::string PartPath(const DrainCommand& command) {
  static constexpr char kHex[] = "0123456789ABCDEF";
  std::string path = "/drain?" + command.scope + "=";
  for (const char c : command.name) {
    const auto byte = static_cast<unsigned char>(c);
    if (std::isalnum(byte) != 0 || std::string_view("-._~/:[]").find(c) != std::string_view::npos) {
      path += c;
    } else {
      path.append({'%', kHex[byte >> 4], kHex[byte & 15]});
    }
  }
  return path;
}

// Follows the drain of a part, beginning with `document`, until nothing is left of it.
int FollowPart(const DrainCommand& command, std::string document, const AdminCaller& admin,
               const std::function<void()>& pause, const Terminal& terminal) {
  std::string shown;
  int silences = 0;
  for (;;) {
    const auto part = FindPart(document, command.scope, command.name);
    if (!part) {
      terminal.Error("the drain was taken back");
      return kExitFailure;
    }
    const std::string line = PartLine(*part);
    if (line != shown) terminal.out << line << std::endl;
    shown = line;
    if (part->drained) return part->cut == 0 ? kExitOk : kExitCut;
    AdminResult looked = tl::unexpected(AdminError{});
    do {
      pause();
      looked = admin("GET", "/drain");
      const bool silent = !looked && looked.error().kind != AdminError::Kind::kNotThere;
      silences = silent ? silences + 1 : 0;
    } while (silences > 0 && silences < kMaxSilences);
    if (!looked) {
      terminal.Error(looked.error().message);
      return kExitFailure;
    }
    document = std::move(looked->body);
  }
}

int RunPartDrain(const DrainCommand& command, const AdminCaller& admin,
                 const std::function<void()>& pause, const Terminal& terminal) {
  AdminResult asked = admin(command.undo ? "DELETE" : "POST", PartPath(command));
  if (!asked || asked->status != 200) {
    terminal.Error(asked ? AdminErrorText(*asked) : asked.error().message);
    return kExitFailure;
  }
  if (command.wait) return FollowPart(command, std::move(asked->body), admin, pause, terminal);
  const auto part = FindPart(asked->body, command.scope, command.name);
  terminal.out << (part ? PartLine(*part) : command.scope + " " + command.name + ": serves again")
               << '\n';
  return kExitOk;
}

}  // namespace

int RunDrain(const DrainCommand& command, const AdminCaller& admin,
             const std::function<void()>& pause, const Terminal& terminal) {
  if (!command.scope.empty()) return RunPartDrain(command, admin, pause, terminal);
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
