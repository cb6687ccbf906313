#include "lifecycle/drain_report.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>

namespace sluice {
namespace {

using Json = nlohmann::ordered_json;

// In whole microseconds: more digits say nothing.
double Seconds(Duration duration) {
  return std::round(std::chrono::duration<double, std::micro>(duration).count()) / 1e6;
}

std::string Iso8601(WallTime time) {
  const auto milliseconds = std::chrono::floor<std::chrono::milliseconds>(time);
  const auto seconds = std::chrono::floor<std::chrono::seconds>(time);
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z",
                     fmt::gmtime(std::chrono::system_clock::to_time_t(seconds)),
                     (milliseconds - seconds).count());
}

uint64_t Total(const InFlight& counts) {
  uint64_t total = 0;
  for (uint64_t count : counts) total += count;
  return total;
}

Json ByProtocol(const InFlight& counts) {
  Json json = Json::object();
  for (size_t i = 0; i < kProtocolCount; ++i) {
    if (counts[i] != 0) json[std::string(ProtocolName(static_cast<Protocol>(i)))] = counts[i];
  }
  return json;
}

Json InFlightJson(const InFlight& counts,
                  const std::vector<std::pair<std::string, uint64_t>>& by_route) {
  Json routes = Json::object();
  for (const auto& [route, count] : by_route) routes[route] = count;
  return {{"total", Total(counts)}, {"by_protocol", ByProtocol(counts)}, {"by_route", routes}};
}

Json CutJson(const CutCounts& cut) {
  Json by_protocol = Json::object();
  uint64_t total = 0;
  for (size_t reason = 0; reason < kCutReasonCount; ++reason) {
    for (size_t i = 0; i < kProtocolCount; ++i) {
      if (cut[reason][i] == 0) continue;
      total += cut[reason][i];
      by_protocol[std::string(ProtocolName(static_cast<Protocol>(i)))]
                 [std::string(CutReasonName(static_cast<CutReason>(reason)))] = cut[reason][i];
    }
  }
  return {{"total", total}, {"by_protocol", by_protocol}};
}

Json PhasesJson(const std::vector<PhaseRecord>& phases) {
  Json json = Json::array();
  for (const PhaseRecord& record : phases) {
    json.push_back({{"phase", PhaseName(record.phase)},
                    {"duration_seconds", Seconds(record.duration)},
                    {"budget_seconds", Seconds(record.budget)},
                    {"overrun", record.overrun}});
  }
  return json;
}

// The slowest first: that is the one whose route needs a look.
Json StragglersJson(std::vector<Straggler> stragglers) {
  std::stable_sort(stragglers.begin(), stragglers.end(),
                   [](const Straggler& a, const Straggler& b) { return a.age > b.age; });
  Json json = Json::array();
  for (const Straggler& straggler : stragglers) {
    json.push_back({{"protocol", ProtocolName(straggler.protocol)},
                    {"listener", straggler.listener},
                    {"route", straggler.route},
                    {"peer", straggler.peer},
                    {"age_seconds", Seconds(straggler.age)},
                    {"bytes_in", straggler.bytes_in},
                    {"bytes_out", straggler.bytes_out},
                    {"waiting_for", straggler.waiting_for}});
  }
  return json;
}

Json PartsJson(const std::vector<PartReport>& parts) {
  Json json = Json::array();
  for (const PartReport& part : parts) {
    const PartProgress& progress = part.progress;
    Json entry = {{PartKindName(progress.part.kind), progress.part.name},
                  {"state", part.state == PartState::kDrained ? "drained" : "draining"},
                  {"seconds", Seconds(part.age)},
                  {"in_flight", progress.in_flight},
                  {"told", progress.told},
                  {"left", progress.left},
                  {"cut", progress.cut_total()}};
    if (progress.part.kind == PartKind::kListener) entry["connections"] = progress.connections;
    if (part.absent) entry["absent"] = true;
    json.push_back(std::move(entry));
  }
  return json;
}

}  // namespace

std::string_view DrainTriggerName(DrainTrigger trigger) {
  switch (trigger) {
    case DrainTrigger::kSigterm:
      return "sigterm";
    case DrainTrigger::kSigint:
      return "sigint";
    case DrainTrigger::kAdmin:
      return "admin";
    case DrainTrigger::kCli:
      return "cli";
    case DrainTrigger::kPrestop:
      return "prestop";
    case DrainTrigger::kSelfCheck:
      return "self_check";
    case DrainTrigger::kHandOver:
      return "hand_over";
  }
  return "";
}

uint64_t DrainReport::cut_total() const {
  uint64_t total = 0;
  for (const InFlight& counts : cut) total += Total(counts);
  return total;
}

std::string DrainReportJson(const DrainReport& report, int indent) {
  Json json;
  json["phase"] = PhaseName(report.phase);
  json["phase_seconds"] = Seconds(report.phase_age);
  json["trigger"] = report.trigger ? Json(DrainTriggerName(*report.trigger)) : Json();
  json["in_flight"] = InFlightJson(report.progress.in_flight, report.progress.in_flight_by_route);
  json["connections"] = report.progress.connections;
  if (report.stale) json["stale"] = true;
  if (report.parts) json["parts"] = PartsJson(*report.parts);
  if (report.trigger) {
    json["started"] = Iso8601(report.started);
    json["duration_seconds"] = Seconds(report.duration);
    json["phases"] = PhasesJson(report.phases);
    json["in_flight_at_start"] =
        InFlightJson(report.in_flight_at_start, report.in_flight_at_start_by_route);
    json["finished"] = report.progress.finished;
    json["told"] = report.progress.told;
    json["moved"] = report.progress.moved;
    json["long_lived"] = {{"told", report.progress.streams_told},
                          {"left", report.progress.streams_left},
                          {"lost", report.progress.streams_lost}};
    json["cut"] = CutJson(report.cut);
    json["stragglers"] = StragglersJson(report.progress.stragglers);
    json["grace_period_seconds"] = Seconds(report.grace_period);
    json["fits_grace_period"] = report.fits_grace_period();
  }
  // A name that is not UTF-8 must not cost the report.
  return json.dump(indent, ' ', false, Json::error_handler_t::replace);
}

Result<void> WriteFileAtomically(const std::string& path, std::string_view text) {
  // The process id keeps two generations of Sluice that share a path out of each other's file.
  const std::string temporary = fmt::format("{}.{}.tmp", path, getpid());
  const auto fail = [&] {
    const int error = errno;
    std::remove(temporary.c_str());
    return Fail(fmt::format("cannot write {}: {}", path, std::strerror(error)));
  };
  errno = 0;
  std::ofstream file(temporary, std::ios::binary | std::ios::trunc);
  file.write(text.data(), static_cast<std::streamsize>(text.size()));
  file.close();
  if (!file) return fail();
  if (std::rename(temporary.c_str(), path.c_str()) != 0) return fail();
  return {};
}

}  // namespace sluice
