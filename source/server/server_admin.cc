// The part of the server that opens the admin port and finds out what its pages show.
#include <algorithm>
#include <iterator>
#include <memory>
#include <utility>

#include "config/loader.h"
#include "server/server.h"

namespace sluice {

Result<void> Server::OpenAdmin() {
  const std::string& address = snapshot_->config.admin.address;
  if (address.empty()) return {};
  admin_ = std::make_unique<AdminHandler>(control_, *drain_, *part_drain_, MakeAdminSources());
  auto inherited = succession_->sockets().Take(HandOverSocket::Kind::kAdmin, "admin", address);
  auto port = ControlPort::Open(control_, "admin", address, *admin_, control_shard_,
                                inherited.empty() ? Fd() : std::move(inherited.front()));
  if (!port) return tl::unexpected(port.error());
  admin_port_ = std::move(*port);
  return {};
}

AdminSources Server::MakeAdminSources() {
  AdminSources sources;
  sources.config_text = [this] { return DumpConfig(snapshot_->config); };
  sources.metrics_text = [this](std::function<void(std::string)> reply) {
    std::string text = metrics_.Text();
    succession_->TellCounters();  // which are no less than those
    reply(std::move(text));
  };
  sources.connections = [this](std::function<void(std::vector<ConnectionRecord>)> reply) {
    CollectConnections(std::move(reply));
  };
  sources.clusters = [this](std::function<void(std::vector<ClusterRecord>)> reply) {
    CollectClusters(std::move(reply));
  };
  sources.unready = [this]() -> std::string {
    return self_check_->unready() ? "not ready: critical clusters are out of reach" : "";
  };
  sources.tls = [this](bool reload) {
    return reload ? tls_reloader_->Reload() : tls_reloader_->Report();
  };
  sources.restart = [this](std::function<void(Result<int>)> reply) {
    succession_->Restart(std::move(reply));
  };
  sources.last_reload = [this] { return reloader_->last(); };
  sources.reload = [this](std::function<void(const ReloadReport&)> reply) {
    reloader_->Reload("admin", std::move(reply));
  };
  return sources;
}

void Server::CollectConnections(std::function<void(std::vector<ConnectionRecord>)> reply) {
  struct Gathering {
    size_t missing;
    std::vector<ConnectionRecord> records;
  };
  auto gathering = std::make_shared<Gathering>(Gathering{workers_.size(), {}});
  for (size_t i = 0; i < workers_.size(); ++i) {
    Worker& worker = *workers_[i];
    worker.loop().Post([this, &worker, i, gathering, reply] {
      std::vector<ConnectionRecord> records = worker.DescribeConnections(static_cast<uint32_t>(i));
      control_.Post([gathering, reply, records = std::move(records)]() mutable {
        auto& all = gathering->records;
        all.insert(all.end(), std::make_move_iterator(records.begin()),
                   std::make_move_iterator(records.end()));
        if (--gathering->missing == 0) reply(std::move(all));
      });
    });
  }
}

void Server::CollectClusters(std::function<void(std::vector<ClusterRecord>)> reply) {
  struct Gathering {
    size_t missing;
    std::vector<ClusterRecord> records;
  };
  auto gathering = std::make_shared<Gathering>(Gathering{workers_.size(), {}});
  const auto add = [](std::vector<ClusterRecord>& all, const std::vector<ClusterRecord>& more) {
    if (all.empty()) {
      all = more;
      return;
    }
    // While workers go over to another configuration they may not have the same ones.
    for (size_t i = 0; i < std::min(all.size(), more.size()); ++i) {
      if (all[i].name != more[i].name) continue;
      all[i].in_flight += more[i].in_flight;
      all[i].waiting += more[i].waiting;
      all[i].connections += more[i].connections;
      for (size_t j = 0; j < std::min(all[i].endpoints.size(), more[i].endpoints.size()); ++j) {
        all[i].endpoints[j].in_flight += more[i].endpoints[j].in_flight;
      }
    }
  };
  for (const auto& one : workers_) {
    one->loop().Post([this, &worker = *one, gathering, reply, add] {
      control_.Post([this, gathering, reply, add, records = worker.DescribeClusters()] {
        add(gathering->records, records);
        if (--gathering->missing > 0) return;
        for (ClusterRecord& cluster : gathering->records) {
          cluster.dns_error = upstreams_->DnsErrorOf(cluster.name);
          for (auto& endpoint : cluster.endpoints) {
            endpoint.check_failure = upstreams_->ReasonFor(cluster.name, endpoint.address);
          }
        }
        reply(std::move(gathering->records));
      });
    });
  }
}

}  // namespace sluice
