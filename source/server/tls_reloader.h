// Keeps what TLS reads from files up to date without a restart: certificates, keys, CAs, and the
// keys of session tickets.
//
// It looks at the files every `tls.reload_interval`, and reads again what has changed, once the
// change has stood still for one interval: a certificate and its key are seldom replaced in the
// same instant. Files that cannot be used change nothing but a counter and the log.
//
// Control thread only.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "admin/admin_sources.h"
#include "base/metrics.h"
#include "base/timer_queue.h"
#include "server/snapshot.h"
#include "sluice/loop.h"

namespace sluice {

class TlsReloader {
 public:
  // Carry a new context to every worker; by place in the configuration.
  struct Publish {
    std::function<void(size_t listener, std::shared_ptr<const TlsServerContext>)> to_listener;
    std::function<void(size_t cluster, std::shared_ptr<const TlsClientContext>)> to_cluster;
  };

  // `loop` and `shard` must outlive it.
  TlsReloader(Loop& loop, std::shared_ptr<const Snapshot> snapshot, Publish publish,
              MetricShard& shard);
  ~TlsReloader();
  TlsReloader(const TlsReloader&) = delete;
  TlsReloader& operator=(const TlsReloader&) = delete;

  // False when nothing in the configuration has TLS.
  bool has_work() const { return !parts_.empty(); }

  // Another configuration is in force, whose files have just been read.
  void Use(std::shared_ptr<const Snapshot> snapshot);

  // Reads every file again, whether it has changed or not; says how that went.
  TlsReport Reload();

  // What is in use.
  TlsReport Report() const;

 private:
  class Part;
  class ListenerPart;
  class ClusterPart;

  void Look();
  // When the keys of a listener that stays are to be changed next; kNever when it is new.
  TimePoint RotationDue(const TlsTicketKeys* keys) const;

  Loop& loop_;
  std::shared_ptr<const Snapshot> snapshot_;
  const Publish publish_;
  MetricShard& shard_;
  Timer look_;
  std::vector<std::unique_ptr<Part>> parts_;
};

}  // namespace sluice
