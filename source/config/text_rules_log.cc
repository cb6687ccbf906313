// The rules for texts with commands between percent signs: the text format of the access log, and
// the values of header rules. What passes here, proxy/access_log_format.h and
// proxy/header_template.h compile: tests hold the lists of commands together.
#include <algorithm>
#include <string_view>
#include <vector>

#include "config/problems.h"
#include "config/suggest.h"
#include "config/text_rules.h"

namespace sluice {
namespace {

const std::vector<std::string>& Commands() {
  static const std::vector<std::string> commands = {"START_TIME",
                                                    "METHOD",
                                                    "PATH",
                                                    "AUTHORITY",
                                                    "SCHEME",
                                                    "PROTOCOL",
                                                    "KIND",
                                                    "STATUS",
                                                    "BYTES_IN",
                                                    "BYTES_OUT",
                                                    "DURATION_MS",
                                                    "UPSTREAM_MS",
                                                    "ATTEMPTS",
                                                    "ROUTE",
                                                    "CLUSTER",
                                                    "ENDPOINT",
                                                    "LISTENER",
                                                    "PEER",
                                                    "REQUEST_ID",
                                                    "USER_AGENT",
                                                    "END",
                                                    "DETAIL",
                                                    "GRPC_STATUS",
                                                    "TLS_VERSION",
                                                    "TLS_CIPHER",
                                                    "TLS_SERVER_NAME",
                                                    "TLS_RESUMED",
                                                    "CLIENT_VERIFY",
                                                    "CLIENT_SUBJECT",
                                                    "CLIENT_ISSUER",
                                                    "CLIENT_SERIAL",
                                                    "CLIENT_FINGERPRINT",
                                                    "CLIENT_URI",
                                                    "CLIENT_DNS"};
  return commands;
}

// What header rules know too: of the connection, not of the request.
const std::vector<std::string>& Placeholders() {
  static const std::vector<std::string> placeholders = [] {
    std::vector<std::string> names;
    for (const std::string& name : Commands()) {
      if (name.starts_with("TLS_") || name.starts_with("CLIENT_")) names.push_back(name);
    }
    return names;
  }();
  return placeholders;
}

std::string CheckHeaderCommand(std::string_view command) {
  std::string name(command.substr(4, command.size() - 5));
  return kFieldName.check(name);
}

// What stands between two percent signs.
std::string CheckCommand(std::string_view command) {
  if (command.starts_with("REQ(") && command.ends_with(')')) return CheckHeaderCommand(command);
  const std::vector<std::string>& known = Commands();
  const std::string name(command);
  if (std::find(known.begin(), known.end(), name) != known.end()) return {};
  std::string problem = QuotedForMessage(command) + " is not a command; expected one such as " +
                        "%STATUS%, %REQ(name)%, or %% for a percent sign";
  const std::string nearest = NearestName(name, known);
  return nearest.empty() ? problem : problem + "; did you mean %" + nearest + "%";
}

std::string CheckFieldTemplate(std::string& value) {
  if (std::string problem = kFieldValue.check(value); !problem.empty()) return problem;
  std::string_view rest = value;
  for (size_t begin = rest.find('%'); begin != std::string_view::npos; begin = rest.find('%')) {
    rest.remove_prefix(begin + 1);
    const size_t end = rest.find('%');
    if (end == std::string_view::npos) {
      return QuotedForMessage(value) +
             " has a percent sign without a second one; expected %NAME%, or %% for a percent sign";
    }
    const std::string name(rest.substr(0, end));
    const std::vector<std::string>& known = Placeholders();
    if (!name.empty() && std::find(known.begin(), known.end(), name) == known.end()) {
      const std::string nearest = NearestName(name, known);
      return QuotedForMessage(name) +
             " is not a placeholder; expected one such as %CLIENT_SUBJECT%, or %% for a percent "
             "sign" +
             (nearest.empty() ? "" : "; did you mean %" + nearest + "%");
    }
    rest.remove_prefix(end + 1);
  }
  return {};
}

std::string CheckAccessLogText(std::string& value) {
  std::string_view rest = value;
  if (rest.ends_with('\n')) rest.remove_suffix(1);
  if (rest.empty() && !value.empty()) return "an empty line; expected commands such as %STATUS%";
  const auto control = [](char c) {
    return (static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7f;
  };
  if (std::any_of(rest.begin(), rest.end(), control)) {
    return "control characters in the format; expected one line of text";
  }
  for (size_t begin = rest.find('%'); begin != std::string_view::npos; begin = rest.find('%')) {
    rest.remove_prefix(begin + 1);
    // A header name may hold a percent sign, but no parenthesis.
    const bool header = rest.starts_with("REQ(");
    const size_t found = rest.find(header ? ")%" : "%");
    if (found == std::string_view::npos) {
      return QuotedForMessage(rest) +
             " has no percent sign at its end; expected %NAME%, or %% for "
             "a percent sign";
    }
    const size_t end = header ? found + 1 : found;
    const std::string problem = end == 0 ? std::string() : CheckCommand(rest.substr(0, end));
    if (!problem.empty()) return problem;
    rest.remove_prefix(end + 1);
  }
  return {};
}

}  // namespace

const TextRule kFieldTemplate = {"header value", CheckFieldTemplate};
const TextRule kAccessLogText = {"text", CheckAccessLogText};

}  // namespace sluice
