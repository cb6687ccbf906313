// The words the codecs, the router and the proxy speak: message heads and header fields, free of
// any wire format. A codec strips what belongs to its connection only (RFC 9110 7.6.1) and the
// framing fields (Content-Length, Transfer-Encoding) when it reads a head, and writes its own when
// it sends one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/arena.h"

namespace sluice {

// Names that some code looks at; all others are kOther and compared as text.
enum class HeaderId : uint8_t {
  kOther,
  kAuthorization,
  kConnection,
  kContentLength,
  kContentType,
  kCookie,
  kDate,
  kExpect,
  kForwarded,
  kHost,
  kHttp2Settings,
  kKeepAlive,
  kLocation,
  kMaxForwards,
  kProxyConnection,
  kRetryAfter,
  kServer,
  kTe,
  kTrailer,
  kTransferEncoding,
  kUpgrade,
  kUserAgent,
  kVia,
  kXForwardedFor,
  kXForwardedHost,
  kXForwardedProto,
  kXRequestId,
  kXSluiceDrain,  // of a response, or a health check's: "true", its upstream is about to go
};

// The id of `name` in any case.
HeaderId LookupHeader(std::string_view name);

// The name of that id in lower case, a constant; empty for kOther.
std::string_view LowerHeaderName(HeaderId id);

// ASCII case-insensitive equality, as field names and most tokens compare (RFC 9110 5.1).
bool EqualsIgnoreCase(std::string_view a, std::string_view b);

struct HeaderField {
  std::string_view name;   // as received; an HTTP/2 codec writes it in lower case
  std::string_view value;  // without surrounding white space
  HeaderId id = HeaderId::kOther;
};

// Fields in the order received. It stores views: names and values live in the head's arena, in
// configuration, or are constants.
class HeaderList {
 public:
  using const_iterator = std::vector<HeaderField>::const_iterator;

  const_iterator begin() const { return fields_.begin(); }
  const_iterator end() const { return fields_.end(); }
  size_t size() const { return fields_.size(); }
  bool empty() const { return fields_.empty(); }
  void Clear() { fields_.clear(); }

  void Add(HeaderId id, std::string_view name, std::string_view value) {
    fields_.push_back({name, value, id});
  }
  void Add(std::string_view name, std::string_view value) { Add(LookupHeader(name), name, value); }

  // The first field of that name, or nullptr.
  const HeaderField* Find(HeaderId id) const;
  const HeaderField* Find(std::string_view name) const;
  // The value of the first field of that name, or an empty view.
  std::string_view Value(HeaderId id) const;
  std::string_view Value(std::string_view name) const;

  // Replaces every field of that name by one.
  void Set(HeaderId id, std::string_view name, std::string_view value);
  void Set(std::string_view name, std::string_view value);

  void Remove(HeaderId id);
  void Remove(std::string_view name);

  // Removes every field for which `unwanted(const HeaderField&)` is true, in one pass.
  template <typename Predicate>
  void RemoveIf(Predicate unwanted) {
    std::erase_if(fields_, unwanted);
  }

 private:
  std::vector<HeaderField> fields_;
};

enum class Method : uint8_t {
  kOther,
  kConnect,
  kDelete,
  kGet,
  kHead,
  kOptions,
  kPatch,
  kPost,
  kPut,
  kTrace,
};

// The method of that name, which is case-sensitive (RFC 9110 9.1).
Method LookupMethod(std::string_view name);

// Idempotent by definition (RFC 9110 9.2.2), so safe to send twice.
bool IsIdempotent(Method method);

struct HttpVersion {
  uint8_t major = 1;
  uint8_t minor = 1;
};

struct RequestHead {
  Arena arena;  // holds what the views below and in `headers` point to
  Method method = Method::kGet;
  std::string_view method_name;
  std::string_view scheme;     // "http" or "https": how the client reached us
  std::string_view authority;  // host[:port] the client asked for; empty only in HTTP/1.0
  std::string_view path;       // origin-form with query, "*", or for CONNECT the authority
  HttpVersion version;
  HeaderList headers;  // without hop-by-hop, framing and Host fields
  std::optional<uint64_t> content_length;
  // Protocols offered with Connection: upgrade in HTTP/1.1; "websocket" of HTTP/2's extended
  // CONNECT, which is this GET in the words of HTTP/1.1 (RFC 8441 5).
  std::string_view upgrade;
  bool expects_continue = false;  // Expect: 100-continue on a request with a body
  bool accepts_trailers = false;  // TE: trailers

  // `path` up to the query.
  std::string_view PathOnly() const { return path.substr(0, path.find('?')); }

  // Ready for the next request, keeping its memory.
  void Reset();
};

struct ResponseHead {
  Arena arena;
  int status = 200;
  std::string_view reason;
  HttpVersion version;
  HeaderList headers;                      // without hop-by-hop and framing fields
  std::optional<uint64_t> content_length;  // also of a response to HEAD or a 304, which has no body
  std::string_view upgrade;                // the protocol a 101 switches to

  bool informational() const { return status >= 100 && status < 200 && status != 101; }

  void Reset();
};

// The standard phrase of `status` (RFC 9110 15), or "" for one it does not name.
std::string_view ReasonPhrase(int status);

}  // namespace sluice
