#include "admin/reload_json.h"

#include <fmt/chrono.h>

#include <nlohmann/json.hpp>

namespace sluice {
namespace {

using Json = nlohmann::ordered_json;

std::string_view ResultName(ReloadReport::Result result) {
  switch (result) {
    case ReloadReport::Result::kNone:
      return "never";
    case ReloadReport::Result::kChanged:
      return "changed";
    case ReloadReport::Result::kUnchanged:
      return "unchanged";
    case ReloadReport::Result::kRefused:
      return "refused";
    case ReloadReport::Result::kNotNow:
      return "not_now";
  }
  return "";
}

Json ChangeJson(const ConfigChange& change) {
  Json json = {{"what", ConfigChangeName(change.kind)}, {"path", change.path}};
  if (change.kind == ConfigChange::Kind::kChanged) {
    json["before"] = change.before;
    json["after"] = change.after;
  }
  return json;
}

}  // namespace

std::string ReloadJson(const ReloadReport& report) {
  Json json = {{"result", ResultName(report.result)}, {"generation", report.generation}};
  if (report.result != ReloadReport::Result::kNone) {
    const auto at = std::chrono::system_clock::to_time_t(report.at);
    json["cause"] = report.cause;
    json["at"] = fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(at));
  }
  if (!report.error.empty()) json["error"] = report.error;
  json["changes"] = Json::array();
  json["at_restart"] = Json::array();
  for (const ConfigChange& change : report.diff) {
    json[change.at_restart ? "at_restart" : "changes"].push_back(ChangeJson(change));
  }
  return json.dump(2, ' ', false, Json::error_handler_t::replace);
}

}  // namespace sluice
