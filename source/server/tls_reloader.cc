#include "server/tls_reloader.h"

#include <sys/stat.h>

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "server/tls_setup.h"

namespace sluice {
namespace {

// What tells that a file is another one, or has another content. A symbolic link is followed, so a
// swap of the directory behind it is seen (Kubernetes' ..data).
struct Stamp {
  dev_t device = 0;
  ino_t inode = 0;
  off_t size = 0;
  int64_t seconds = 0;
  int64_t nanoseconds = 0;
  bool operator==(const Stamp&) const = default;
};

Stamp StampOf(const std::string& file) {
  struct stat status {};
  if (stat(file.c_str(), &status) != 0) return {};
  return {status.st_dev, status.st_ino, status.st_size, status.st_mtim.tv_sec,
          status.st_mtim.tv_nsec};
}

void AddFile(const std::string& file, std::vector<std::string>* files) {
  if (!file.empty()) files->push_back(file);
}

TlsReport::Certificate Described(const TlsCertificateInfo& info) {
  return {info.file, info.subject, info.names, info.not_after};
}

}  // namespace

// A listener or a cluster with TLS.
class TlsReloader::Part {
 public:
  Part(TlsReloader& owner, std::string where, std::vector<std::string> files)
      : owner_(owner),
        where_(std::move(where)),
        files_(std::move(files)),
        reloaded_(Counter("ok")),
        failed_(Counter("error")),
        seen_(Look()),
        used_(seen_) {}
  virtual ~Part() = default;

  // True when the files are others than those in use, and have not changed since the last call.
  bool Changed() {
    std::vector<Stamp> now = Look();
    const bool still = now == seen_;
    seen_ = std::move(now);
    return still && seen_ != used_;
  }

  // They were, for a new configuration.
  void NoteReload() {
    reloaded_.Add();
    LogEvent(Level::kInfo, "tls_reloaded", {{"where", where_}});
  }

  TlsReport::Entry Reload() {
    used_ = seen_ = Look();
    const auto done = Read();
    TlsReport::Entry entry = Report();
    if (done) {
      NoteReload();
    } else {
      failed_.Add();
      entry.error = done.error().message;
      LogEvent(Level::kWarning, "tls_reload_failed",
               {{"reason", entry.error}, {"effect", "what was in use stays in use"}});
    }
    return entry;
  }

  // Of a listener: the keys of its tickets, and when they are changed next.
  virtual const TlsTicketKeys* keys() const { return nullptr; }
  virtual TimePoint rotation_due() const { return kNever; }

  TlsReport::Entry Report() const { return {where_, Certificates(), {}}; }

 protected:
  virtual Result<void> Read() = 0;
  virtual std::vector<TlsReport::Certificate> Certificates() const = 0;

  // By file and not by subject: a certificate that is renewed may have another one, and the old
  // one's expiry must not be left behind.
  void ShowExpiry() {
    for (const TlsReport::Certificate& one : Certificates()) {
      owner_.shard_
          .Gauge("sluice_tls_certificate_not_after_seconds",
                 "When a certificate in use expires, in seconds since 1970.",
                 {{"owner", where_}, {"file", one.file}})
          .Set(std::chrono::duration_cast<std::chrono::seconds>(one.not_after.time_since_epoch())
                   .count());
    }
  }

  TlsReloader& owner_;
  const std::string where_;

 private:
  MetricCell& Counter(const char* result) {
    return owner_.shard_.Counter("sluice_tls_certificate_reload_total",
                                 "Times that files of TLS were read again.",
                                 {{"owner", where_}, {"result", result}});
  }

  std::vector<Stamp> Look() const {
    std::vector<Stamp> stamps;
    for (const std::string& file : files_) stamps.push_back(StampOf(file));
    return stamps;
  }

  const std::vector<std::string> files_;
  MetricCell& reloaded_;
  MetricCell& failed_;
  std::vector<Stamp> seen_;  // at the last look
  std::vector<Stamp> used_;  // when they were last read
};

class TlsReloader::ListenerPart final : public Part {
 public:
  ListenerPart(TlsReloader& owner, size_t index)
      : Part(owner, "listeners." + ConfigAt(owner, index).name, Files(ConfigAt(owner, index))),
        index_(index),
        context_(owner.snapshot_->listeners[index].tls),
        keys_(owner.snapshot_->listeners[index].ticket_keys),
        rotation_(owner.loop_.timers(), Delegate::Bind<&ListenerPart::Rotate>(this)) {
    ShowExpiry();
    if (!rotates()) return;
    const TimePoint due = owner.loop_.Now() + tls().session_lifetime;
    rotation_.Set(std::min(due, owner.RotationDue(keys_.get())));
  }

  const TlsTicketKeys* keys() const override { return keys_.get(); }
  TimePoint rotation_due() const override { return rotation_.deadline(); }

 private:
  static const ListenerConfig& ConfigAt(const TlsReloader& owner, size_t index) {
    return owner.snapshot_->config.listeners[index];
  }
  static std::vector<std::string> Files(const ListenerConfig& config) {
    std::vector<std::string> files = config.tls->ticket_key_files;
    for (const CertificateConfig& pair : config.tls->certificates) {
      AddFile(pair.cert, &files);
      AddFile(pair.key, &files);
    }
    AddFile(config.tls->ca, &files);
    return files;
  }

  const ListenerConfig& config() const { return ConfigAt(owner_, index_); }
  const ListenerTlsConfig& tls() const { return *config().tls; }
  const Snapshot::Listener& compiled() const { return owner_.snapshot_->listeners[index_]; }
  bool rotates() const { return tls().session_tickets && tls().ticket_key_files.empty(); }

  // Tickets have a lifetime, and so have their keys: one of it to seal, one more to open.
  void Rotate() {
    keys_->Rotate(owner_.loop_.WallNow());
    rotation_.Set(owner_.loop_.Now() + tls().session_lifetime);
  }

  Result<void> Read() override {
    auto context =
        TlsServerContext::Build(TlsOptionsOf(config(), compiled().options.http2_enabled), keys_);
    if (!context) return tl::unexpected(context.error());
    if (!tls().ticket_key_files.empty()) {
      auto loaded = LoadTicketKeys(config(), owner_.loop_.WallNow(), keys_.get());
      if (!loaded) return loaded;
    }
    context_ = std::move(*context);
    ShowExpiry();
    owner_.publish_.to_listener(index_, context_);
    return {};
  }

  std::vector<TlsReport::Certificate> Certificates() const override {
    std::vector<TlsReport::Certificate> all;
    for (const TlsCertificateInfo& info : context_->certificates()) all.push_back(Described(info));
    return all;
  }

  const size_t index_;
  std::shared_ptr<const TlsServerContext> context_;
  const std::shared_ptr<TlsTicketKeys> keys_;
  Timer rotation_;
};

class TlsReloader::ClusterPart final : public Part {
 public:
  ClusterPart(TlsReloader& owner, size_t index)
      : Part(owner, "clusters." + ConfigAt(owner, index).name, Files(*ConfigAt(owner, index).tls)),
        index_(index),
        context_(owner.snapshot_->cluster_tls[index]) {
    ShowExpiry();
  }

 private:
  static const ClusterConfig& ConfigAt(const TlsReloader& owner, size_t index) {
    return owner.snapshot_->config.clusters[index];
  }
  static std::vector<std::string> Files(const ClusterTlsConfig& tls) {
    std::vector<std::string> files;
    for (const std::string& file : {tls.ca, tls.cert, tls.key}) AddFile(file, &files);
    return files;
  }

  Result<void> Read() override {
    auto context = TlsClientContext::Build(TlsOptionsOf(ConfigAt(owner_, index_)));
    if (!context) return tl::unexpected(context.error());
    context_ = std::move(*context);
    ShowExpiry();
    owner_.publish_.to_cluster(index_, context_);
    return {};
  }

  std::vector<TlsReport::Certificate> Certificates() const override {
    if (!context_->certificate()) return {};
    return {Described(*context_->certificate())};
  }

  const size_t index_;
  std::shared_ptr<const TlsClientContext> context_;
};

TlsReloader::TlsReloader(Loop& loop, std::shared_ptr<const Snapshot> snapshot, Publish publish,
                         MetricShard& shard)
    : loop_(loop),
      publish_(std::move(publish)),
      shard_(shard),
      look_(loop.timers(), Delegate::Bind<&TlsReloader::Look>(this)) {
  Use(std::move(snapshot));
}

void TlsReloader::Use(std::shared_ptr<const Snapshot> snapshot) {
  const std::shared_ptr<const Snapshot> before = std::exchange(snapshot_, std::move(snapshot));
  const Config& config = snapshot_->config;
  std::vector<std::unique_ptr<Part>> parts;
  for (size_t i = 0; i < config.listeners.size(); ++i) {
    if (config.listeners[i].tls) parts.push_back(std::make_unique<ListenerPart>(*this, i));
  }
  for (size_t i = 0; i < config.clusters.size(); ++i) {
    if (config.clusters[i].tls) parts.push_back(std::make_unique<ClusterPart>(*this, i));
  }
  parts_ = std::move(parts);
  if (before != nullptr) {
    for (const auto& part : parts_) part->NoteReload();
  }
  const Duration interval = config.tls.reload_interval;
  const bool looks = has_work() && interval != Duration::zero();
  look_.Set(looks ? loop_.Now() + interval : kNever);
}

TimePoint TlsReloader::RotationDue(const TlsTicketKeys* keys) const {
  for (const auto& part : parts_) {
    if (part->keys() == keys) return part->rotation_due();
  }
  return kNever;
}

TlsReloader::~TlsReloader() = default;

void TlsReloader::Look() {
  for (const auto& part : parts_) {
    if (part->Changed()) part->Reload();
  }
  look_.Set(loop_.Now() + snapshot_->config.tls.reload_interval);
}

TlsReport TlsReloader::Reload() {
  TlsReport report;
  for (const auto& part : parts_) report.entries.push_back(part->Reload());
  return report;
}

TlsReport TlsReloader::Report() const {
  TlsReport report;
  for (const auto& part : parts_) report.entries.push_back(part->Report());
  return report;
}

}  // namespace sluice
