// From a request head to the route that says what to do with it.
//
// First the virtual host, by the authority: an exact domain before a wildcard, a longer wildcard
// before a shorter one, `*` last; then, within that host alone, the first route that matches.
//
//   example.com        this host, on any port
//   example.com:8443   this host on this port only; preferred to the one above
//   *.example.com      any host below example.com, but not example.com
//   *                  any host, and requests that name none
//   [::1]              an IPv6 literal, compared as text
//
// Hosts are compared without regard to case and to one dot at their end. A request without a port
// means the default one of its scheme.
//
// Immutable: built once for each configuration, shared by all threads, held by the snapshot.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "config/config.h"
#include "proxy/matchers.h"
#include "proxy/route.h"
#include "sluice/message.h"
#include "sluice/result.h"

namespace sluice {

class Router {
 public:
  // Compiles the table; `hosts` is copied. Fails with the virtual host or route, what is wrong with
  // it and what to do, on: a regular expression that does not parse, a domain that is malformed or
  // taken twice, an edit of a field that is not the route's to edit.
  static Result<std::unique_ptr<const Router>> Build(const std::vector<VirtualHost>& hosts);

  // The route of that name; nullptr: there is none.
  const Route* FindByName(std::string_view name) const;

  // Routes of the same name go on counting where those of `before` stand (Route::ContinueLimits).
  void ContinueLimits(const Router& before) const;

  // The route for `head`, whose path has passed NormalizePath; nullptr: there is none, answer 404.
  // The route lives as long as the router. Does not allocate, but for a query match on a parameter
  // that is percent-encoded.
  const Route* Find(const RequestHead& head) const {
    return catch_all_ != nullptr ? catch_all_ : FindHost(head);
  }

 private:
  struct Host {
    std::string name;
    // In two lists of the same order, so that a search walks through the matchers alone.
    std::vector<RouteMatcher> matchers;
    std::vector<std::unique_ptr<const Route>> routes;
  };
  struct TextHash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
  };
  using HostMap = std::unordered_map<std::string, const Host*, TextHash, std::equal_to<>>;

  Router() = default;

  static Result<std::unique_ptr<Host>> BuildHost(const VirtualHost& config);
  Result<void> AddDomain(const std::string& domain, const Host* host);
  const Route* FindHost(const RequestHead& head) const;
  const Host* LookUp(const HostMap& map, std::string_view host,
                     std::string_view host_and_port) const;
  const Host* HostFor(const RequestHead& head) const;
  static const Route* FindRoute(const Host& host, const RequestHead& head);

  std::vector<std::unique_ptr<const Host>> hosts_;
  HostMap exact_;                     // "example.com", "example.com:8443"
  HostMap wildcards_;                 // ".example.com", ".example.com:8443"
  const Host* default_ = nullptr;     // "*"
  bool has_ports_ = false;            // some domain names a port
  const Route* catch_all_ = nullptr;  // set when every request has the same route
};

}  // namespace sluice
