#include "proxy/client_cert.h"

#include <algorithm>
#include <string_view>

namespace sluice {
namespace {

constexpr std::string_view kName = "X-Forwarded-Client-Cert";

bool IsPlain(std::string_view value) {
  constexpr std::string_view kMarks = "-._~:/?#@!&*+%";
  return std::all_of(value.begin(), value.end(), [&](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           kMarks.find(c) != std::string_view::npos;
  });
}

std::string_view Quoted(std::string_view value, Arena& arena) {
  char* const out = arena.Allocate(2 * value.size() + 2);
  char* end = out;
  *end++ = '"';
  for (const char c : value) {
    if (c == '"' || c == '\\') *end++ = '\\';
    *end++ = c;
  }
  *end++ = '"';
  return {out, static_cast<size_t>(end - out)};
}

std::string_view PlainOrQuoted(std::string_view value, Arena& arena) {
  return IsPlain(value) ? value : Quoted(value, arena);
}

std::string_view ElementOf(const TlsPeerCertificate& peer, Arena& arena) {
  std::string_view element =
      arena.Concat("Hash=", peer.fingerprint, ";Subject=", Quoted(peer.subject, arena));
  if (!peer.uri_san.empty()) {
    element = arena.Concat(element, ";URI=", PlainOrQuoted(peer.uri_san, arena));
  }
  for (std::string_view names = peer.dns_sans; !names.empty();) {
    const size_t comma = std::min(names.find(','), names.size());
    element = arena.Concat(element, ";DNS=", PlainOrQuoted(names.substr(0, comma), arena));
    names.remove_prefix(std::min(comma + 1, names.size()));
  }
  return element;
}

}  // namespace

void ForwardClientCertificate(ForwardClientCert mode, RequestHead& head,
                              const DownstreamInfo& downstream) {
  if (mode == ForwardClientCert::kOff) return;
  std::string_view list;
  if (mode == ForwardClientCert::kAppend) {
    for (const HeaderField& field : head.headers) {
      if (!EqualsIgnoreCase(field.name, kName) || field.value.empty()) continue;
      list = list.empty() ? field.value : head.arena.Concat(list, ", ", field.value);
    }
  }
  const TlsInfo* tls = downstream.tls_info;
  if (tls != nullptr && tls->verification == PeerVerification::kVerified) {
    const std::string_view element = ElementOf(tls->peer(), head.arena);
    list = list.empty() ? element : head.arena.Concat(list, ", ", element);
  }
  if (list.empty()) {
    head.headers.Remove(kName);
  } else {
    head.headers.Set(kName, list);
  }
}

}  // namespace sluice
