#include "http/h1_fields.h"

#include <algorithm>
#include <iterator>
#include <limits>

namespace sluice {

namespace {

constexpr uint32_t Bit(HeaderId id) { return uint32_t{1} << static_cast<unsigned>(id); }

bool In(uint32_t set, HeaderId id) { return (set & Bit(id)) != 0; }

// Fields that concern one connection and end with it (RFC 9110 7.6.1), and the framing.
constexpr uint32_t kHopByHop = Bit(HeaderId::kConnection) | Bit(HeaderId::kContentLength) |
                               Bit(HeaderId::kHttp2Settings) | Bit(HeaderId::kKeepAlive) |
                               Bit(HeaderId::kProxyConnection) | Bit(HeaderId::kTe) |
                               Bit(HeaderId::kTransferEncoding) | Bit(HeaderId::kUpgrade);

constexpr uint32_t kRemovedFromRequests = kHopByHop | Bit(HeaderId::kHost) | Bit(HeaderId::kExpect);

// Naming one of these in Connection would make us drop what delimits the message.
constexpr uint32_t kNeverInConnection =
    Bit(HeaderId::kContentLength) | Bit(HeaderId::kTransferEncoding);

// In a request these route it, or say who sent it, and a hop in front of us may have written them:
// a client that has them dropped by naming them is up to something.
constexpr uint32_t kNeverInRequestConnection =
    kNeverInConnection | Bit(HeaderId::kAuthorization) | Bit(HeaderId::kCookie) |
    Bit(HeaderId::kExpect) | Bit(HeaderId::kForwarded) | Bit(HeaderId::kHost) |
    Bit(HeaderId::kMaxForwards) | Bit(HeaderId::kVia) | Bit(HeaderId::kXForwardedFor) |
    Bit(HeaderId::kXForwardedHost) | Bit(HeaderId::kXForwardedProto);

std::string_view Join(Arena& arena, std::string_view list, std::string_view more) {
  return list.empty() ? more : arena.Concat(list, ", ", more);
}

void Count(uint8_t& count) {
  if (count < 2) ++count;
}

}  // namespace

void ConnectionFields::Gather(const HeaderList& headers, Arena& arena) {
  for (const HeaderField& field : headers) {
    switch (field.id) {
      case HeaderId::kConnection:
        connection = Join(arena, connection, field.value);
        break;
      case HeaderId::kContentLength:
        Count(lengths);
        length = field.value;
        break;
      case HeaderId::kExpect:
        (EqualsIgnoreCase(field.value, "100-continue") ? expects_continue : expects_unknown) = true;
        break;
      case HeaderId::kHost:
        Count(hosts);
        host = field.value;
        break;
      case HeaderId::kTe:
        trailers_accepted = trailers_accepted || HasToken(field.value, "trailers");
        break;
      case HeaderId::kTransferEncoding:
        Count(encodings);
        encoding = field.value;
        break;
      case HeaderId::kUpgrade:
        upgrade = Join(arena, upgrade, field.value);
        break;
      default:
        break;
    }
  }
}

std::optional<H1Error> ReadConnection(H1Side side, ConnectionFields& fields) {
  const uint32_t forbidden =
      side == H1Side::kRequest ? kNeverInRequestConnection : kNeverInConnection;
  std::string_view list = fields.connection;
  std::string_view option;
  while (NextListItem(list, option)) {
    if (EqualsIgnoreCase(option, "close")) {
      fields.close = true;
      continue;
    }
    const HeaderId id = LookupHeader(option);
    if (In(forbidden, id)) return H1Error{400, "connection_names_protected_field"};
    if (id == HeaderId::kKeepAlive) {
      fields.keep_alive = true;
    } else if (id == HeaderId::kUpgrade) {
      fields.upgrade_option = true;
    } else if (!In(kHopByHop, id)) {
      // An option that cannot be read may hide the name of a field that must not go further.
      if (!IsToken(option)) return H1Error{400, "connection"};
      if (fields.named_count == fields.named.size()) return H1Error{400, "connection"};
      fields.named[fields.named_count++] = option;
    }
  }
  return std::nullopt;
}

void RemoveConnectionFields(H1Side side, const ConnectionFields& fields, HeaderList& headers) {
  const uint32_t removed = side == H1Side::kRequest ? kRemovedFromRequests : kHopByHop;
  const std::string_view* const begin = fields.named.data();
  const std::string_view* const end = begin + fields.named_count;
  headers.RemoveIf([=](const HeaderField& field) {
    if (In(removed, field.id)) return true;
    if (begin == end) return false;
    return std::any_of(begin, end,
                       [&](std::string_view name) { return EqualsIgnoreCase(name, field.name); });
  });
}

// RFC 9112 9.3. Without a choice of the peer's, 1.1 persists and 1.0 does not.
bool KeepsAlive(HttpVersion version, const ConnectionFields& fields) {
  if (fields.close) return false;
  return version.minor >= 1 || fields.keep_alive;
}

// 1*DIGIT (RFC 9110 8.6). What does not fit a signed 64-bit number is refused too, since some
// upstream may read it into one.
std::optional<H1Error> ReadContentLength(const ConnectionFields& fields,
                                         std::optional<uint64_t>& length) {
  if (fields.lengths == 0) return std::nullopt;
  // RFC 9112 6.3 lets us repair equal repetitions, "3, 3", or refuse them.
  if (fields.lengths > 1 || fields.length.empty()) return H1Error{400, "content_length"};
  constexpr uint64_t kMax = std::numeric_limits<int64_t>::max();
  uint64_t value = 0;
  for (char c : fields.length) {
    if (c < '0' || c > '9') return H1Error{400, "content_length"};
    const auto digit = static_cast<uint64_t>(c - '0');
    if (value > (kMax - digit) / 10) return H1Error{400, "content_length"};
    value = value * 10 + digit;
  }
  length = value;
  return std::nullopt;
}

// Transfer-Encoding must be exactly "chunked", the only coding we know.
std::optional<H1Error> CheckTransferEncoding(HttpVersion version, const ConnectionFields& fields) {
  // RFC 9112 6.1: HTTP/1.0 does not have it, so the framing is faulty.
  if (version.minor == 0) return H1Error{400, "transfer_encoding_in_http_1_0"};
  // RFC 9112 6.3: "ought to be handled as an error".
  if (fields.lengths > 0) return H1Error{400, "transfer_encoding_and_content_length"};
  // A second field continues the list (RFC 9110 5.3), but who sends two wants them read
  // differently.
  if (fields.encodings > 1) return H1Error{400, "transfer_encoding"};
  std::string_view list = fields.encoding;
  std::string_view coding;
  bool chunked = false;
  bool others = false;
  while (NextListItem(list, coding)) {
    // Nothing may follow "chunked" (RFC 9112 6.1, 6.3), itself included.
    if (chunked) return H1Error{400, "transfer_encoding"};
    chunked = EqualsIgnoreCase(coding, "chunked");
    others = others || !chunked;
  }
  if (!chunked) return H1Error{400, "transfer_encoding"};
  if (others) return H1Error{501, "transfer_coding"};  // RFC 9112 6.1
  return std::nullopt;
}

void FilterTrailers(std::string_view connection, HeaderList& trailers) {
  // RFC 9110 6.5.1: not for framing, routing, authentication, modifiers of the request, or what is
  // needed to make sense of the content. Names that have an id are looked at by somebody who read
  // the head and believed it.
  static constexpr std::string_view kForbidden[] = {"age",
                                                    "cache-control",
                                                    "content-encoding",
                                                    "content-range",
                                                    "expires",
                                                    "if-match",
                                                    "if-modified-since",
                                                    "if-none-match",
                                                    "if-range",
                                                    "if-unmodified-since",
                                                    "pragma",
                                                    "proxy-authenticate",
                                                    "proxy-authorization",
                                                    "range",
                                                    "set-cookie",
                                                    "vary",
                                                    "www-authenticate"};
  trailers.RemoveIf([connection](const HeaderField& field) {
    if (field.id != HeaderId::kOther) return true;
    const bool forbidden =
        std::any_of(std::begin(kForbidden), std::end(kForbidden),
                    [&field](std::string_view name) { return EqualsIgnoreCase(name, field.name); });
    return forbidden || HasToken(connection, field.name);
  });
}

bool HasToken(std::string_view list, std::string_view token) {
  std::string_view item;
  while (NextListItem(list, item)) {
    if (EqualsIgnoreCase(item, token)) return true;
  }
  return false;
}

}  // namespace sluice
