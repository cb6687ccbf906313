// What is done with the requests that match one entry of a virtual host: the action, and the edits
// on the way there and back. Immutable, shared by all threads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/arena.h"
#include "base/random.h"
#include "base/time.h"
#include "config/route_config.h"
#include "proxy/header_edits.h"
#include "proxy/retry_policy.h"
#include "proxy/route_limits.h"
#include "sluice/message.h"
#include "sluice/result.h"

namespace sluice {

class Route {
 public:
  // Compiles `config`. `name` stands in for an empty one. Fails with what is wrong with which key
  // of the route; the caller says which route.
  static Result<std::unique_ptr<const Route>> Build(const RouteConfig& config, std::string name);

  Route(const Route&) = delete;
  Route& operator=(const Route&) = delete;

  // Lives as long as the route, for RequestRecord::route.
  std::string_view name() const { return config_.name; }

  // How long the upstream may be silent once it has the whole request; zero: no limit.
  Duration timeout() const { return config_.timeout; }

  const RetryPolicy& retries() const { return retries_; }
  const RouteConfig& config() const { return config_; }

  // What is counted over all workers; null when nothing is limited. Thread safe.
  RouteLimits* limits() const { return limits_.get(); }
  // Goes on counting where the route of an earlier configuration stands, if its limits are the
  // same.
  void ContinueLimits(const Route& before) const;

  OnDrain on_drain() const { return config_.on_drain; }
  const WebSocketConfig& websocket() const { return config_.websocket; }
  const EventStreamConfig& event_stream() const { return config_.event_stream; }

  // Exactly one of these three is set.
  const std::vector<WeightedCluster>& clusters() const { return config_.clusters; }
  const Redirect* redirect() const { return config_.redirect ? &*config_.redirect : nullptr; }
  const DirectResponse* direct_response() const {
    return config_.direct_response ? &*config_.direct_response : nullptr;
  }

  // An index into clusters(), which must not be empty: each with a probability in proportion to its
  // weight. Draws no random number when there is one.
  size_t PickCluster(Random& random) const {
    return config_.clusters.size() == 1 ? 0 : PickWeighted(random);
  }

  // The same among those that `usable` lets through; nothing when all of them have no weight.
  std::optional<size_t> PickCluster(Random& random,
                                    const std::function<bool(const std::string&)>& usable) const;

  // The value of Location for redirect(), which must be set; lives in `arena`, or is the route's.
  // Absolute, so that a path such as "//evil.example" cannot be taken for a host. The scheme, host
  // and path of the request are kept where the redirect names none; its path, when given, replaces
  // path and query. A port that is the default of a scheme which is replaced is dropped.
  std::string_view Location(const RequestHead& head, Arena& arena) const;

  // Applies the rewrites and edits of the request; new text lives in `head.arena`, in the route or
  // in `downstream`.
  // To be called once, after Find, Location and the fields of Forwarding, which speak of the
  // request as the client sent it.
  //
  // prefix_rewrite replaces the matched prefix, or the whole path of an exact or regex match; the
  // query is kept. A slash at the end of the prefix and one at the end of the rewrite stand for the
  // same slash: with "/api" -> "/", "/api/x" becomes "/x"; with "/" -> "/v2", "/x" becomes "/v2/x".
  void RewriteRequest(RequestHead& head, const DownstreamInfo& downstream) const;

  // Applies the edits of the response.
  void RewriteResponse(HeaderList& headers) const { response_edits_.Apply(headers); }

 private:
  Route(const RouteConfig& config, std::string name);

  Result<void> Check() const;
  size_t PickWeighted(Random& random) const;
  void RewritePath(RequestHead& head) const;

  RouteConfig config_;
  CompiledHeaderEdits request_edits_;
  CompiledHeaderEdits response_edits_;
  RetryPolicy retries_;
  mutable std::shared_ptr<RouteLimits> limits_;
  uint64_t total_weight_ = 0;
  size_t kept_from_ = 0;          // of a path whose prefix is replaced: where the rest begins
  std::string_view replacement_;  // prefix_rewrite without the slash at its end
};

}  // namespace sluice
