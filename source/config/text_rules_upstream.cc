// The rules for texts that say how upstreams are found, judged and retried.
#include <algorithm>
#include <array>
#include <string_view>

#include "config/address.h"
#include "config/problems.h"
#include "config/status_range.h"
#include "config/suggest.h"
#include "config/text_rules.h"

namespace sluice {
namespace {

// In the order of their numbers.
constexpr std::array<std::string_view, 17> kGrpcNames = {
    "ok",        "cancelled",      "unknown",           "invalid_argument",   "deadline_exceeded",
    "not_found", "already_exists", "permission_denied", "resource_exhausted", "failed_precondition",
    "aborted",   "out_of_range",   "unimplemented",     "internal",           "unavailable",
    "data_loss", "unauthenticated"};

bool IsNameChar(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || c == '-' || c == '_' || c == '.';
}

// With a port or without. "localhost" is a name as well.
bool IsAddress(const std::string& value) {
  if (value.starts_with("localhost")) return false;
  return ParseConfigAddress(value) || ParseConfigAddress(value + ":1");
}

std::string CheckDnsTarget(std::string& value) {
  constexpr size_t kMaxName = 253;  // RFC 1035 2.3.4, as text
  constexpr size_t kMaxLabel = 63;
  std::transform(value.begin(), value.end(), value.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  if (IsAddress(value)) {
    return QuotedForMessage(value) + " is an address, which is not looked up; use endpoints";
  }
  const std::string problem = QuotedForMessage(value) +
                              " is not a name to look up; expected app.internal:8080, or for SRV "
                              "records _http._tcp.app.internal";
  const size_t colon = value.find(':');
  std::string_view name = std::string_view(value).substr(0, colon);
  if (name.ends_with('.')) name.remove_suffix(1);
  if (name.empty() || name.size() > kMaxName ||
      !std::all_of(name.begin(), name.end(), IsNameChar)) {
    return problem;
  }
  for (size_t begin = 0; begin <= name.size();) {
    const size_t end = std::min(name.find('.', begin), name.size());
    if (end == begin || end - begin > kMaxLabel) return problem;
    begin = end + 1;
  }
  if (colon == std::string::npos) return {};
  const std::string_view port = std::string_view(value).substr(colon + 1);
  const bool digits = !port.empty() && port.size() <= 5 &&
                      port.find_first_not_of("0123456789") == std::string_view::npos;
  if (!digits || std::stoul(std::string(port)) == 0 || std::stoul(std::string(port)) > 65'535) {
    return problem;
  }
  return {};
}

std::string CheckStatuses(std::string& value) {
  if (ParseStatusRange(value)) return {};
  return QuotedForMessage(value) + " is not a status; expected one as 503, or a range as 500-599";
}

std::string CheckGrpcStatus(std::string& value) {
  if (GrpcStatusByName(value)) return {};
  const std::vector<std::string> known(kGrpcNames.begin(), kGrpcNames.end());
  const std::string nearest = NearestName(value, known);
  return QuotedForMessage(value) + " is not a status of gRPC; expected one as unavailable" +
         (nearest.empty() ? "" : "; did you mean " + nearest);
}

// RFC 9110 5.6.2.
bool IsTokenChar(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
         std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

std::string CheckCookieName(std::string& value) {
  if (!value.empty() && std::all_of(value.begin(), value.end(), IsTokenChar)) return {};
  return QuotedForMessage(value) + " is not the name of a cookie; expected letters and digits";
}

// RFC 6265 4.1.1: any character but control characters and ';'.
std::string CheckCookiePath(std::string& value) {
  const bool fine = value.starts_with('/') && std::all_of(value.begin(), value.end(), [](char c) {
                      return c > ' ' && c < 0x7f && c != ';';
                    });
  if (fine) return {};
  return QuotedForMessage(value) + " is not a path of a cookie; expected one as / or /app";
}

}  // namespace

std::optional<StatusRange> ParseStatusRange(std::string_view text) {
  const auto number = [](std::string_view digits) -> int {
    if (digits.size() != 3) return 0;
    int value = 0;
    for (const char c : digits) {
      if (c < '0' || c > '9') return 0;
      value = value * 10 + (c - '0');
    }
    return value;
  };
  const size_t dash = text.find('-');
  const int first = number(text.substr(0, dash));
  const int last = dash == std::string_view::npos ? first : number(text.substr(dash + 1));
  if (first < 200 || last > 599 || first > last) return std::nullopt;
  return StatusRange{first, last};
}

std::optional<int> GrpcStatusByName(std::string_view name) {
  const auto* const found = std::find(kGrpcNames.begin(), kGrpcNames.end(), name);
  if (found == kGrpcNames.end()) return std::nullopt;
  return static_cast<int>(found - kGrpcNames.begin());
}

const TextRule kDnsTarget = {"host name", CheckDnsTarget};
const TextRule kStatuses = {"status", CheckStatuses};
const TextRule kGrpcStatusName = {"gRPC status", CheckGrpcStatus};
const TextRule kCookieName = {"cookie name", CheckCookieName};
const TextRule kCookiePath = {"path", CheckCookiePath};

}  // namespace sluice
