#include "proxy/matchers.h"

#include <fmt/format.h>
#include <re2/re2.h>

#include <algorithm>
#include <array>
#include <utility>

#include "proxy/grammar.h"
#include "proxy/path.h"

namespace sluice {
namespace {

Result<std::shared_ptr<const re2::RE2>> CompileRegex(const std::string& pattern) {
  RE2::Options options;
  options.set_encoding(RE2::Options::EncodingLatin1);
  options.set_log_errors(false);
  auto regex = std::make_shared<const RE2>(pattern, options);
  if (!regex->ok()) return Fail(fmt::format("regex \"{}\": {}", pattern, regex->error()));
  return regex;
}

constexpr uint32_t Bit(Method method) { return 1U << static_cast<unsigned>(method); }

// `raw` as application/x-www-form-urlencoded; what is not a percent-encoding stands for itself.
// Most names and values need no decoding and are returned as they are.
std::string_view DecodeParameter(std::string_view raw, std::string& decoded) {
  if (raw.find_first_of("%+") == std::string_view::npos) return raw;
  decoded.clear();
  for (size_t i = 0; i < raw.size(); ++i) {
    if (const int byte = PercentByte(raw, i); byte >= 0) {
      decoded.push_back(static_cast<char>(byte));
      i += 2;
      continue;
    }
    decoded.push_back(raw[i] == '+' ? ' ' : raw[i]);
  }
  return decoded;
}

// Requests are matched by their normalised path (proxy/path.h): one that can never look like this
// would make a route that is silently dead.
Result<void> CheckNormal(const RouteMatch& match) {
  // A prefix may end in the middle of a segment: "/." means all hidden files.
  const bool partial = match.path_kind == RouteMatch::PathKind::kPrefix;
  if (match.path == "*" || (partial && match.path.find_first_of("%#\\") == std::string::npos)) {
    return {};
  }
  RequestHead head;
  head.path = match.path;
  if (NormalizePath(head) && head.path == match.path) return {};
  return Fail(
      fmt::format("path \"{}\" matches nothing, because paths are normalised before; "
                  "write it without dot segments, and percent-encoded only where needed, "
                  "in upper case",
                  match.path));
}

}  // namespace

Result<ValueMatcher> ValueMatcher::Compile(const FieldMatch& match) {
  ValueMatcher matcher;
  matcher.kind_ = match.kind;
  matcher.text_ = match.value;
  if (match.kind == FieldMatch::Kind::kRegex) {
    auto regex = CompileRegex(match.value);
    if (!regex) return tl::unexpected(regex.error());
    matcher.regex_ = *std::move(regex);
  }
  return matcher;
}

bool ValueMatcher::Matches(std::string_view value) const {
  switch (kind_) {
    case FieldMatch::Kind::kPresent:
    case FieldMatch::Kind::kAbsent:
      return true;
    case FieldMatch::Kind::kExact:
      return value == text_;
    case FieldMatch::Kind::kPrefix:
      return value.starts_with(text_);
    case FieldMatch::Kind::kRegex:
      return RE2::FullMatch(value, *regex_);
  }
  return false;
}

Result<RouteMatcher> RouteMatcher::Compile(const RouteMatch& match, bool whole_segments) {
  RouteMatcher matcher;
  matcher.whole_segments_ = whole_segments;
  if (auto compiled = matcher.CompilePath(match); !compiled) {
    return tl::unexpected(compiled.error());
  }
  for (const std::string& name : match.methods) {
    const Method method = LookupMethod(name);
    matcher.methods_ |= Bit(method);
    if (method == Method::kOther) matcher.other_methods_.push_back(name);
  }
  for (const FieldMatch& test : match.headers) {
    auto value = ValueMatcher::Compile(test);
    if (!value) return Fail(fmt::format("header \"{}\": {}", test.name, value.error().message));
    matcher.headers_.push_back({LookupHeader(test.name), test.name, *std::move(value)});
  }
  for (const FieldMatch& test : match.query) {
    auto value = ValueMatcher::Compile(test);
    if (!value) return Fail(fmt::format("query \"{}\": {}", test.name, value.error().message));
    matcher.query_.push_back({test.name, *std::move(value)});
  }
  matcher.path_only_ = match.methods.empty() && match.headers.empty() && match.query.empty();
  return matcher;
}

Result<void> RouteMatcher::CompilePath(const RouteMatch& match) {
  path_kind_ = match.path_kind;
  path_ = match.path;
  if (path_kind_ == RouteMatch::PathKind::kRegex) {
    auto regex = CompileRegex(match.path);
    if (!regex) return tl::unexpected(Error{"path " + regex.error().message});
    path_regex_ = *std::move(regex);
    return {};
  }
  const bool asterisk = path_kind_ == RouteMatch::PathKind::kExact && path_ == "*";
  if (!path_.starts_with('/') && !asterisk) {
    return Fail(fmt::format("path \"{}\" does not start with a slash", path_));
  }
  if (path_.find('?') != std::string::npos) {
    return Fail(fmt::format("path \"{}\" holds a query; match it with `query`", path_));
  }
  if (auto normal = CheckNormal(match); !normal) return normal;
  every_path_ = path_kind_ == RouteMatch::PathKind::kPrefix && path_ == "/";
  return {};
}

bool RouteMatcher::WholePathMatches(std::string_view path) const {
  if (path_kind_ == RouteMatch::PathKind::kExact) return path == path_;
  return RE2::FullMatch(path, *path_regex_);
}

bool RouteMatcher::RestMatches(const MatchTarget& target) const {
  return MethodMatches(target.head) &&
         std::all_of(headers_.begin(), headers_.end(),
                     [&](const HeaderTest& test) { return test.Holds(target.head); }) &&
         std::all_of(query_.begin(), query_.end(),
                     [&](const QueryTest& test) { return test.Holds(target.query); });
}

bool RouteMatcher::MethodMatches(const RequestHead& head) const {
  if (methods_ == 0) return true;
  if ((methods_ & Bit(head.method)) == 0) return false;
  return head.method != Method::kOther || std::find(other_methods_.begin(), other_methods_.end(),
                                                    head.method_name) != other_methods_.end();
}

bool RouteMatcher::HeaderTest::Holds(const RequestHead& head) const {
  bool found = false;
  if (id == HeaderId::kHost || id == HeaderId::kUpgrade) {
    const std::string_view text = id == HeaderId::kHost ? head.authority : head.upgrade;
    found = !text.empty() && value.Matches(text);
  } else {
    for (const HeaderField& field : head.headers) {
      if (field.id != id || (id == HeaderId::kOther && !EqualsIgnoreCase(field.name, name))) {
        continue;
      }
      found = value.Matches(field.value);
      if (found) break;
    }
  }
  return found != (value.kind() == FieldMatch::Kind::kAbsent);
}

bool RouteMatcher::QueryTest::Holds(std::string_view query) const {
  bool found = false;
  std::string decoded;
  while (!query.empty() && !found) {
    const std::string_view parameter = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(query.size(), parameter.size() + 1));
    const size_t equals = std::min(parameter.find('='), parameter.size());
    if (DecodeParameter(parameter.substr(0, equals), decoded) != name) continue;
    const size_t from = std::min(parameter.size(), equals + 1);
    found = value.Matches(DecodeParameter(parameter.substr(from), decoded));
  }
  return found != (value.kind() == FieldMatch::Kind::kAbsent);
}

}  // namespace sluice
