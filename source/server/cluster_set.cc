#include "server/cluster_set.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "server/secure_dialer.h"

namespace sluice {
namespace {

bool SameButForEndpoints(const ClusterConfig& a, const ClusterConfig& b) {
  ClusterConfig c = b;
  c.endpoints = a.endpoints;
  return a == c;
}

}  // namespace

struct ClusterSet::Entry {
  std::optional<SecureDialer> secure;  // none: cleartext
  std::optional<Cluster> cluster;
  bool abandoned = false;
};

ClusterSet::ClusterSet(Surroundings surroundings) : around_(std::move(surroundings)) {}

ClusterSet::~ClusterSet() = default;

std::shared_ptr<ClusterSet::Entry> ClusterSet::Make(
    const ClusterConfig& config, std::shared_ptr<const TlsClientContext> context) {
  auto entry = std::make_shared<Entry>();
  Dialer* dialer = &around_.dialer;
  if (context != nullptr) {
    entry->secure.emplace(around_.loop, around_.dialer, std::move(context),
                          TlsHandshakeMetrics::OfCluster(around_.shard, config.name));
    dialer = &entry->secure->dialer;
  }
  entry->cluster.emplace(around_.loop, *dialer, config, around_.shard);
  entry->cluster->WhenFreed(around_.freed);
  entry->cluster->SetObserver(around_.observer);
  if (around_.endpoint_gauges != nullptr) entry->cluster->ReportEndpoints(*around_.endpoint_gauges);
  return entry;
}

ClusterMap ClusterSet::Use(const Snapshot& snapshot) {
  std::vector<std::shared_ptr<Entry>> before = std::exchange(present_, {});
  ClusterMap map;
  for (size_t i = 0; i < snapshot.config.clusters.size(); ++i) {
    const ClusterConfig& config = snapshot.config.clusters[i];
    const auto same = std::find_if(before.begin(), before.end(), [&](const auto& entry) {
      return entry != nullptr && SameButForEndpoints(entry->cluster->config(), config);
    });
    std::shared_ptr<Entry> entry;
    if (same == before.end()) {
      entry = Make(config, snapshot.cluster_tls[i]);
    } else {
      entry = std::exchange(*same, nullptr);
      if (entry->secure) entry->secure->dialer.SetContext(snapshot.cluster_tls[i]);
      if (entry->cluster->config().endpoints != config.endpoints) {
        entry->cluster->SetEndpoints(config.endpoints);
      }
    }
    map[config.name] = std::shared_ptr<Cluster>(entry, &*entry->cluster);
    present_.push_back(std::move(entry));
  }
  for (auto& entry : before) {
    if (entry == nullptr) continue;
    entry->cluster->Retire();
    replaced_.push_back(std::move(entry));
  }
  return map;
}

void ClusterSet::SetTls(size_t cluster, std::shared_ptr<const TlsClientContext> context) {
  present_[cluster]->secure->dialer.SetContext(std::move(context));
}

void ClusterSet::SetDrained(std::string_view cluster, bool drained) {
  for (const auto& entry : present_) {
    if (entry->cluster->config().name == cluster) entry->cluster->SetDrained(drained);
  }
}

void ClusterSet::SetEndpointDrained(std::string_view address, bool drained) {
  for (const auto& entry : present_) entry->cluster->SetEndpointDrained(address, drained);
}

void ClusterSet::SetHealth(std::string_view cluster, std::string_view address,
                           const EndpointHealth& health) {
  for (const auto& entry : present_) {
    if (entry->cluster->config().name == cluster) entry->cluster->SetHealth(address, health);
  }
}

void ClusterSet::KnowHealth(std::string_view cluster, std::string_view address,
                            const EndpointHealth& health) {
  for (const auto& entry : present_) {
    if (entry->cluster->config().name == cluster) entry->cluster->KnowHealth(address, health);
  }
}

void ClusterSet::Learn(std::string_view cluster, const EndpointNews& news) {
  for (const auto& entry : present_) {
    if (entry->cluster->config().name == cluster) entry->cluster->Learn(news);
  }
}

void ClusterSet::ForEach(const std::function<void(const Cluster&)>& visit) const {
  for (const auto& entry : present_) visit(*entry->cluster);
}

void ClusterSet::Reap() {
  for (const auto& entry : present_) entry->cluster->Reap();
  std::erase_if(replaced_, [](const std::shared_ptr<Entry>& entry) {
    const bool named = entry.use_count() > 1;
    if (!named && !std::exchange(entry->abandoned, true)) entry->cluster->Abandon();
    const bool something_left = entry->cluster->Reap();
    return !named && !something_left;
  });
}

void ClusterSet::CloseIdle() {
  for (const auto* some : {&present_, &replaced_}) {
    for (const auto& entry : *some) entry->cluster->CloseIdle();
  }
}

}  // namespace sluice
