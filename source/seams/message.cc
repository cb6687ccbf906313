#include "sluice/message.h"

#include <cstring>

namespace sluice {

namespace {

constexpr uint64_t kEachByte = 0x0101010101010101;

uint64_t Load(const char* from) {
  uint64_t word;
  std::memcpy(&word, from, sizeof(word));
  return word;
}

// Eight characters in lower case: bytes from 'A' to 'Z' get their 0x20 bit, all others stay.
uint64_t Lower(uint64_t word) {
  const uint64_t low_bits = word & (0x7f * kEachByte);
  const uint64_t at_least_a = low_bits + (0x80 - 'A') * kEachByte;  // top bit: >= 'A'
  const uint64_t above_z = low_bits + (0x7f - 'Z') * kEachByte;     // top bit: > 'Z'
  const uint64_t upper = (at_least_a ^ above_z) & ~word & (0x80 * kEachByte);
  return word | (upper >> 2);
}

char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; }

// `a` and `b` are of the same length.
bool SameIgnoringCase(const char* a, const char* b, size_t size) {
  if (size < 8) {
    for (size_t i = 0; i < size; ++i) {
      if (Lower(a[i]) != Lower(b[i])) return false;
    }
    return true;
  }
  for (size_t i = 0; i + 8 < size; i += 8) {
    if (Lower(Load(a + i)) != Lower(Load(b + i))) return false;
  }
  return Lower(Load(a + size - 8)) == Lower(Load(b + size - 8));
}

struct KnownHeader {
  std::string_view name;
  HeaderId id;
};

// kOther unless `name`, of the same length as all `candidates`, is one of them.
template <size_t kCount>
HeaderId Choose(std::string_view name, const KnownHeader (&candidates)[kCount]) {
  for (const KnownHeader& candidate : candidates) {
    if (Lower(name[0]) == candidate.name[0] &&
        SameIgnoringCase(name.data(), candidate.name.data(), name.size())) {
      return candidate.id;
    }
  }
  return HeaderId::kOther;
}

constexpr KnownHeader kSize2[] = {{"te", HeaderId::kTe}};
constexpr KnownHeader kSize3[] = {{"via", HeaderId::kVia}};
constexpr KnownHeader kSize4[] = {{"date", HeaderId::kDate}, {"host", HeaderId::kHost}};
constexpr KnownHeader kSize6[] = {
    {"cookie", HeaderId::kCookie}, {"expect", HeaderId::kExpect}, {"server", HeaderId::kServer}};
constexpr KnownHeader kSize7[] = {{"trailer", HeaderId::kTrailer}, {"upgrade", HeaderId::kUpgrade}};
constexpr KnownHeader kSize8[] = {{"location", HeaderId::kLocation}};
constexpr KnownHeader kSize9[] = {{"forwarded", HeaderId::kForwarded}};
constexpr KnownHeader kSize10[] = {{"connection", HeaderId::kConnection},
                                   {"keep-alive", HeaderId::kKeepAlive},
                                   {"user-agent", HeaderId::kUserAgent}};
constexpr KnownHeader kSize11[] = {{"retry-after", HeaderId::kRetryAfter}};
constexpr KnownHeader kSize12[] = {{"content-type", HeaderId::kContentType},
                                   {"max-forwards", HeaderId::kMaxForwards},
                                   {"x-request-id", HeaderId::kXRequestId}};
constexpr KnownHeader kSize13[] = {{"authorization", HeaderId::kAuthorization}};
constexpr KnownHeader kSize14[] = {{"content-length", HeaderId::kContentLength},
                                   {"http2-settings", HeaderId::kHttp2Settings},
                                   {"x-sluice-drain", HeaderId::kXSluiceDrain}};
constexpr KnownHeader kSize15[] = {{"x-forwarded-for", HeaderId::kXForwardedFor}};
constexpr KnownHeader kSize16[] = {{"x-forwarded-host", HeaderId::kXForwardedHost},
                                   {"proxy-connection", HeaderId::kProxyConnection}};
constexpr KnownHeader kSize17[] = {{"transfer-encoding", HeaderId::kTransferEncoding},
                                   {"x-forwarded-proto", HeaderId::kXForwardedProto}};

// By HeaderId.
constexpr std::string_view kLowerNames[] = {
    "",
    "authorization",
    "connection",
    "content-length",
    "content-type",
    "cookie",
    "date",
    "expect",
    "forwarded",
    "host",
    "http2-settings",
    "keep-alive",
    "location",
    "max-forwards",
    "proxy-connection",
    "retry-after",
    "server",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "via",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-request-id",
    "x-sluice-drain",
};

}  // namespace

std::string_view LowerHeaderName(HeaderId id) { return kLowerNames[static_cast<size_t>(id)]; }

HeaderId LookupHeader(std::string_view name) {
  switch (name.size()) {
    case 2:
      return Choose(name, kSize2);
    case 3:
      return Choose(name, kSize3);
    case 4:
      return Choose(name, kSize4);
    case 6:
      return Choose(name, kSize6);
    case 7:
      return Choose(name, kSize7);
    case 8:
      return Choose(name, kSize8);
    case 9:
      return Choose(name, kSize9);
    case 10:
      return Choose(name, kSize10);
    case 11:
      return Choose(name, kSize11);
    case 12:
      return Choose(name, kSize12);
    case 13:
      return Choose(name, kSize13);
    case 14:
      return Choose(name, kSize14);
    case 15:
      return Choose(name, kSize15);
    case 16:
      return Choose(name, kSize16);
    case 17:
      return Choose(name, kSize17);
    default:
      return HeaderId::kOther;
  }
}

bool EqualsIgnoreCase(std::string_view a, std::string_view b) {
  return a.size() == b.size() && SameIgnoringCase(a.data(), b.data(), a.size());
}

const HeaderField* HeaderList::Find(HeaderId id) const {
  for (const HeaderField& field : fields_) {
    if (field.id == id) return &field;
  }
  return nullptr;
}

const HeaderField* HeaderList::Find(std::string_view name) const {
  if (const HeaderId id = LookupHeader(name); id != HeaderId::kOther) return Find(id);
  for (const HeaderField& field : fields_) {
    if (EqualsIgnoreCase(field.name, name)) return &field;
  }
  return nullptr;
}

std::string_view HeaderList::Value(HeaderId id) const {
  const HeaderField* field = Find(id);
  return field == nullptr ? std::string_view() : field->value;
}

std::string_view HeaderList::Value(std::string_view name) const {
  const HeaderField* field = Find(name);
  return field == nullptr ? std::string_view() : field->value;
}

void HeaderList::Set(HeaderId id, std::string_view name, std::string_view value) {
  if (id == HeaderId::kOther) {
    Remove(name);
  } else {
    Remove(id);
  }
  Add(id, name, value);
}

void HeaderList::Set(std::string_view name, std::string_view value) {
  Set(LookupHeader(name), name, value);
}

void HeaderList::Remove(HeaderId id) {
  RemoveIf([id](const HeaderField& field) { return field.id == id; });
}

void HeaderList::Remove(std::string_view name) {
  if (const HeaderId id = LookupHeader(name); id != HeaderId::kOther) return Remove(id);
  RemoveIf([name](const HeaderField& field) { return EqualsIgnoreCase(field.name, name); });
}

Method LookupMethod(std::string_view name) {
  switch (name.size()) {
    case 3:
      if (name == "GET") return Method::kGet;
      if (name == "PUT") return Method::kPut;
      break;
    case 4:
      if (name == "POST") return Method::kPost;
      if (name == "HEAD") return Method::kHead;
      break;
    case 5:
      if (name == "PATCH") return Method::kPatch;
      if (name == "TRACE") return Method::kTrace;
      break;
    case 6:
      if (name == "DELETE") return Method::kDelete;
      break;
    case 7:
      if (name == "OPTIONS") return Method::kOptions;
      if (name == "CONNECT") return Method::kConnect;
      break;
    default:
      break;
  }
  return Method::kOther;
}

bool IsIdempotent(Method method) {
  switch (method) {
    case Method::kDelete:
    case Method::kGet:
    case Method::kHead:
    case Method::kOptions:
    case Method::kPut:
    case Method::kTrace:
      return true;
    case Method::kConnect:
    case Method::kOther:
    case Method::kPatch:
    case Method::kPost:
      return false;
  }
  return false;
}

void RequestHead::Reset() {
  arena.Reset();
  method = Method::kGet;
  method_name = {};
  scheme = {};
  authority = {};
  path = {};
  version = {};
  headers.Clear();
  content_length.reset();
  upgrade = {};
  expects_continue = false;
  accepts_trailers = false;
}

void ResponseHead::Reset() {
  arena.Reset();
  status = 200;
  reason = {};
  version = {};
  headers.Clear();
  content_length.reset();
  upgrade = {};
}

std::string_view ReasonPhrase(int status) {
  switch (status) {
    case 100:
      return "Continue";
    case 101:
      return "Switching Protocols";
    case 200:
      return "OK";
    case 201:
      return "Created";
    case 202:
      return "Accepted";
    case 203:
      return "Non-Authoritative Information";
    case 204:
      return "No Content";
    case 205:
      return "Reset Content";
    case 206:
      return "Partial Content";
    case 300:
      return "Multiple Choices";
    case 301:
      return "Moved Permanently";
    case 302:
      return "Found";
    case 303:
      return "See Other";
    case 304:
      return "Not Modified";
    case 305:
      return "Use Proxy";
    case 307:
      return "Temporary Redirect";
    case 308:
      return "Permanent Redirect";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 402:
      return "Payment Required";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 406:
      return "Not Acceptable";
    case 407:
      return "Proxy Authentication Required";
    case 408:
      return "Request Timeout";
    case 409:
      return "Conflict";
    case 410:
      return "Gone";
    case 411:
      return "Length Required";
    case 412:
      return "Precondition Failed";
    case 413:
      return "Content Too Large";
    case 414:
      return "URI Too Long";
    case 415:
      return "Unsupported Media Type";
    case 416:
      return "Range Not Satisfiable";
    case 417:
      return "Expectation Failed";
    case 421:
      return "Misdirected Request";
    case 422:
      return "Unprocessable Content";
    case 426:
      return "Upgrade Required";
    case 429:  // RFC 6585, as is 431
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 502:
      return "Bad Gateway";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    case 505:
      return "HTTP Version Not Supported";
    default:
      return "";
  }
}

}  // namespace sluice
