#include "config/validate.h"

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "config/suggest.h"
#include "config/validate_tls.h"
#include "config/validate_upstream.h"

namespace sluice {
namespace {

constexpr const char* kDefaultLine =
    "%START_TIME% %PEER% \"%METHOD% %PATH% %PROTOCOL%\" %STATUS% %BYTES_OUT% %DURATION_MS% %ROUTE% "
    "%ENDPOINT% %END% %DETAIL%";

class Validator {
 public:
  Validator(const Config& config, const ConfigPositions& positions, ConfigProblems* problems)
      : config_(config), positions_(positions), problems_(problems) {}

  void Validate() {
    for (const ClusterConfig& cluster : config_.clusters) {
      clusters_.insert(cluster.name);
      ValidateCluster(cluster);
    }
    clusters_.erase("");
    ValidateNames(config_.clusters, "cluster");
    ValidateNames(config_.listeners, "listener");
    ValidateAddresses();
    for (const ListenerConfig& listener : config_.listeners) ValidateListener(listener);
  }

 private:
  void Add(const void* field, std::string message) {
    problems_->Add(positions_.Of(field), std::move(message));
  }

  // "on line 4", or "by --set ...", of something said before.
  std::string Earlier(const void* field) const {
    const ConfigPosition at = positions_.Of(field);
    return at.source == 0 ? "on line " + std::to_string(at.line) : "by " + problems_->Where(at);
  }

  template <typename T>
  void ValidateNames(const std::vector<T>& values, const std::string& kind) {
    std::map<std::string, const std::string*> seen;
    for (const T& value : values) {
      if (value.name.empty()) continue;
      const auto [first, fresh] = seen.emplace(value.name, &value.name);
      if (fresh) continue;
      Add(&value.name, "a second " + kind + " named '" + value.name + "'; the first is " +
                           Earlier(first->second));
    }
  }

  // Two listeners on one address would share its connections at random (SO_REUSEPORT) instead of
  // failing to bind, so nobody would notice until half of the requests went astray.
  void ValidateAddresses() {
    std::map<std::string, const std::string*> seen;
    for (const ListenerConfig& listener : config_.listeners) {
      const std::string& address = listener.address;
      if (address.empty() || (address.ends_with(":0") && !address.starts_with("unix:"))) continue;
      const auto [first, fresh] = seen.emplace(address, &address);
      if (!fresh) {
        Add(&address, "a second listener on '" + address + "'; the first is " +
                          Earlier(first->second) + "; expected an address of its own");
      } else if (address == config_.admin.address) {
        Add(&address, "'" + address + "' is the address of admin; expected one of its own (or " +
                          "another for admin.address)");
      }
    }
  }

  void ValidateCluster(const ClusterConfig& cluster) {
    ValidateClusterTls(cluster, positions_, problems_);
    ValidateEndpoints(cluster, positions_, problems_);
  }

  void ValidateListener(const ListenerConfig& listener) {
    ValidateListenerTls(listener, positions_, problems_);
    std::map<std::string, const std::string*> domains;
    ValidateNames(listener.virtual_hosts, "virtual host");
    for (const VirtualHost& host : listener.virtual_hosts) {
      for (const std::string& domain : host.domains) {
        if (domain.empty()) continue;
        const auto [first, fresh] = domains.emplace(domain, &domain);
        if (fresh) continue;
        Add(&domain,
            "a second virtual host for '" + domain + "'; the first is " + Earlier(first->second));
      }
      ValidateNames(host.routes, "route");
      for (const RouteConfig& route : host.routes) ValidateRoute(route);
    }
  }

  void ValidateRoute(const RouteConfig& route) {
    bool some_weight = route.clusters.empty();
    for (const WeightedCluster& target : route.clusters) {
      some_weight = some_weight || target.weight > 0;
      ValidateTarget(target.cluster);
    }
    if (!some_weight) {
      Add(&route.clusters, "the weights of all clusters are 0; expected one above 0");
    }
    if (route.mirror) ValidateTarget(route.mirror->cluster);
    if (route.redirect) ValidateRedirect(*route.redirect);
    if (route.direct_response) ValidateDirectResponse(*route.direct_response);
    ValidateForwarding(route);
  }

  void ValidateTarget(const std::string& name) {
    // A list of clusters that could not be read would make every name dangle.
    if (name.empty() || clusters_.contains(name) || positions_.Refused(&config_.clusters)) return;
    if (problems_->full()) return Add(&name, {});
    const std::vector<std::string> known(clusters_.begin(), clusters_.end());
    const std::string nearest = NearestName(name, known);
    std::string message = "no cluster is named " + QuotedForMessage(name);
    message += known.empty() ? "; expected a list 'clusters' that defines it"
                             : "; expected one of " + Listed(known);
    Add(&name, nearest.empty() ? message : message + "; did you mean '" + nearest + "'");
  }

  static std::string Listed(const std::vector<std::string>& names) {
    constexpr size_t kMaxListed = 10;
    std::string text;
    for (size_t i = 0; i < names.size() && i < kMaxListed; ++i) {
      text += (i == 0 ? "" : ", ") + names[i];
    }
    return names.size() > kMaxListed ? text + ", ..." : text;
  }

  void ValidateRedirect(const Redirect& redirect) {
    constexpr std::array<int, 5> kStatuses = {301, 302, 303, 307, 308};
    const bool known =
        std::find(kStatuses.begin(), kStatuses.end(), redirect.status) != kStatuses.end();
    if (!known && !positions_.Refused(&redirect.status)) {
      Add(&redirect.status, std::to_string(redirect.status) +
                                " is not a redirect; expected 301, 302, 303, 307 or 308");
    }
    const bool nothing = redirect.scheme.empty() && redirect.host.empty() && redirect.path.empty();
    const bool refused = positions_.Refused(&redirect.scheme) ||
                         positions_.Refused(&redirect.host) || positions_.Refused(&redirect.path);
    if (nothing && !refused) {
      Add(&redirect, "the redirect leads back to itself; expected a scheme, host or path");
    }
  }

  // RFC 9110 15.3.5, 15.3.6, 15.4.5: these have no content.
  void ValidateDirectResponse(const DirectResponse& response) {
    const bool bodiless =
        response.status == 204 || response.status == 205 || response.status == 304;
    if (!bodiless || response.body.empty()) return;
    Add(&response.body, "a response of status " + std::to_string(response.status) +
                            " has no body; expected an empty one, or another status");
  }

  // What stands there as it is by default says nothing.
  void ValidateForwarding(const RouteConfig& route) {
    if (!route.redirect && !route.direct_response) return;
    const auto refuse = [&](bool given, const void* field, const std::string& key) {
      if (!given) return;
      Add(field, key + " does nothing in a route that forwards nothing; expected the route " +
                     "without it, or with a cluster");
    };
    refuse(!route.prefix_rewrite.empty(), &route.prefix_rewrite, "prefix_rewrite");
    refuse(!route.host_rewrite.empty(), &route.host_rewrite, "host_rewrite");
    refuse(route.retries != RetryConfig{}, &route.retries, "retries");
    refuse(route.max_in_flight != 0, &route.max_in_flight, "max_in_flight");
    refuse(route.mirror.has_value(), &route.mirror, "mirror");
    refuse(route.fault.has_value(), &route.fault, "fault");
  }

  const Config& config_;
  const ConfigPositions& positions_;
  ConfigProblems* const problems_;
  std::set<std::string> clusters_;
};

}  // namespace

void FillIn(Config* config) {
  for (ListenerConfig& listener : config->listeners) {
    if (listener.name.empty()) listener.name = listener.address;
    for (VirtualHost& host : listener.virtual_hosts) {
      if (host.name.empty() && !host.domains.empty()) {
        host.name = host.domains[0] == "*" ? "default" : host.domains[0];
      }
      for (size_t i = 0; i < host.routes.size(); ++i) {
        RouteConfig& route = host.routes[i];
        if (route.name.empty()) route.name = host.name + "/" + std::to_string(i);
      }
    }
  }
  for (ClusterConfig& cluster : config->clusters) FillInCluster(config->zone, &cluster);
  if (config->access_log.text_format.empty()) config->access_log.text_format = kDefaultLine;
}

void ValidateConfig(const Config& config, const ConfigPositions& positions,
                    ConfigProblems* problems) {
  Validator(config, positions, problems).Validate();
}

}  // namespace sluice
