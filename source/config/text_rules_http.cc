// The rules for texts that the router and the codecs take as they are: what passes here, they
// build.
#include <re2/re2.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <vector>

#include "config/problems.h"
#include "config/text_rules.h"

namespace sluice {
namespace {

constexpr size_t kMaxHostBytes = 255;  // RFC 1035 2.3.4

bool IsControl(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }
bool IsVisibleAscii(char c) { return c > ' ' && c < 0x7f; }
bool IsAlnum(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
bool IsOneOf(char c, std::string_view set) { return set.find(c) != std::string_view::npos; }
char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }
char Upper(char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; }

// RFC 9110 5.6.2.
bool IsTokenChar(char c) { return IsAlnum(c) || IsOneOf(c, "!#$%&'*+-.^_`|~"); }
bool IsToken(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), IsTokenChar);
}
// What a host can hold, the brackets of IPv6 and a port included (RFC 3986 3.2.2).
bool IsHostChar(char c) { return IsAlnum(c) || IsOneOf(c, "-._~[]:"); }

// A host name or an IPv6 literal, in lower case.
bool IsDomainHost(std::string_view host) {
  const bool literal = host.starts_with('[') && host.ends_with(']');
  if (literal) host = host.substr(1, host.size() - 2);
  return !host.empty() && host.size() <= kMaxHostBytes && host.front() != '.' &&
         std::all_of(host.begin(), host.end(), [&](char c) {
           return IsAlnum(c) || IsOneOf(c, "-._") || (literal && c == ':');
         });
}

bool IsPort(std::string_view text) {
  return !text.empty() && text.size() <= 5 &&
         text.find_first_not_of("0123456789") == std::string_view::npos;
}

std::string CheckDomain(std::string& value) {
  std::transform(value.begin(), value.end(), value.begin(), Lower);
  if (value == "*") return {};
  const size_t star = value.starts_with("*.") ? 2 : 0;
  const size_t bracket = value.rfind(']');
  const size_t colon = value.rfind(':');
  const bool has_port =
      colon != std::string::npos && (bracket == std::string::npos || colon > bracket);
  std::string host = value.substr(star, has_port ? colon - star : std::string::npos);
  // The dot that ends a full name says nothing new; without it, duplicates are seen.
  if (host.ends_with('.')) host.pop_back();
  const std::string port = has_port ? value.substr(colon + 1) : std::string();
  if (!IsDomainHost(host) || (has_port && !IsPort(port))) {
    return QuotedForMessage(value) +
           " is not a domain; expected example.com, *.example.com, either with a port, or *";
  }
  value = value.substr(0, star) + host + (has_port ? ":" + port : "");
  return {};
}

std::string CheckRedirectPath(std::string& value) {
  if (value.empty()) return {};
  if (!value.starts_with('/')) {
    return QuotedForMessage(value) + " does not start with a slash; expected a path such as /api";
  }
  if (std::all_of(value.begin(), value.end(), IsVisibleAscii)) return {};
  return QuotedForMessage(value) +
         " has spaces or control characters, or is not ASCII; expected them percent-encoded";
}

std::string CheckRewrite(std::string& value) {
  if (value.find_first_of("?#") == std::string::npos) return CheckRedirectPath(value);
  return QuotedForMessage(value) + " has a query or fragment; expected the path alone";
}

bool IsUpperHex(char c) { return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'F'); }
int UpperHexValue(char c) { return c <= '9' ? c - '0' : c - 'A' + 10; }

// Every '%' starts an escape in upper case that is needed: of a byte that is not unreserved
// (RFC 3986 6.2.2).
bool EscapesAreNormal(std::string_view path) {
  for (size_t i = path.find('%'); i != std::string_view::npos; i = path.find('%', i + 3)) {
    if (path.size() - i < 3 || !IsUpperHex(path[i + 1]) || !IsUpperHex(path[i + 2])) return false;
    const int byte = UpperHexValue(path[i + 1]) * 16 + UpperHexValue(path[i + 2]);
    const char c = static_cast<char>(byte);
    if (byte == 0 || IsAlnum(c) || IsOneOf(c, "-._~")) return false;
  }
  return true;
}

// "." or "..", also where an encoded slash ends it, or parameters follow.
bool IsDotSegment(std::string_view segment) {
  while (true) {
    const size_t cut = std::min(segment.find("%2F"), segment.find("%5C"));
    const std::string_view part = segment.substr(0, cut);
    const std::string_view name = part.substr(0, part.find(';'));
    if (name == "." || name == "..") return true;
    if (cut == std::string_view::npos) return false;
    segment.remove_prefix(cut + 3);
  }
}

bool HasDotSegment(std::string_view path, bool look_at_last) {
  while (!path.empty()) {
    path.remove_prefix(1);
    const size_t slash = path.find('/');
    if (slash == std::string_view::npos && !look_at_last) return false;
    if (IsDotSegment(path.substr(0, slash))) return true;
    if (slash == std::string_view::npos) return false;
    path.remove_prefix(slash);
  }
  return false;
}

// Requests are matched by their normalised path (proxy/path.h): another would never match.
std::string CheckNormalPath(std::string& value, bool prefix) {
  if (value.empty()) return "an empty path; expected one such as / or /api";
  std::string problem = CheckRewrite(value);
  if (!problem.empty()) return problem;
  // A prefix may end within a segment: "/." means all hidden files.
  const bool whole = !prefix || value.find('%') != std::string::npos;
  if (value.find('\\') == std::string::npos && EscapesAreNormal(value) &&
      !HasDotSegment(value, whole)) {
    return {};
  }
  return QuotedForMessage(value) +
         " would match nothing, because paths are normalised first; expected one without dot "
         "segments and backslashes, percent-encoded only where needed, in upper case";
}

std::string CheckPathPrefix(std::string& value) { return CheckNormalPath(value, /*prefix=*/true); }

std::string CheckPath(std::string& value) {
  if (value == "*") return {};  // the asterisk-form of OPTIONS (RFC 9112 3.2.4)
  return CheckNormalPath(value, /*prefix=*/false);
}

// With the options of proxy/matchers.cc: bytes, not characters.
std::string CheckRegex(std::string& value) {
  RE2::Options options;
  options.set_encoding(RE2::Options::EncodingLatin1);
  options.set_log_errors(false);
  if (value.empty()) return "an empty regular expression; expected one in RE2 syntax";
  const RE2 regex(value, options);
  if (regex.ok()) return {};
  return QuotedForMessage(value) + " is not a regular expression (" + regex.error() +
         "); expected one in RE2 syntax";
}

std::string CheckMethod(std::string& value) {
  static const std::vector<std::string> kKnown = {"GET",     "HEAD",    "POST",  "PUT",  "DELETE",
                                                  "CONNECT", "OPTIONS", "TRACE", "PATCH"};
  if (!IsToken(value))
    return QuotedForMessage(value) + " is not a method; expected one such as GET";
  std::string upper = value;
  std::transform(upper.begin(), upper.end(), upper.begin(), Upper);
  // Methods are case-sensitive (RFC 9110 9.1): "get" would never match.
  if (upper != value && std::find(kKnown.begin(), kKnown.end(), upper) != kKnown.end()) {
    return QuotedForMessage(value) + " is not a method; expected upper case; did you mean " + upper;
  }
  return {};
}

std::string CheckFieldName(std::string& value) {
  if (IsToken(value)) return {};
  return QuotedForMessage(value) +
         " is not a header name; expected letters, digits and !#$%&'*+-.^_`|~";
}

std::string CheckEditedFieldName(std::string& value) {
  constexpr std::array<std::string_view, 9> kOwned = {
      "connection", "content-length", "http2-settings",    "keep-alive", "proxy-connection",
      "te",         "trailer",        "transfer-encoding", "upgrade"};
  std::string lower = value;
  std::transform(lower.begin(), lower.end(), lower.begin(), Lower);
  if (lower == "host") return "Host cannot be edited; expected host_rewrite in its place";
  if (std::find(kOwned.begin(), kOwned.end(), lower) != kOwned.end()) {
    return QuotedForMessage(value) +
           " cannot be edited: it belongs to the connection (RFC 9110 7.6.1) or frames the "
           "message; expected another header";
  }
  return CheckFieldName(value);
}

std::string CheckFieldValue(std::string& value) {
  const auto bad = [](char c) { return IsControl(c) && c != '\t'; };
  if (std::any_of(value.begin(), value.end(), bad)) {
    return QuotedForMessage(value) + " has control characters; expected a header value on one line";
  }
  const auto blank = [](char c) { return c == ' ' || c == '\t'; };
  if (!value.empty() && (blank(value.front()) || blank(value.back()))) {
    return QuotedForMessage(value) +
           " begins or ends with white space; expected a header value without";
  }
  return {};
}

std::string CheckQueryName(std::string& value) {
  return value.empty() ? "an empty name; expected that of a query parameter, decoded" : "";
}

std::string CheckScheme(std::string& value) {
  if (value.empty() || value == "http" || value == "https") return {};
  return QuotedForMessage(value) + " is not a scheme; expected http or https";
}

std::string CheckHost(std::string& value) {
  if (std::all_of(value.begin(), value.end(), IsHostChar)) return {};
  return QuotedForMessage(value) + " is not a host; expected HOST or HOST:PORT";
}

std::string CheckVia(std::string& value) {
  const auto good = [](char c) { return IsTokenChar(c) || IsHostChar(c); };
  if (std::all_of(value.begin(), value.end(), good)) return {};
  return QuotedForMessage(value) + " is not a pseudonym for Via; expected a token or HOST:PORT";
}

}  // namespace

const TextRule kDomain = {"domain", CheckDomain};
const TextRule kPath = {"path", CheckPath};
const TextRule kPathPrefix = {"path", CheckPathPrefix};
const TextRule kRewrite = {"path", CheckRewrite};
const TextRule kRedirectPath = {"path", CheckRedirectPath};
const TextRule kRegex = {"regex", CheckRegex};
const TextRule kMethod = {"method", CheckMethod};
const TextRule kFieldName = {"header name", CheckFieldName};
const TextRule kEditedFieldName = {"header name", CheckEditedFieldName};
const TextRule kFieldValue = {"header value", CheckFieldValue};
const TextRule kQueryName = {"parameter name", CheckQueryName};
const TextRule kScheme = {"scheme", CheckScheme};
const TextRule kHost = {"host", CheckHost};
const TextRule kVia = {"pseudonym", CheckVia};

}  // namespace sluice
