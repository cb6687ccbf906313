#include "config/validate_upstream.h"

#include <set>

namespace sluice {
namespace {

void ValidateDns(const DnsConfig& dns, const std::string& where, const ConfigPositions& positions,
                 ConfigProblems* problems) {
  const auto add = [&](const void* field, const std::string& message) {
    problems->Add(positions.Of(field), where + message);
  };
  const bool has_port = dns.name.find(':') != std::string::npos;
  if (dns.records == DnsRecords::kSrv && has_port) {
    add(&dns.name, "dns.name has a port, but SRV records name their own; expected it without");
  }
  if (dns.records != DnsRecords::kSrv && !has_port && !dns.name.empty()) {
    add(&dns.name, "dns.name '" + dns.name + "' has no port; expected one as " + dns.name +
                       ":8080, or records: srv");
  }
  if (dns.min_refresh > dns.max_refresh) {
    add(&dns.min_refresh, "dns.min_refresh is longer than dns.max_refresh; expected it shorter");
  }
  for (const std::string& server : dns.servers) {
    if (!server.starts_with("unix:")) continue;
    add(&dns.servers, "dns.servers: '" + server + "' is no address of a name server; expected " +
                          "IP:PORT, as 10.0.0.10:53");
  }
}

// What a kind of check does not ask for has to be as it is by default, which says nothing.
void ValidateHealthCheck(const HealthCheckConfig& check, const std::string& where,
                         const ConfigPositions& positions, ConfigProblems* problems) {
  const auto add = [&](const void* field, const std::string& message) {
    problems->Add(positions.Of(field), where + "health_check." + message);
  };
  const auto refuse = [&](bool given, const void* field, const std::string& key,
                          const std::string& kinds) {
    if (given) add(field, key + " does nothing without kind " + kinds + "; expected it left out");
  };
  const HealthCheckConfig defaults;
  const bool http = check.kind == HealthCheckKind::kHttp;
  const bool tcp = check.kind == HealthCheckKind::kTcp;
  if (!http) {
    refuse(check.path != defaults.path, &check.path, "path", "http");
    refuse(check.statuses != defaults.statuses, &check.statuses, "statuses", "http");
  } else if (check.statuses.empty() && !positions.Refused(&check.statuses)) {
    add(&check.statuses,
        "statuses is an empty list: no check could pass; expected one, as 200-299");
  }
  if (tcp) refuse(check.host != defaults.host, &check.host, "host", "http or grpc");
  if (check.kind != HealthCheckKind::kGrpc) {
    refuse(check.service != defaults.service, &check.service, "service", "grpc");
  }
}

}  // namespace

void ValidateEndpoints(const ClusterConfig& cluster, const ConfigPositions& positions,
                       ConfigProblems* problems) {
  const std::string where = "cluster '" + cluster.name + "': ";
  if (cluster.dns) ValidateDns(*cluster.dns, where, positions, problems);
  std::set<std::string> seen;
  bool some_weight = cluster.endpoints.empty();
  for (const EndpointConfig& endpoint : cluster.endpoints) {
    some_weight = some_weight || endpoint.weight > 0;
    if (!endpoint.address.empty() && !seen.insert(endpoint.address).second) {
      problems->Add(positions.Of(&endpoint.address),
                    "a second endpoint '" + endpoint.address + "' in cluster '" + cluster.name +
                        "'; expected each once (give it a weight)");
    }
  }
  if (!some_weight) {
    problems->Add(positions.Of(&cluster.endpoints),
                  where + "the weights of all endpoints are 0; expected one above 0");
  }
  if (cluster.health_check) {
    ValidateHealthCheck(*cluster.health_check, where, positions, problems);
  }
  const bool asks_by_grpc =
      cluster.health_check && cluster.health_check->kind == HealthCheckKind::kGrpc;
  if (asks_by_grpc && cluster.tls && cluster.protocol == UpstreamProtocol::kHttp1) {
    problems->Add(positions.Of(&cluster.health_check->kind),
                  where +
                      "a health_check of kind grpc needs HTTP/2, which TLS does not agree on "
                      "with protocol http1; expected http2 or auto");
  }
  if (cluster.critical && !cluster.health_check && !cluster.dns) {
    problems->Add(positions.Of(&cluster.critical),
                  where + "critical does nothing without a health_check; expected one");
  }
  const bool hashes = cluster.load_balancing == LoadBalancing::kRingHash ||
                      cluster.load_balancing == LoadBalancing::kMaglev;
  if (!cluster.hash_on.name.empty() && !hashes) {
    problems->Add(positions.Of(&cluster.hash_on.name),
                  where + "hash_on does nothing without load_balancing ring_hash or maglev");
  }
}

void FillInCluster(const std::string& zone, ClusterConfig* cluster) {
  cluster->local_zone = zone;
  if (!cluster->dns || !cluster->tls || cluster->dns->records == DnsRecords::kSrv) return;
  std::string& expected = cluster->tls->server_name;
  if (!expected.empty()) return;
  expected = cluster->dns->name.substr(0, cluster->dns->name.find(':'));
  // Of an absolute name: neither SNI (RFC 6066 3) nor certificates have the dot.
  if (expected.ends_with('.')) expected.pop_back();
}

}  // namespace sluice
