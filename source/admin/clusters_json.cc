#include "admin/clusters_json.h"

#include <nlohmann/json.hpp>

namespace sluice {
namespace {

using Json = nlohmann::ordered_json;

Json EndpointJson(const ClusterRecord::Endpoint& endpoint) {
  Json json = {{"address", endpoint.address},     {"state", endpoint.state},
               {"weight", endpoint.weight},       {"priority", endpoint.priority},
               {"in_flight", endpoint.in_flight}, {"ejections", endpoint.ejections}};
  if (!endpoint.zone.empty()) json["zone"] = endpoint.zone;
  if (!endpoint.check_failure.empty()) json["check_failure"] = endpoint.check_failure;
  return json;
}

}  // namespace

std::string ClustersJson(const std::vector<ClusterRecord>& clusters) {
  Json list = Json::array();
  for (const ClusterRecord& cluster : clusters) {
    Json endpoints = Json::array();
    for (const auto& endpoint : cluster.endpoints) endpoints.push_back(EndpointJson(endpoint));
    Json json = {{"name", cluster.name},
                 {"in_flight", cluster.in_flight},
                 {"waiting", cluster.waiting},
                 {"connections", cluster.connections}};
    if (!cluster.dns_error.empty()) json["dns_error"] = cluster.dns_error;
    json["endpoints"] = endpoints;
    list.push_back(json);
  }
  return Json({{"clusters", list}}).dump(2, ' ', false, Json::error_handler_t::replace);
}

}  // namespace sluice
