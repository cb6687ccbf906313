#include "http/h2_head.h"

#include <algorithm>
#include <charconv>
#include <cstring>

#include "http/http_date.h"
#include "http/websocket_handshake.h"

namespace sluice {
namespace {

constexpr uint32_t kFieldOverhead = 32;  // RFC 9113 6.5.2

bool IsUpper(char c) { return c >= 'A' && c <= 'Z'; }

std::string_view Decimal(Loop& loop, uint64_t number) {
  char* const text = loop.Scratch(20);
  const char* const end = std::to_chars(text, text + 20, number).ptr;
  return {text, static_cast<size_t>(end - text)};
}

void AddPseudo(RequestHead& head, H2BlockState& state, std::string_view name,
               std::string_view value) {
  const std::string_view copy = head.arena.Copy(value);
  if (name == ":method") {
    head.method_name = copy;
    head.method = LookupMethod(copy);
  } else if (name == ":path") {
    head.path = copy;
  } else if (name == ":authority") {
    head.authority = copy;
  } else if (name == ":scheme") {
    head.scheme = copy;
  } else if (name == ":protocol") {
    state.protocol = copy;
  }
}

void AddHost(RequestHead& head, H2BlockState& state, std::string_view value) {
  if (!state.host.empty() && !EqualsIgnoreCase(state.host, value)) state.hosts_differ = true;
  state.host = head.arena.Copy(value);
}

// RFC 9110 8.6; nghttp2 took one that is a number of at most 63 bits, and compares it with the
// body.
void AddLength(RequestHead& head, std::string_view value) {
  uint64_t length = 0;
  std::from_chars(value.data(), value.data() + value.size(), length);
  head.content_length = length;
}

// RFC 8441 4, 5. Its key, if it has one, would be answered by nobody.
std::optional<H1Error> FinishExtendedConnect(RequestHead& head, std::string_view protocol,
                                             bool end_stream) {
  // RFC 9110 9.3.6: what follows is the tunnel's, so it must be able to follow.
  if (end_stream || head.content_length) return H1Error{400, "extended_connect_with_body"};
  if (!EqualsIgnoreCase(protocol, kWebSocketProtocol)) return H1Error{501, "connect_protocol"};
  head.method = Method::kGet;
  head.method_name = "GET";
  head.upgrade = kWebSocketProtocol;
  head.headers.Remove(kSecWebSocketKey);
  return std::nullopt;
}

}  // namespace

void AddH2RequestField(RequestHead& head, H2BlockState& state, const HttpLimits& limits,
                       std::string_view name, std::string_view value) {
  state.bytes += static_cast<uint32_t>(name.size() + value.size()) + kFieldOverhead;
  if (state.bytes > limits.header_bytes || ++state.count > limits.header_count + 4) {
    state.too_large = true;
  }
  if (state.too_large) return;
  if (name.starts_with(':')) {
    AddPseudo(head, state, name, value);
    return;
  }
  const HeaderId id = LookupHeader(name);
  switch (id) {
    case HeaderId::kHost:
      AddHost(head, state, value);
      return;
    case HeaderId::kContentLength:
      AddLength(head, value);
      return;
    case HeaderId::kCookie:
      // RFC 9113 8.2.3: crumbs are one field again for whoever is not HTTP/2.
      state.cookies = state.cookies.empty() ? head.arena.Copy(value)
                                            : head.arena.Concat(state.cookies, "; ", value);
      return;
    case HeaderId::kTe:
      state.trailers_accepted = true;  // nghttp2 lets nothing else pass
      return;
    case HeaderId::kExpect:
      state.expects_continue = EqualsIgnoreCase(value, "100-continue");
      return;
    case HeaderId::kConnection:
    case HeaderId::kHttp2Settings:
    case HeaderId::kKeepAlive:
    case HeaderId::kProxyConnection:
    case HeaderId::kTransferEncoding:
    case HeaderId::kUpgrade:
      return;
    default:
      head.headers.Add(id, head.arena.Copy(name), head.arena.Copy(value));
      return;
  }
}

std::optional<H1Error> FinishH2Request(RequestHead& head, H2BlockState& state,
                                       const HttpLimits& limits, bool tls, bool end_stream) {
  head.version = {2, 0};
  if (state.too_large) return H1Error{431, "header_bytes"};
  // RFC 9113 8.3.1: a Host that names somebody else than :authority.
  if (state.hosts_differ || (!state.host.empty() && !head.authority.empty() &&
                             !EqualsIgnoreCase(state.host, head.authority))) {
    return H1Error{400, "host"};
  }
  if (head.authority.empty()) head.authority = state.host;
  const bool extended = !state.protocol.empty();
  if (extended && head.method != Method::kConnect) return H1Error{400, "connect_protocol"};
  const bool connect = head.method == Method::kConnect && !extended;
  if (!IsToken(head.method_name)) return H1Error{400, "method"};
  // RFC 9113 8.3.1: no userinfo; and nothing that HTTP/1.1 would not take in Host.
  if (!IsAuthority(head.authority, /*port_required=*/connect)) return H1Error{400, "authority"};
  if (connect) {
    head.path = head.authority;
  } else if (!EqualsIgnoreCase(head.scheme, "http") && !EqualsIgnoreCase(head.scheme, "https")) {
    return H1Error{400, "scheme"};
  } else if (!IsTargetText(head.path) ||
             (head.path.front() != '/' && !(head.path == "*" && head.method == Method::kOptions))) {
    return H1Error{400, "target"};
  }
  if (head.path.size() > limits.uri_bytes) return H1Error{414, "uri_bytes"};
  head.scheme = tls ? "https" : "http";
  if (!state.cookies.empty()) head.headers.Add(HeaderId::kCookie, "cookie", state.cookies);
  head.accepts_trailers = state.trailers_accepted;
  if (extended) return FinishExtendedConnect(head, state.protocol, end_stream);
  head.expects_continue = state.expects_continue && !end_stream;
  return std::nullopt;
}

H2Field MakeH2Field(Loop& loop, const HeaderField& field) {
  const bool once = field.id == HeaderId::kXRequestId;
  if (field.id != HeaderId::kOther) {
    return {LowerHeaderName(field.id), field.value, once, /*constant_name=*/true};
  }
  const std::string_view name = field.name;
  if (std::none_of(name.begin(), name.end(), IsUpper)) return {name, field.value};
  char* const lower = loop.Scratch(name.size());
  std::transform(name.begin(), name.end(), lower,
                 [](char c) { return IsUpper(c) ? static_cast<char>(c | 0x20) : c; });
  return {{lower, name.size()}, field.value};
}

H2Field ConstantH2Field(std::string_view name, std::string_view value) {
  return {name, value, /*comes_once=*/false, /*constant_name=*/true};
}

void WriteH2ResponseHead(Loop& loop, const ResponseHead& head,
                         std::optional<uint64_t> content_length, std::vector<H2Field>& fields) {
  fields.clear();
  const bool switches = head.status == 101;
  const int status = switches ? 200 : head.status;
  fields.push_back(ConstantH2Field(":status", Decimal(loop, static_cast<uint64_t>(status))));
  bool dated = head.informational();
  for (const HeaderField& field : head.headers) {
    if (switches && EqualsIgnoreCase(field.name, kSecWebSocketAccept)) continue;
    dated = dated || field.id == HeaderId::kDate;
    fields.push_back(MakeH2Field(loop, field));
  }
  if (content_length) {
    fields.push_back(ConstantH2Field("content-length", Decimal(loop, *content_length)));
  }
  if (!dated) {
    const std::string_view now = HttpDate(loop.WallNow(), loop.Scratch(kHttpDateLength));
    fields.push_back(ConstantH2Field("date", now));
  }
}

void WriteH2Trailers(Loop& loop, const HeaderList& trailers, std::vector<H2Field>& fields) {
  fields.clear();
  for (const HeaderField& field : trailers) {
    fields.push_back(MakeH2Field(loop, field));
  }
}

}  // namespace sluice
