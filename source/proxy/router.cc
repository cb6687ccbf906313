#include "proxy/router.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

namespace sluice {
namespace {

// No host name is longer (RFC 1035 2.3.4: 255), and a longer one is in no table.
constexpr size_t kMaxHost = 255;
constexpr size_t kMaxPort = 6;  // ":65535"

char ToLower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; }

struct HostPort {
  std::string_view host;
  std::string_view port;  // digits; empty: none
};

// Takes "host[:port]" apart (RFC 3986 3.2); the dot that may end a host name is dropped.
HostPort Split(std::string_view authority) {
  // The colons of an IPv6 literal are inside its brackets.
  const size_t bracket = authority.rfind(']');
  const size_t colon = authority.rfind(':');
  HostPort parts{authority, {}};
  if (colon != std::string_view::npos && (bracket == std::string_view::npos || colon > bracket)) {
    parts = {authority.substr(0, colon), authority.substr(colon + 1)};
  }
  if (parts.host.ends_with('.')) parts.host.remove_suffix(1);
  return parts;
}

bool IsPort(std::string_view text) {
  return !text.empty() && text.size() < kMaxPort &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

// A host name or an IPv6 literal, as far as it matters for comparing it.
bool IsHost(std::string_view text) {
  const bool literal = text.starts_with('[') && text.ends_with(']');
  if (literal) text = text.substr(1, text.size() - 2);
  return !text.empty() && text.size() <= kMaxHost && !text.starts_with('.') &&
         std::all_of(text.begin(), text.end(), [&](char c) {
           return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
                  c == '_' || (literal && c == ':');
         });
}

}  // namespace

Result<std::unique_ptr<const Router>> Router::Build(const std::vector<VirtualHost>& hosts) {
  std::unique_ptr<Router> router(new Router);
  for (const VirtualHost& config : hosts) {
    auto host = BuildHost(config);
    if (!host) return tl::unexpected(host.error());
    router->hosts_.push_back(*std::move(host));
    for (const std::string& domain : config.domains) {
      if (auto added = router->AddDomain(domain, router->hosts_.back().get()); !added) {
        return tl::unexpected(added.error());
      }
    }
  }
  const Host* only =
      router->exact_.empty() && router->wildcards_.empty() ? router->default_ : nullptr;
  if (only != nullptr && !only->routes.empty() && only->matchers.front().matches_all()) {
    router->catch_all_ = only->routes.front().get();
  }
  return router;
}

Result<std::unique_ptr<Router::Host>> Router::BuildHost(const VirtualHost& config) {
  auto host = std::make_unique<Host>();
  host->name = config.name;
  for (const RouteConfig& entry : config.routes) {
    std::string default_name = fmt::format("{}/{}", config.name, host->routes.size());
    const std::string name = entry.name.empty() ? default_name : entry.name;
    auto matcher = RouteMatcher::Compile(entry.match, !entry.prefix_rewrite.empty());
    if (!matcher) return Fail(fmt::format("route \"{}\": {}", name, matcher.error().message));
    auto route = Route::Build(entry, std::move(default_name));
    if (!route) return Fail(fmt::format("route \"{}\": {}", name, route.error().message));
    host->matchers.push_back(*std::move(matcher));
    host->routes.push_back(*std::move(route));
  }
  return host;
}

Result<void> Router::AddDomain(const std::string& domain, const Host* host) {
  const auto taken = [&](const Host* by) {
    return Fail(
        fmt::format("virtual host \"{}\": the domain \"{}\" is taken by virtual host \"{}\"",
                    host->name, domain, by->name));
  };
  if (domain == "*") {
    if (default_ != nullptr) return taken(default_);
    default_ = host;
    return {};
  }
  std::string lower = domain;
  std::transform(lower.begin(), lower.end(), lower.begin(), ToLower);
  const bool wildcard = lower.starts_with("*.");
  const auto [name, port] = Split(std::string_view(lower).substr(wildcard ? 2 : 0));
  const bool has_port = !port.empty();
  if (!IsHost(name) || (has_port && !IsPort(port))) {
    return Fail(
        fmt::format("virtual host \"{}\": \"{}\" is not a domain; write example.com, "
                    "*.example.com, either with a port, or *",
                    host->name, domain));
  }
  std::string key = fmt::format("{}{}{}{}", wildcard ? "." : "", name, has_port ? ":" : "", port);
  const auto [entry, added] = (wildcard ? wildcards_ : exact_).emplace(std::move(key), host);
  if (!added) return taken(entry->second);
  has_ports_ = has_ports_ || has_port;
  return {};
}

const Route* Router::FindHost(const RequestHead& head) const {
  const Host* host = HostFor(head);
  return host == nullptr ? nullptr : FindRoute(*host, head);
}

const Router::Host* Router::LookUp(const HostMap& map, std::string_view host,
                                   std::string_view host_and_port) const {
  if (has_ports_) {
    if (auto found = map.find(host_and_port); found != map.end()) return found->second;
  }
  const auto found = map.find(host);
  return found == map.end() ? nullptr : found->second;
}

const Router::Host* Router::HostFor(const RequestHead& head) const {
  if (exact_.empty() && wildcards_.empty()) return default_;
  auto [name, port] = Split(head.authority);
  if (name.empty() || name.size() > kMaxHost || port.size() >= kMaxPort) return default_;

  std::array<char, kMaxHost + kMaxPort> buffer;
  char* end = std::transform(name.begin(), name.end(), buffer.begin(), ToLower);
  const std::string_view host(buffer.data(), name.size());
  if (has_ports_) {
    if (port.empty()) port = head.scheme == "https" ? "443" : "80";
    *end++ = ':';
    end = std::copy(port.begin(), port.end(), end);
  }
  const std::string_view full(buffer.data(), static_cast<size_t>(end - buffer.data()));

  if (const Host* exact = LookUp(exact_, host, full)) return exact;
  if (wildcards_.empty()) return default_;
  // From the left, so that the longest suffix is found first; "*" stands for at least one byte.
  for (size_t dot = host.find('.', 1); dot != std::string_view::npos;
       dot = host.find('.', dot + 1)) {
    if (const Host* match = LookUp(wildcards_, host.substr(dot), full.substr(dot))) return match;
  }
  return default_;
}

const Route* Router::FindRoute(const Host& host, const RequestHead& head) {
  const MatchTarget target(head);
  for (size_t i = 0; i < host.matchers.size(); ++i) {
    if (host.matchers[i].Matches(target)) return host.routes[i].get();
  }
  return nullptr;
}

void Router::ContinueLimits(const Router& before) const {
  for (const auto& host : hosts_) {
    for (const auto& route : host->routes) {
      if (route->limits() == nullptr) continue;
      if (const Route* const same = before.FindByName(route->name())) route->ContinueLimits(*same);
    }
  }
}

const Route* Router::FindByName(std::string_view name) const {
  for (const auto& host : hosts_) {
    for (const auto& route : host->routes) {
      if (route->name() == name) return route.get();
    }
  }
  return nullptr;
}

}  // namespace sluice
