#include "server/reloader.h"

#include <utility>

#include "base/log.h"
#include "config/checker.h"

namespace sluice {
namespace {

using Outcome = ReloadReport::Result;

// A change of everything must not fill the log; the admin has it all.
constexpr size_t kMaxChangesLogged = 20;

std::string InWords(const ConfigDiff& diff, bool at_restart) {
  std::string text;
  size_t count = 0;
  for (const ConfigChange& change : diff) {
    if (change.at_restart != at_restart) continue;
    if (++count > kMaxChangesLogged) continue;
    if (!text.empty()) text += ", ";
    text.append(ConfigChangeName(change.kind)).append(" ").append(change.path);
  }
  if (count > kMaxChangesLogged) {
    text += ", and " + std::to_string(count - kMaxChangesLogged) + " more";
  }
  return text;
}

void Log(const ReloadReport& report) {
  if (!report.error.empty()) {
    LogEvent(Level::kError, "reload_refused",
             {{"cause", report.cause},
              {"reason", report.error},
              {"effect", "the configuration in force stays in force"}});
    return;
  }
  LogEvent(Level::kInfo, "reloaded",
           {{"cause", report.cause},
            {"generation", report.generation},
            {"changes", InWords(report.diff, false)}});
  if (const std::string waiting = InWords(report.diff, true); !waiting.empty()) {
    LogEvent(Level::kWarning, "reload_needs_restart",
             {{"changes", waiting}, {"effect", "they take effect at the next restart"}});
  }
}

}  // namespace

Reloader::Reloader(Surroundings surroundings)
    : around_(std::move(surroundings)),
      reloaded_(Counter("ok")),
      refused_(Counter("error")),
      successful_(around_.shard.Gauge("sluice_config_last_reload_successful",
                                      "1 unless the last reload of the configuration was "
                                      "refused.")) {
  successful_.Set(1);
  last_.generation = around_.present().generation;
}

MetricCell& Reloader::Counter(const char* result) {
  return around_.shard.Counter("sluice_config_reload_total",
                               "Times that the configuration was to be read again.",
                               {{"result", result}});
}

void Reloader::Reload(std::string_view cause, Reply reply) {
  auto report = std::make_shared<ReloadReport>();
  report->cause = cause;
  report->at = around_.loop.WallNow();
  const auto done = [report, reply = std::move(reply)] {
    if (reply) reply(*report);
  };
  const Result<void> tried = Try(report.get(), done);
  report->generation = around_.present().generation;
  if (!tried) {
    report->error = tried.error().message;
    report->diff.clear();
  }
  last_ = *report;
  (tried ? reloaded_ : refused_).Add();
  successful_.Set(tried ? 1 : 0);
  Log(*report);
  if (!tried) done();
}

void Reloader::OnFileChanged() {
  const auto text = ReadConfigFile(around_.source.file);
  if (!text || *text != text_) Reload("file", {});
}

Result<void> Reloader::Try(ReloadReport* report, std::function<void()> done) {
  report->result = Outcome::kNotNow;
  if (!has_source()) {
    return Fail("it was started without a configuration file: there is nothing to reload");
  }
  if (auto allowed = around_.allowed(); !allowed) return allowed;
  report->result = Outcome::kRefused;
  auto text = ReadConfigFile(around_.source.file);
  if (!text) return tl::unexpected(text.error());
  text_ = *std::move(text);
  auto config = ParseConfig(text_, around_.source.file, around_.source.overrides);
  if (!config) return tl::unexpected(config.error());
  const Snapshot& present = around_.present();
  KeepDiscovered(present.config, &*config);
  report->diff = DiffConfigs(present.config, *config);
  for (const std::string& warning : CheckConfig(*config)) {
    LogEvent(Level::kWarning, "config_warning", {{"warning", warning}});
  }
  KeepUntilRestart(present.config, &*config);
  // Also when nothing has changed: certificates are read anew.
  auto next = BuildSnapshot(*std::move(config), &present);
  if (!next) return tl::unexpected(next.error());
  if (auto published = around_.publish(*next, std::move(done)); !published) return published;
  report->result = report->diff.empty() ? Outcome::kUnchanged : Outcome::kChanged;
  return {};
}

}  // namespace sluice
