#include "cli/status_command.h"

#include <fmt/format.h>

#include <cmath>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <vector>

#include "lifecycle/exit_code.h"

namespace sluice {
namespace {

using Json = nlohmann::ordered_json;

Json Parse(const std::string& document) {
  Json json = Json::parse(document, nullptr, /*allow_exceptions=*/false);
  return json.is_object() ? json : Json::object();
}

// The value at `pointer`, or `otherwise` when it is missing or of another type: a newer process may
// say things differently, and its status must still be readable.
template <typename T>
T Get(const Json& json, const char* pointer, T otherwise) {
  const Json::json_pointer at(pointer);
  if (!json.contains(at)) return otherwise;
  const Json& value = json.at(at);
  if constexpr (std::is_same_v<T, std::string>) {
    return value.is_string() ? value.get<T>() : otherwise;
  } else {
    return value.is_number() ? value.get<T>() : otherwise;
  }
}

// "3 (http1 2, tunnel 1)"
std::string InFlight(const Json& json) {
  std::string text = std::to_string(Get<uint64_t>(json, "/in_flight/total", 0));
  std::string parts;
  const Json::json_pointer at("/in_flight/by_protocol");
  if (json.contains(at) && json.at(at).is_object()) {
    for (const auto& [protocol, count] : json.at(at).items()) {
      parts += (parts.empty() ? "" : ", ") + protocol + " " + count.dump();
    }
  }
  return parts.empty() ? text : text + " (" + parts + ")";
}

std::string SlowestText(const Json& json) {
  const Json::json_pointer at("/stragglers/0");
  if (!json.contains(at)) return "";
  const Json& slowest = json.at(at);
  return fmt::format("{} from {}, {}, waiting for {}", Get<std::string>(slowest, "/route", "?"),
                     Get<std::string>(slowest, "/peer", "?"),
                     HumanDuration(Get(slowest, "/age_seconds", 0.0)),
                     Get<std::string>(slowest, "/waiting_for", "?"));
}

std::vector<PartStatus> Parts(const Json& json) {
  std::vector<PartStatus> parts;
  const Json::json_pointer at("/parts");
  if (!json.contains(at) || !json.at(at).is_array()) return parts;
  for (const Json& entry : json.at(at)) {
    if (!entry.is_object()) continue;
    PartStatus& part = parts.emplace_back();
    for (const char* scope : {"listener", "route", "cluster", "endpoint"}) {
      if (!entry.contains(scope)) continue;
      part.scope = scope;
      part.name = Get<std::string>(entry, (std::string("/") + scope).c_str(), "?");
    }
    part.drained = Get<std::string>(entry, "/state", "") == "drained";
    part.absent = entry.contains("absent");
    part.seconds = Get(entry, "/seconds", 0.0);
    part.in_flight = Get<uint64_t>(entry, "/in_flight", 0);
    part.connections = Get<uint64_t>(entry, "/connections", 0);
    part.cut = Get<uint64_t>(entry, "/cut", 0);
  }
  return parts;
}

std::string StateOf(const PartStatus& part) {
  return fmt::format("{} {}: {}", part.scope, part.name, part.drained ? "drained" : "draining");
}

// What is left of it, and what was cut.
std::string RestOf(const PartStatus& part) {
  std::string text;
  if (!part.drained) text += fmt::format(", {} in flight", part.in_flight);
  if (!part.drained && part.connections > 0) {
    text += fmt::format(", {} connections", part.connections);
  }
  if (part.cut > 0) text += fmt::format(", {} cut", part.cut);
  if (part.absent) text += ", not in DNS now";
  return text;
}

}  // namespace

std::optional<PartStatus> FindPart(const std::string& document, const std::string& scope,
                                   const std::string& name) {
  for (const PartStatus& part : Parts(Parse(document))) {
    if (part.scope == scope && part.name == name) return part;
  }
  return std::nullopt;
}

std::string PartLine(const PartStatus& part) { return StateOf(part) + RestOf(part); }

std::string HumanDuration(double seconds) {
  if (seconds < 0.9995) return fmt::format("{}ms", std::llround(seconds * 1000));
  if (seconds < 59.95) return fmt::format("{:.1f}s", seconds);
  const auto whole = std::llround(seconds);
  if (whole < 3600) return fmt::format("{}m{:02}s", whole / 60, whole % 60);
  if (whole < 86400) return fmt::format("{}h{:02}m", whole / 3600, whole / 60 % 60);
  return fmt::format("{}d{}h", whole / 86400, whole / 3600 % 24);
}

std::string StatusText(const std::string& document, bool colours) {
  const Json json = Parse(document);
  std::string text;
  const auto line = [&](std::string_view name, const std::string& value) {
    if (!value.empty()) text += fmt::format("{:<12} {}\n", name, value);
  };
  const auto phase = Get<std::string>(json, "/phase", "unknown");
  line("phase", Coloured(phase == "ready" ? Colour::kGreen : Colour::kYellow, phase, colours) +
                    ", for " + HumanDuration(Get(json, "/phase_seconds", 0.0)));
  line("in flight", InFlight(json));
  line("connections", std::to_string(Get<uint64_t>(json, "/connections", 0)));
  if (json.contains("stale")) line("note", "the workers did not answer in time; this may be old");
  for (const PartStatus& part : Parts(json)) {
    line("part", StateOf(part) + " for " + HumanDuration(part.seconds) + RestOf(part));
  }
  const auto trigger = Get<std::string>(json, "/trigger", "");
  if (trigger.empty()) return text;

  line("drain",
       "begun by " + trigger + ", " + HumanDuration(Get(json, "/duration_seconds", 0.0)) + " ago");
  line("at start",
       std::to_string(Get<uint64_t>(json, "/in_flight_at_start/total", 0)) + " in flight");
  line("finished", std::to_string(Get<uint64_t>(json, "/finished", 0)));
  const uint64_t cut = CutCount(document);
  line("cut", Coloured(cut == 0 ? Colour::kGreen : Colour::kRed, std::to_string(cut), colours));
  line("slowest", SlowestText(json));
  return text;
}

std::string StatusLine(const std::string& document) {
  const Json json = Parse(document);
  std::string text =
      Get<std::string>(json, "/phase", "unknown") + ", " + InFlight(json) + " in flight";
  if (const uint64_t cut = CutCount(document); cut != 0) {
    text += ", " + std::to_string(cut) + " cut";
  }
  return text;
}

uint64_t CutCount(const std::string& document) {
  return Get<uint64_t>(Parse(document), "/cut/total", 0);
}

int RunStatus(const StatusCommand& command, const AdminCaller& admin, const Terminal& terminal) {
  const AdminResult answer = admin("GET", "/drain");
  if (!answer) {
    terminal.Error(answer.error().message);
    return kExitFailure;
  }
  if (answer->status != 200) {
    terminal.Error(AdminErrorText(*answer));
    return kExitFailure;
  }
  terminal.out << (command.json ? answer->body : StatusText(answer->body, terminal.out_colours));
  return kExitOk;
}

}  // namespace sluice
