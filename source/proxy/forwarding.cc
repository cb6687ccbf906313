#include "proxy/forwarding.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <iterator>

#include "proxy/client_cert.h"
#include "proxy/grammar.h"

namespace sluice {
namespace {

constexpr size_t kMaxRequestId = 128;
constexpr std::string_view kForwardedPrefix = "x-forwarded-";

// Fields of a request that ask for more than adding one.
enum SeenBit : uint8_t {
  kSeenVia = 1,
  kSeenRequestId = 2,
  kSeenFor = 4,
  kSeenProto = 8,
  kSeenHost = 16,
  kSeenForwarded = 32,
  kSeenOther = 64,  // X-Forwarded-Port and the like
};

bool HasForwardedPrefix(std::string_view name) {
  return name.size() > kForwardedPrefix.size() &&
         EqualsIgnoreCase(name.substr(0, kForwardedPrefix.size()), kForwardedPrefix);
}

uint8_t SeenBitOf(const HeaderField& field) {
  switch (field.id) {
    case HeaderId::kVia:
      return kSeenVia;
    case HeaderId::kXRequestId:
      return kSeenRequestId;
    case HeaderId::kXForwardedFor:
      return kSeenFor;
    case HeaderId::kXForwardedProto:
      return kSeenProto;
    case HeaderId::kXForwardedHost:
      return kSeenHost;
    case HeaderId::kForwarded:
      return kSeenForwarded;
    case HeaderId::kOther:
      return HasForwardedPrefix(field.name) ? kSeenOther : 0;
    default:
      return 0;
  }
}

// Appends `value` to the list that the fields `id` make up (RFC 9110 5.3), as one field: many who
// read such a list read only one field of it.
void Append(HeaderList& headers, Arena& arena, HeaderId id, std::string_view name,
            std::string_view value) {
  std::string_view list;
  for (const HeaderField& field : headers) {
    if (field.id != id || field.value.empty()) continue;
    list = list.empty() ? field.value : arena.Concat(list, ", ", field.value);
  }
  headers.Set(id, name, list.empty() ? value : arena.Concat(list, ", ", value));
}

// The address alone: no brackets and no zone, which means something on this machine only. Empty
// for a client on a Unix socket.
std::string_view ClientAddress(const DownstreamInfo& downstream) {
  std::string_view host = downstream.peer_host;
  if (host.starts_with("unix:")) return {};
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  return host.substr(0, host.find('%'));
}

// `text` as a token or quoted-string, whichever it needs (RFC 7239 4).
std::string_view TokenOrQuoted(std::string_view text, Arena& arena) {
  if (IsToken(text)) return text;
  char* const out = arena.Allocate(2 * text.size() + 2);
  char* end = out;
  *end++ = '"';
  for (char c : text) {
    if (c == '"' || c == '\\') *end++ = '\\';
    *end++ = c;
  }
  *end++ = '"';
  return {out, static_cast<size_t>(end - out)};
}

// One element of Forwarded (RFC 7239 4); an IPv6 address is bracketed and quoted (6).
std::string_view ForwardedElement(std::string_view address, std::string_view proto,
                                  std::string_view host, Arena& arena) {
  std::string_view node = "unknown";
  if (!address.empty()) {
    node =
        address.find(':') == std::string_view::npos ? address : arena.Concat("\"[", address, "]\"");
  }
  if (host.empty()) return arena.Concat("for=", node, ";proto=", proto);
  return arena.Concat("for=", node, ";host=", TokenOrQuoted(host, arena), ";proto=", proto);
}

bool IsSaneRequestId(std::string_view id) {
  return !id.empty() && id.size() <= kMaxRequestId && IsVisibleAscii(id);
}

// "000102...ff": two digits for each byte.
constexpr std::array<char, 512> kHexPairs = [] {
  constexpr char kDigits[] = "0123456789abcdef";
  std::array<char, 512> pairs{};
  for (size_t byte = 0; byte < 256; ++byte) {
    pairs[2 * byte] = kDigits[byte >> 4];
    pairs[2 * byte + 1] = kDigits[byte & 0xf];
  }
  return pairs;
}();

// A version 4 UUID (RFC 9562 5.4): unique, not secret.
std::string_view NewUuid(Random& random, Arena& arena) {
  constexpr size_t kLength = 36;
  const uint64_t high = (random.Next() & ~uint64_t{0xf000}) | 0x4000;
  const uint64_t low = (random.Next() & ~(uint64_t{3} << 62)) | uint64_t{1} << 63;
  char* const out = arena.Allocate(kLength);
  char* end = out;
  for (int byte = 0; byte < 16; ++byte) {
    if (byte == 4 || byte == 6 || byte == 8 || byte == 10) *end++ = '-';
    const uint64_t half = byte < 8 ? high : low;
    std::memcpy(end, &kHexPairs[2 * (half >> (56 - byte % 8 * 8) & 0xff)], 2);
    end += 2;
  }
  return {out, kLength};
}

}  // namespace

// Which fields a request has that matter here, so that the common case, none, only adds.
struct Forwarding::Seen {
  explicit Seen(const HeaderList& headers) {
    for (const HeaderField& field : headers) bits |= SeenBitOf(field);
  }
  bool Has(uint8_t any_of) const { return (bits & any_of) != 0; }
  uint8_t bits = 0;
};

Forwarding::Forwarding(const ListenerConfig& config)
    : forwarded_(config.forwarded),
      trust_(config.trust_forwarded),
      client_cert_(config.forward_client_cert) {
  if (config.via.empty()) return;
  via_ = {"1.0 " + config.via, "1.1 " + config.via, "2 " + config.via, "3 " + config.via};
}

std::string_view Forwarding::ViaFor(HttpVersion version) const {
  if (version.major == 1) return via_[version.minor == 0 ? 0 : 1];
  return via_[version.major == 2 ? 2 : 3];
}

void Forwarding::ApplyToRequest(RequestHead& head, const DownstreamInfo& downstream,
                                Random& random) const {
  HeaderList& headers = head.headers;
  Seen seen(headers);
  constexpr uint8_t kForwardedFields =
      kSeenFor | kSeenProto | kSeenHost | kSeenForwarded | kSeenOther;
  if (!trust_ && seen.Has(kForwardedFields)) {
    headers.RemoveIf(
        [](const HeaderField& field) { return (SeenBitOf(field) & kForwardedFields) != 0; });
    seen.bits &= static_cast<uint8_t>(~kForwardedFields);
  }
  AddForwardedFields(head, downstream, seen);
  ForwardClientCertificate(client_cert_, head, downstream);

  if (!seen.Has(kSeenRequestId)) {
    headers.Add(HeaderId::kXRequestId, "X-Request-Id", NewUuid(random, head.arena));
  } else {
    const std::string_view id = headers.Value(HeaderId::kXRequestId);
    headers.Set(HeaderId::kXRequestId, "X-Request-Id",
                IsSaneRequestId(id) ? id : NewUuid(random, head.arena));
  }

  const std::string_view via = ViaFor(head.version);
  if (via.empty()) return;
  if (seen.Has(kSeenVia)) {
    Append(headers, head.arena, HeaderId::kVia, "Via", via);
  } else {
    headers.Add(HeaderId::kVia, "Via", via);
  }
}

void Forwarding::AddForwardedFields(RequestHead& head, const DownstreamInfo& downstream,
                                    const Seen& seen) const {
  HeaderList& headers = head.headers;
  const std::string_view address = ClientAddress(downstream);
  const std::string_view proto = downstream.tls ? "https" : "http";

  if (seen.Has(kSeenFor) && !address.empty()) {
    Append(headers, head.arena, HeaderId::kXForwardedFor, "X-Forwarded-For", address);
  } else if (!address.empty()) {
    headers.Add(HeaderId::kXForwardedFor, "X-Forwarded-For", address);
  }
  if (!seen.Has(kSeenProto)) headers.Add(HeaderId::kXForwardedProto, "X-Forwarded-Proto", proto);
  if (!seen.Has(kSeenHost) && !head.authority.empty()) {
    headers.Add(HeaderId::kXForwardedHost, "X-Forwarded-Host", head.authority);
  }
  if (!forwarded_) return;
  const std::string_view element = ForwardedElement(address, proto, head.authority, head.arena);
  if (seen.Has(kSeenForwarded)) {
    Append(headers, head.arena, HeaderId::kForwarded, "Forwarded", element);
  } else {
    headers.Add(HeaderId::kForwarded, "Forwarded", element);
  }
}

void Forwarding::ApplyToResponse(ResponseHead& head) const {
  const std::string_view via = ViaFor(head.version);
  if (via.empty()) return;
  if (head.headers.Find(HeaderId::kVia) != nullptr) {
    Append(head.headers, head.arena, HeaderId::kVia, "Via", via);
  } else {
    head.headers.Add(HeaderId::kVia, "Via", via);
  }
}

bool DecrementMaxForwards(RequestHead& head) {
  if (head.method != Method::kOptions && head.method != Method::kTrace) return true;
  const HeaderField* field = head.headers.Find(HeaderId::kMaxForwards);
  if (field == nullptr) return true;
  uint64_t hops = 0;
  const char* const end = field->value.data() + field->value.size();
  const auto parsed = std::from_chars(field->value.data(), end, hops);
  if (parsed.ptr != end || parsed.ec == std::errc::invalid_argument) return true;
  // More than we can count is decremented to the most we can, as the RFC allows.
  if (parsed.ec == std::errc::result_out_of_range) hops = UINT64_MAX;
  if (hops == 0) return false;
  const fmt::format_int fewer(hops - 1);
  head.headers.Set(HeaderId::kMaxForwards, "Max-Forwards",
                   head.arena.Copy({fewer.data(), fewer.size()}));
  return true;
}

void AnswerAsRecipient(ServerStream& stream, Loop& loop) {
  const RequestHead& request = stream.request();
  if (request.method != Method::kTrace) {
    ResponseHead head;
    head.status = 204;
    stream.SendHead(head, true);
    return;
  }
  fmt::memory_buffer text;
  const auto out = std::back_inserter(text);
  fmt::format_to(out, "TRACE {} HTTP/{}.{}\r\nHost: {}\r\n", request.path, request.version.major,
                 request.version.minor, request.authority);
  for (const HeaderField& field : request.headers) {
    if (field.id == HeaderId::kAuthorization || field.id == HeaderId::kCookie ||
        EqualsIgnoreCase(field.name, "proxy-authorization")) {
      continue;
    }
    fmt::format_to(out, "{}: {}\r\n", field.name, field.value);
  }
  fmt::format_to(out, "\r\n");
  char* const body = loop.Scratch(text.size());
  std::memcpy(body, text.data(), text.size());
  SendSimpleResponse(stream, 200, {body, text.size()}, "message/http");
}

}  // namespace sluice
