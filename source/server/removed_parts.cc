#include "server/removed_parts.h"

#include <algorithm>
#include <set>
#include <string>

namespace sluice {
namespace {

using Removals = std::vector<PartDrainController::Removal>;

std::set<std::string> RoutesOf(const ListenerConfig& listener) {
  std::set<std::string> names;
  for (const VirtualHost& host : listener.virtual_hosts) {
    for (const RouteConfig& route : host.routes) names.insert(route.name);
  }
  return names;
}

void AddRoutes(const ListenerConfig& before, const ListenerConfig& after, uint64_t generation,
               Duration deadline, Removals* removals) {
  const std::set<std::string> stay = RoutesOf(after);
  for (const std::string& name : RoutesOf(before)) {
    if (stay.contains(name)) continue;
    removals->push_back({{PartKind::kRoute, name, generation, before.name}, deadline});
  }
}

void AddEndpoints(const ClusterConfig& before, const ClusterConfig& after, uint64_t generation,
                  Removals* removals) {
  for (const EndpointConfig& endpoint : before.endpoints) {
    const bool stays =
        std::any_of(after.endpoints.begin(), after.endpoints.end(),
                    [&](const EndpointConfig& other) { return other.address == endpoint.address; });
    if (stays) continue;
    removals->push_back(
        {{PartKind::kEndpoint, endpoint.address, generation, before.name}, before.drain_timeout});
  }
}

}  // namespace

Removals RemovedParts(const Config& before, const Config& after, uint64_t generation) {
  Removals removals;
  for (const ListenerConfig& listener : before.listeners) {
    const auto same = std::find_if(
        after.listeners.begin(), after.listeners.end(), [&](const ListenerConfig& other) {
          return other.name == listener.name && other.address == listener.address;
        });
    if (same == after.listeners.end()) {
      removals.push_back(
          {{PartKind::kListener, listener.name, generation, {}}, after.drain.deadline});
    } else {
      AddRoutes(listener, *same, generation, after.drain.deadline, &removals);
    }
  }
  for (const ClusterConfig& cluster : before.clusters) {
    const auto same =
        std::find_if(after.clusters.begin(), after.clusters.end(),
                     [&](const ClusterConfig& other) { return other.name == cluster.name; });
    if (same == after.clusters.end()) {
      removals.push_back(
          {{PartKind::kCluster, cluster.name, generation, {}}, cluster.drain_timeout});
    } else {
      AddEndpoints(cluster, *same, generation, &removals);
    }
  }
  return removals;
}

}  // namespace sluice
