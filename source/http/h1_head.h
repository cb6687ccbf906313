// What a finished HTTP/1.x head means: target forms, Host, body framing, persistence, and the
// fields that concern this connection only and end here. The lines were split by H1LineScanner and
// the fields by llhttp; here they are judged by RFC 9110 and 9112.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "http/h1_syntax.h"
#include "http/http_options.h"
#include "sluice/message.h"

namespace sluice {

// How a message's body is delimited (RFC 9112 6.3).
enum class H1Framing : uint8_t { kNone, kLength, kChunked, kUntilClose };

// What the parser must know of a head beyond what RequestHead and ResponseHead say.
struct H1HeadInfo {
  H1Framing framing = H1Framing::kNone;
  bool keep_alive = false;
  // The options of Connection, when fields are named by it: trailers of that name go too.
  std::string_view connection;
};

// Reads "GET /path HTTP/1.1" into `head`: method, version, and the target into `path` as it stands.
// `line` is without CRLF and lives as long as the head.
std::optional<H1Error> ReadRequestLine(std::string_view line, const HttpLimits& limits,
                                       RequestHead& head);

// After ReadRequestLine and once `head.headers` holds all fields as received: resolves the target,
// judges the fields, and removes those that are framing, Host or hop-by-hop.
std::optional<H1Error> FinishRequestHead(const HttpLimits& limits, RequestHead& head,
                                         H1HeadInfo& info);

// Reads "HTTP/1.1 200 OK" into `head`. `line` as above.
std::optional<H1Error> ReadStatusLine(std::string_view line, ResponseHead& head);

// As FinishRequestHead. `to_head`, `to_connect`: the request was HEAD, CONNECT.
std::optional<H1Error> FinishResponseHead(bool to_head, bool to_connect, ResponseHead& head,
                                          H1HeadInfo& info);

}  // namespace sluice
