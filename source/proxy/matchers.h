// The match section of a route, compiled: regular expressions parsed, names looked up, so that a
// request is tested without allocating.
//
// - `prefix` is a prefix of the text, as in Envoy: "/api" matches "/api", "/api/x" and "/apix";
//   write "/api/" to mean the segment. A route that rewrites its prefix matches whole segments only
//   ("/api" and "/api/x"), because half a segment cannot be replaced safely ("/api../x").
//   The prefix "/" matches every request, `OPTIONS *` and CONNECT too.
// - `regex` (RE2) must match the whole path, without the query. It sees bytes, not characters, so
//   no byte can slip past a "."; the same holds for regexes over headers and parameters.
// - Methods are compared exactly (RFC 9110 9.1): GET does not include HEAD.
// - A header test looks at each field of that name, and holds if one of them does. `Host` means the
//   authority, `Upgrade` the protocols offered. Other hop-by-hop fields are not seen.
// - A query test looks at each parameter of that name, both decoded (`%41`, `+`).
//
// Immutable once compiled, shared by all threads. (RE2 guards its cache of states by a lock of its
// own, held as a reader: the one exception to "no lock on the request path", and only for regexes.)
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "config/config.h"
#include "sluice/message.h"
#include "sluice/result.h"

namespace re2 {
class RE2;
}

namespace sluice {

// A request, taken apart once for all routes of a table. Lives shorter than `head`.
struct MatchTarget {
  explicit MatchTarget(const RequestHead& request)
      : head(request), path(request.PathOnly()), query(request.path) {
    query.remove_prefix(path.size() < query.size() ? path.size() + 1 : path.size());
  }

  const RequestHead& head;
  std::string_view path;
  std::string_view query;  // without its question mark
};

// One test of a value.
class ValueMatcher {
 public:
  // Fails on a regular expression that does not parse.
  static Result<ValueMatcher> Compile(const FieldMatch& match);

  // Tests one present value; for kAbsent true as for kPresent, the caller turns it round.
  bool Matches(std::string_view value) const;

  FieldMatch::Kind kind() const { return kind_; }

 private:
  FieldMatch::Kind kind_ = FieldMatch::Kind::kPresent;
  std::string text_;
  std::shared_ptr<const re2::RE2> regex_;
};

class RouteMatcher {
 public:
  // `whole_segments`: a prefix ends only where a segment does. Fails with what is wrong with which
  // part of `match`.
  static Result<RouteMatcher> Compile(const RouteMatch& match, bool whole_segments);

  bool Matches(const MatchTarget& target) const {
    return PathMatches(target.path) && (path_only_ || RestMatches(target));
  }

  // True when no request fails to match.
  bool matches_all() const { return path_only_ && every_path_; }

 private:
  struct HeaderTest {
    HeaderId id;
    std::string name;
    ValueMatcher value;
    bool Holds(const RequestHead& head) const;
  };
  struct QueryTest {
    std::string name;
    ValueMatcher value;
    bool Holds(std::string_view query) const;
  };

  Result<void> CompilePath(const RouteMatch& match);
  bool PathMatches(std::string_view path) const {
    if (path_kind_ != RouteMatch::PathKind::kPrefix) return WholePathMatches(path);
    if (every_path_) return true;
    if (!path.starts_with(path_)) return false;
    return !whole_segments_ || path.size() == path_.size() || path_.back() == '/' ||
           path[path_.size()] == '/';
  }
  bool WholePathMatches(std::string_view path) const;
  bool RestMatches(const MatchTarget& target) const;
  bool MethodMatches(const RequestHead& head) const;

  RouteMatch::PathKind path_kind_ = RouteMatch::PathKind::kPrefix;
  bool every_path_ = false;  // the prefix "/"
  bool whole_segments_ = false;
  bool path_only_ = true;  // nothing but the path is tested
  std::string path_;
  std::shared_ptr<const re2::RE2> path_regex_;
  uint32_t methods_ = 0;  // one bit for each Method
  std::vector<std::string> other_methods_;
  std::vector<HeaderTest> headers_;
  std::vector<QueryTest> query_;
};

}  // namespace sluice
