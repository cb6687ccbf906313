// Reads the configuration again and, when it is right as a whole, puts it in force.
//
//   file -> text -> Config -> diff -> Snapshot -> whatever else may fail -> every worker
//          refused, with its position: nothing has happened
//
// Control thread only.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "admin/admin_sources.h"
#include "base/metrics.h"
#include "config/loader.h"
#include "server/snapshot.h"
#include "sluice/loop.h"
#include "sluice/result.h"

namespace sluice {

class Reloader {
 public:
  struct Surroundings {
    Loop& loop;
    MetricShard& shard;
    ConfigSource source;                       // without a file nothing can be reloaded
    std::function<const Snapshot&()> present;  // in force
    // Fails with the reason while there must be no reload.
    std::function<Result<void>()> allowed;
    // Tries what can still fail, then goes over to `next`; `done` when every worker has. When it
    // fails nothing has changed, and `done` is not called.
    std::function<Result<void>(std::shared_ptr<const Snapshot> next, std::function<void()> done)>
        publish;
  };
  // The loop and the shard must outlive it.
  explicit Reloader(Surroundings surroundings);
  Reloader(const Reloader&) = delete;

  using Reply = std::function<void(const ReloadReport&)>;

  // Now. `cause` is a constant; `reply` may be empty, and may be called from here.
  void Reload(std::string_view cause, Reply reply);

  // As Reload, unless the file says what it said when it was last read.
  void OnFileChanged();

  // False when it was started without a file.
  bool has_source() const { return !around_.source.file.empty(); }

  const std::string& file() const { return around_.source.file; }

  // How the last one went.
  const ReloadReport& last() const { return last_; }

 private:
  Result<void> Try(ReloadReport* report, std::function<void()> done);
  MetricCell& Counter(const char* result);

  const Surroundings around_;
  std::string text_;  // of the file as it was last read here
  ReloadReport last_;
  MetricCell& reloaded_;
  MetricCell& refused_;
  MetricCell& successful_;
};

}  // namespace sluice
