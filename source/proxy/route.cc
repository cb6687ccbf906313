#include "proxy/route.h"

#include <fmt/format.h>

#include <utility>

#include "proxy/grammar.h"

namespace sluice {
namespace {

std::string_view WithoutFinalSlash(std::string_view text) {
  if (text.ends_with('/')) text.remove_suffix(1);
  return text;
}

std::string_view WithoutDefaultPort(std::string_view authority, std::string_view scheme) {
  const std::string_view port = scheme == "https" ? ":443" : ":80";
  if (authority.ends_with(port)) authority.remove_suffix(port.size());
  return authority;
}

}  // namespace

Route::Route(const RouteConfig& config, std::string name)
    : config_(config), retries_(config.retries), limits_(RouteLimits::For(config)) {
  if (config_.name.empty()) config_.name = std::move(name);
  for (const WeightedCluster& cluster : config_.clusters) total_weight_ += cluster.weight;
  kept_from_ = WithoutFinalSlash(config_.match.path).size();
  replacement_ = WithoutFinalSlash(config_.prefix_rewrite);
}

Result<std::unique_ptr<const Route>> Route::Build(const RouteConfig& config, std::string name) {
  std::unique_ptr<Route> route(new Route(config, std::move(name)));
  if (auto checked = route->Check(); !checked) return tl::unexpected(checked.error());
  auto request_edits = CompiledHeaderEdits::CompileTemplates(config.request_headers);
  if (!request_edits) return Fail("request_headers: " + request_edits.error().message);
  auto response_edits = CompiledHeaderEdits::Compile(config.response_headers);
  if (!response_edits) return Fail("response_headers: " + response_edits.error().message);
  route->request_edits_ = *std::move(request_edits);
  route->response_edits_ = *std::move(response_edits);
  return route;
}

void Route::ContinueLimits(const Route& before) const {
  const bool same = before.config_.rate_limit == config_.rate_limit &&
                    before.config_.max_in_flight == config_.max_in_flight;
  if (same) limits_ = before.limits_;
}

Result<void> Route::Check() const {
  const int actions = static_cast<int>(!config_.clusters.empty()) +
                      static_cast<int>(config_.redirect.has_value()) +
                      static_cast<int>(config_.direct_response.has_value());
  if (actions != 1) {
    return Fail("needs exactly one of `cluster`, `clusters`, `redirect` and `direct_response`");
  }
  if (!config_.clusters.empty() && total_weight_ == 0) {
    return Fail("clusters: all weights are 0; give at least one a weight");
  }
  const std::string& rewrite = config_.prefix_rewrite;
  if (!rewrite.empty() && (!rewrite.starts_with('/') || !IsVisibleAscii(rewrite) ||
                           rewrite.find_first_of("?#") != std::string::npos)) {
    return Fail(
        fmt::format("prefix_rewrite \"{}\" is not a path; start it with a slash and leave "
                    "the query to the client",
                    rewrite));
  }
  if (!IsVisibleAscii(config_.host_rewrite)) {
    return Fail(fmt::format("host_rewrite \"{}\" is not a host", config_.host_rewrite));
  }
  if (config_.redirect &&
      !IsVisibleAscii(config_.redirect->scheme + config_.redirect->host + config_.redirect->path)) {
    return Fail("redirect: write scheme, host and path in visible ASCII; percent-encode the rest");
  }
  return {};
}

size_t Route::PickWeighted(Random& random) const {
  uint64_t left = random.Below(total_weight_);
  size_t index = 0;
  while (left >= config_.clusters[index].weight) left -= config_.clusters[index++].weight;
  return index;
}

std::optional<size_t> Route::PickCluster(
    Random& random, const std::function<bool(const std::string&)>& usable) const {
  std::vector<uint64_t> weights;
  uint64_t total = 0;
  for (const WeightedCluster& cluster : config_.clusters) {
    weights.push_back(usable(cluster.cluster) ? cluster.weight : 0);
    total += weights.back();
  }
  if (total == 0) return std::nullopt;
  uint64_t left = random.Below(total);
  size_t index = 0;
  while (left >= weights[index]) left -= weights[index++];
  return index;
}

std::string_view Route::Location(const RequestHead& head, Arena& arena) const {
  const Redirect& redirect = *config_.redirect;
  const std::string_view scheme = redirect.scheme.empty() ? head.scheme : redirect.scheme;
  std::string_view host = redirect.host;
  if (host.empty()) {
    host = scheme == head.scheme ? head.authority : WithoutDefaultPort(head.authority, head.scheme);
  }
  std::string_view path = redirect.path;
  if (path.empty()) path = head.path.starts_with('/') ? head.path : "/";
  if (!host.empty()) {
    return arena.Concat(scheme, "://", host, path.starts_with('/') ? "" : "/", path);
  }
  // A client that named no host (HTTP/1.0) gets a reference without one. Two slashes at its start
  // would begin a host (RFC 3986 4.2); a dot segment keeps them a path.
  return path.starts_with("//") ? arena.Concat("/.", path) : arena.Copy(path);
}

void Route::RewriteRequest(RequestHead& head, const DownstreamInfo& downstream) const {
  if (!config_.prefix_rewrite.empty()) RewritePath(head);
  if (!config_.host_rewrite.empty()) head.authority = config_.host_rewrite;
  request_edits_.Apply(head, downstream);
}

void Route::RewritePath(RequestHead& head) const {
  if (!head.path.starts_with('/')) return;  // "*", and the authority of a CONNECT
  const size_t path_size = head.PathOnly().size();
  if (config_.match.path_kind != RouteMatch::PathKind::kPrefix) {
    head.path = head.arena.Concat(config_.prefix_rewrite, head.path.substr(path_size));
    return;
  }
  const std::string_view rest = head.path.substr(kept_from_);
  // Nothing is left of "/api" -> "/" but the query, if that.
  const bool empty = replacement_.empty() && path_size == kept_from_;
  head.path = head.arena.Concat(replacement_, empty ? "/" : "", rest);
}

}  // namespace sluice
