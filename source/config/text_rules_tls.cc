// The rules for what TLS is configured with.
#include <algorithm>
#include <string_view>

#include "config/address.h"
#include "config/problems.h"
#include "config/text_rules.h"

namespace sluice {
namespace {

std::string CheckNeededFile(std::string& value) {
  if (value.empty()) return "an empty path; expected a file";
  return kFile.check(value);
}

// RFC 1123 2.1, and the underscore that is in use all the same.
bool IsHostName(std::string_view text) {
  constexpr size_t kMaxName = 253;
  constexpr size_t kMaxLabel = 63;
  if (text.empty() || text.size() > kMaxName) return false;
  while (true) {
    const size_t dot = text.find('.');
    const std::string_view label = text.substr(0, dot);
    const bool good = std::all_of(label.begin(), label.end(), [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
    });
    if (!good || label.empty() || label.size() > kMaxLabel) return false;
    if (dot == std::string_view::npos) return true;
    text.remove_prefix(dot + 1);
  }
}

void ToLower(std::string& value) {
  for (char& c : value) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
}

std::string CheckServerName(std::string& value) {
  ToLower(value);
  const std::string_view name = value;
  if (IsHostName(name.starts_with("*.") ? name.substr(2) : name)) return {};
  return QuotedForMessage(value) + " is not a server name; expected example.com or *.example.com";
}

std::string CheckPeerName(std::string& value) {
  if (value.empty()) return {};
  ToLower(value);
  const bool six = value.find(':') != std::string::npos;
  const bool address = ParseConfigAddress(six ? "[" + value + "]:1" : value + ":1").has_value();
  if (address || IsHostName(value)) return {};
  return QuotedForMessage(value) +
         " is not a name; expected the host name or the IP address that the certificate is made "
         "out to, without a port";
}

std::string CheckCiphers(std::string& value) {
  constexpr std::string_view kMarks = ":-_+!@=.,";
  const bool good = std::all_of(value.begin(), value.end(), [&](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           kMarks.find(c) != std::string_view::npos;
  });
  if (good) return {};
  return QuotedForMessage(value) + " is not a list of ciphers; expected names between colons";
}

}  // namespace

const TextRule kNeededFile = {"file", CheckNeededFile};
const TextRule kServerName = {"server name", CheckServerName};
const TextRule kPeerName = {"host name or address", CheckPeerName};
const TextRule kCiphers = {"ciphers", CheckCiphers};

}  // namespace sluice
