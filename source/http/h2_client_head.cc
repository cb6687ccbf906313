#include "http/h2_client_head.h"

#include <charconv>

#include "http/h2_head.h"
#include "http/websocket_handshake.h"

namespace sluice {
namespace {

std::string_view Decimal(Loop& loop, uint64_t number) {
  constexpr size_t kMaxDigits = 20;
  char* const text = loop.Scratch(kMaxDigits);
  char* const end = std::to_chars(text, text + kMaxDigits, number).ptr;
  loop.ReturnScratch(static_cast<size_t>(text + kMaxDigits - end));
  return {text, static_cast<size_t>(end - text)};
}

}  // namespace

void WriteH2RequestHead(Loop& loop, const RequestHead& head, std::string_view scheme,
                        std::vector<H2Field>& fields) {
  fields.clear();
  const bool websocket = OffersWebSocket(head);
  fields.push_back(ConstantH2Field(":method", websocket ? "CONNECT" : head.method_name));
  if (websocket) fields.push_back(ConstantH2Field(":protocol", kWebSocketProtocol));
  if (head.method == Method::kConnect) {
    // RFC 9113 8.5: the target as :authority, no :scheme and no :path.
    fields.push_back(ConstantH2Field(":authority", head.path));
  } else {
    fields.push_back(ConstantH2Field(":scheme", scheme));
    // RFC 9113 8.3.1: without a value (an HTTP/1.0 client that named no host) it is left out.
    if (!head.authority.empty()) fields.push_back(ConstantH2Field(":authority", head.authority));
    fields.push_back(ConstantH2Field(":path", head.path));
  }
  for (const HeaderField& field : head.headers) {
    if (websocket && EqualsIgnoreCase(field.name, kSecWebSocketKey)) continue;
    fields.push_back(MakeH2Field(loop, field));
  }
  if (head.content_length && !websocket)
    fields.push_back(ConstantH2Field("content-length", Decimal(loop, *head.content_length)));
  if (head.expects_continue) fields.push_back(ConstantH2Field("expect", "100-continue"));
  // The one value that HTTP/2 knows (RFC 9113 8.2.2); gRPC servers insist on it.
  if (head.accepts_trailers) fields.push_back(ConstantH2Field("te", "trailers"));
}

void AddH2ResponseField(ResponseHead& head, std::string_view name, std::string_view value) {
  if (name.starts_with(':')) {
    std::from_chars(value.data(), value.data() + value.size(), head.status);
    return;
  }
  const HeaderId id = LookupHeader(name);
  switch (id) {
    case HeaderId::kContentLength: {
      uint64_t length = 0;
      std::from_chars(value.data(), value.data() + value.size(), length);
      head.content_length = length;
      return;
    }
    // nghttp2 refuses most of these, which belong to an HTTP/1.1 connection; none goes further.
    case HeaderId::kConnection:
    case HeaderId::kHttp2Settings:
    case HeaderId::kKeepAlive:
    case HeaderId::kProxyConnection:
    case HeaderId::kTe:
    case HeaderId::kTransferEncoding:
    case HeaderId::kUpgrade:
      return;
    default:
      head.headers.Add(id, head.arena.Copy(name), head.arena.Copy(value));
  }
}

void MakeH2Upgrade(ResponseHead& head) {
  head.status = 101;
  head.upgrade = kWebSocketProtocol;
  head.content_length.reset();
  head.headers.Remove(kSecWebSocketAccept);  // of no key
}

}  // namespace sluice
