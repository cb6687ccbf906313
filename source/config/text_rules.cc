#include "config/text_rules.h"

#include <algorithm>
#include <vector>

#include "config/address.h"
#include "config/problems.h"
#include "config/suggest.h"

namespace sluice {
namespace {

constexpr size_t kMaxNameBytes = 256;

bool IsControl(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }

std::string CheckAnything(std::string&) { return {}; }

std::string CheckName(std::string& value) {
  if (value.empty()) return "an empty name; expected a text";
  if (value.size() > kMaxNameBytes) return "a name longer than 256 bytes; expected a shorter one";
  if (std::any_of(value.begin(), value.end(), IsControl)) {
    return QuotedForMessage(value) + " has control characters; expected printable ones";
  }
  return {};
}

std::string CheckListenerAddress(std::string& value) {
  const auto address = ParseConfigAddress(value);
  if (!address) return address.error().message;
  value = address->ToString();
  return {};
}

std::string CheckAdminAddress(std::string& value) {
  if (value == "off") return {};
  const std::string problem = CheckListenerAddress(value);
  return problem.empty() ? problem : problem + ", or off";
}

std::string CheckEndpointAddress(std::string& value) {
  const auto address = ParseConfigAddress(value);
  if (!address) return address.error().message;
  if (address->kind != ConfigAddress::Kind::kUnix && address->port == 0) {
    return QuotedForMessage(value) + " has port 0; expected the port the service listens on";
  }
  if (address->IsWildcard()) {
    return QuotedForMessage(value) + " is every address, not one; expected the one to connect to";
  }
  value = address->ToString();
  return {};
}

// A bare word is more likely a misspelt "stdout" than a file in whatever directory we started in.
std::string CheckOutput(const std::string& value, const std::vector<std::string>& words) {
  if (std::find(words.begin(), words.end(), value) != words.end()) return {};
  if (value.find('/') != std::string::npos && value.find('\0') == std::string::npos) return {};
  std::string expected;
  for (const std::string& word : words) expected += word + ", ";
  std::string problem = QuotedForMessage(value) + " is not an output; expected " + expected +
                        "or the path of a file with a slash in it";
  const std::string nearest = NearestName(value, words);
  return nearest.empty() ? problem : problem + "; did you mean " + nearest;
}

std::string CheckAccessLogPath(std::string& value) { return CheckOutput(value, {"off", "stdout"}); }
std::string CheckLogPath(std::string& value) { return CheckOutput(value, {"stderr", "stdout"}); }

std::string CheckFile(std::string& value) {
  if (std::none_of(value.begin(), value.end(), IsControl)) return {};
  return QuotedForMessage(value) + " has control characters; expected a path";
}

}  // namespace

const TextRule kAnyText = {"text", CheckAnything};
const TextRule kName = {"name", CheckName};
const TextRule kListenerAddress = {"address", CheckListenerAddress};
const TextRule kAdminAddress = {"address or off", CheckAdminAddress};
const TextRule kEndpointAddress = {"address", CheckEndpointAddress};
const TextRule kAccessLogPath = {"off, stdout or file", CheckAccessLogPath};
const TextRule kLogPath = {"stderr, stdout or file", CheckLogPath};
const TextRule kFile = {"file", CheckFile};

}  // namespace sluice
