#include "http/h1_head.h"

#include <algorithm>

#include "http/h1_fields.h"

namespace sluice {

namespace {

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// "HTTP/" DIGIT "." DIGIT (RFC 9112 2.3). Two versions are spoken here.
std::optional<H1Error> ReadVersion(std::string_view text, HttpVersion& version) {
  if (text.size() != 8 || !text.starts_with("HTTP/") || !IsDigit(text[5]) || text[6] != '.' ||
      !IsDigit(text[7])) {
    return H1Error{400, "version"};
  }
  version.major = static_cast<uint8_t>(text[5] - '0');
  version.minor = static_cast<uint8_t>(text[7] - '0');
  if (version.major != 1 || version.minor > 1) return H1Error{505, "version"};
  return std::nullopt;
}

// absolute-form (RFC 9112 3.2.2): the target's authority counts, not Host.
std::optional<H1Error> ReadAbsoluteTarget(RequestHead& head) {
  std::string_view rest = head.path;
  const size_t scheme_end = rest.find("://");
  if (scheme_end == std::string_view::npos) return H1Error{400, "target"};
  const std::string_view scheme = rest.substr(0, scheme_end);
  if (!EqualsIgnoreCase(scheme, "http") && !EqualsIgnoreCase(scheme, "https")) {
    return H1Error{400, "target"};
  }
  rest.remove_prefix(scheme_end + 3);
  head.authority = rest.substr(0, rest.find_first_of("/?"));
  if (!IsAuthority(head.authority)) return H1Error{400, "target"};
  rest.remove_prefix(head.authority.size());
  if (rest.empty()) {
    // RFC 9112 3.2.4: OPTIONS for the whole server.
    head.path = head.method == Method::kOptions ? "*" : "/";
  } else {
    head.path = rest.front() == '?' ? head.arena.Concat("/", rest) : rest;
  }
  return std::nullopt;
}

// The four forms of a target (RFC 9112 3.2); `head.path` still holds it as received.
std::optional<H1Error> ReadTarget(const ConnectionFields& fields, RequestHead& head) {
  // RFC 9112 3.2: exactly one valid Host, but in HTTP/1.0 it may be missing.
  if (fields.hosts > 1 || (fields.hosts == 0 && head.version.minor >= 1)) {
    return H1Error{400, "host"};
  }
  if (fields.hosts == 1 && !IsAuthority(fields.host)) return H1Error{400, "host"};

  if (head.method == Method::kConnect) {
    if (!IsAuthority(head.path, /*port_required=*/true)) return H1Error{400, "target"};
    head.authority = head.path;
    return std::nullopt;
  }
  head.authority = fields.host;
  if (head.path.front() == '/') return std::nullopt;
  if (head.path == "*") {
    if (head.method != Method::kOptions) return H1Error{400, "target"};
    return std::nullopt;
  }
  return ReadAbsoluteTarget(head);
}

std::optional<H1Error> FrameRequest(const HttpLimits& limits, const ConnectionFields& fields,
                                    RequestHead& head, H1HeadInfo& info) {
  if (fields.encodings > 0) {
    if (std::optional<H1Error> error = CheckTransferEncoding(head.version, fields)) return error;
    info.framing = H1Framing::kChunked;
  }
  if (std::optional<H1Error> error = ReadContentLength(fields, head.content_length)) return error;
  if (head.content_length.value_or(0) > 0) info.framing = H1Framing::kLength;

  if (limits.body_bytes != 0 && head.content_length.value_or(0) > limits.body_bytes) {
    return H1Error{413, "body_bytes"};
  }
  // RFC 9110 9.3.6: what follows CONNECT is the tunnel's.
  if (head.method == Method::kConnect && info.framing != H1Framing::kNone) {
    return H1Error{400, "connect_with_body"};
  }
  return std::nullopt;
}

// What a client offers to switch to. HTTP/2 is not offered further: upstream, the rest of the
// connection would be a second HTTP that nobody here reads (RFC 9113 3.1 gave "h2c" up).
std::string_view OfferedUpgrade(HttpVersion version, const ConnectionFields& fields) {
  // RFC 9110 7.8: ignored in HTTP/1.0, and it needs the connection option.
  if (version.minor == 0 || !fields.upgrade_option) return {};
  if (HasToken(fields.upgrade, "h2c") || HasToken(fields.upgrade, "h2")) return {};
  return fields.upgrade;
}

std::optional<H1Error> FrameResponse(bool to_head, bool to_connect, const ConnectionFields& fields,
                                     ResponseHead& head, H1HeadInfo& info) {
  // RFC 9110 9.3.6: a tunnel begins, whatever the framing fields say.
  if (to_connect && head.status >= 200 && head.status < 300) {
    info.keep_alive = false;
    return std::nullopt;
  }
  if (fields.encodings > 0) {
    if (std::optional<H1Error> error = CheckTransferEncoding(head.version, fields)) return error;
  }
  if (std::optional<H1Error> error = ReadContentLength(fields, head.content_length)) return error;

  // RFC 9112 6.3: these end with the head. Where the head announces a body all the same (it must
  // not: 6.1, RFC 9110 8.6), what follows is not to be taken for the next response.
  if (head.status < 200 || head.status == 204) {
    if (fields.encodings > 0 || head.content_length.value_or(0) > 0) {
      if (head.status < 200) return H1Error{400, "body_of_1xx"};
      info.keep_alive = false;
    }
    head.content_length.reset();
  } else if (to_head || head.status == 304) {
    info.framing = H1Framing::kNone;
  } else if (fields.encodings > 0) {
    info.framing = H1Framing::kChunked;
  } else if (!head.content_length) {
    info.framing = H1Framing::kUntilClose;
    info.keep_alive = false;
  } else if (*head.content_length > 0) {
    info.framing = H1Framing::kLength;
  }
  return std::nullopt;
}

}  // namespace

std::optional<H1Error> ReadRequestLine(std::string_view line, const HttpLimits& limits,
                                       RequestHead& head) {
  // RFC 9112 3: method SP request-target SP HTTP-version, and single spaces, since other parsers
  // differ in what they make of more.
  const size_t method_end = line.find(' ');
  const size_t target_end = line.rfind(' ');
  if (method_end == std::string_view::npos) return H1Error{400, "request_line"};
  head.method_name = line.substr(0, method_end);
  if (!IsToken(head.method_name)) return H1Error{400, "method"};
  if (method_end == target_end) return H1Error{400, "request_line"};
  head.method = LookupMethod(head.method_name);
  head.path = line.substr(method_end + 1, target_end - method_end - 1);
  if (head.path.size() > limits.uri_bytes) return H1Error{414, "uri_bytes"};
  if (std::optional<H1Error> error = ReadVersion(line.substr(target_end + 1), head.version))
    return error;
  if (!IsTargetText(head.path)) return H1Error{400, "target"};
  return std::nullopt;
}

std::optional<H1Error> FinishRequestHead(const HttpLimits& limits, RequestHead& head,
                                         H1HeadInfo& info) {
  ConnectionFields fields;
  fields.Gather(head.headers, head.arena);
  if (std::optional<H1Error> error = ReadTarget(fields, head)) return error;
  if (std::optional<H1Error> error = ReadConnection(H1Side::kRequest, fields)) return error;
  if (std::optional<H1Error> error = FrameRequest(limits, fields, head, info)) return error;
  if (fields.expects_unknown) return H1Error{417, "expect"};

  // RFC 9110 10.1.1: ignored in HTTP/1.0, and without a body there is nothing to continue.
  head.expects_continue =
      fields.expects_continue && head.version.minor >= 1 && info.framing != H1Framing::kNone;
  head.accepts_trailers = fields.trailers_accepted;
  head.scheme = "http";
  head.upgrade = OfferedUpgrade(head.version, fields);
  // A client may send tunnel bytes right behind a CONNECT; after a refusal they must not be taken
  // for requests.
  info.keep_alive = KeepsAlive(head.version, fields) && head.method != Method::kConnect;
  if (fields.named_count > 0) info.connection = fields.connection;
  RemoveConnectionFields(H1Side::kRequest, fields, head.headers);
  return std::nullopt;
}

std::optional<H1Error> ReadStatusLine(std::string_view line, ResponseHead& head) {
  // RFC 9112 4: HTTP-version SP status-code SP [ reason-phrase ]. Some leave out the last space.
  if (std::optional<H1Error> error = ReadVersion(line.substr(0, 8), head.version)) return error;
  const std::string_view code = line.substr(std::min<size_t>(line.size(), 9), 3);
  if (line.size() < 12 || line[8] != ' ' || (line.size() > 12 && line[12] != ' ') ||
      !std::all_of(code.begin(), code.end(), IsDigit)) {
    return H1Error{400, "status_line"};
  }
  head.status = (code[0] - '0') * 100 + (code[1] - '0') * 10 + (code[2] - '0');
  if (head.status < 100) return H1Error{400, "status_line"};
  head.reason = TrimWhitespace(line.substr(12));
  return std::nullopt;
}

std::optional<H1Error> FinishResponseHead(bool to_head, bool to_connect, ResponseHead& head,
                                          H1HeadInfo& info) {
  ConnectionFields fields;
  fields.Gather(head.headers, head.arena);
  if (std::optional<H1Error> error = ReadConnection(H1Side::kResponse, fields)) return error;
  info.keep_alive = KeepsAlive(head.version, fields);
  if (head.status == 101) {
    // RFC 9110 7.8; a client must fail a handshake that lacks either (RFC 6455 4.1).
    if (head.version.minor == 0 || !fields.upgrade_option || fields.upgrade.empty()) {
      return H1Error{400, "upgrade"};
    }
    head.upgrade = fields.upgrade;
    info.keep_alive = false;
  }
  if (std::optional<H1Error> error = FrameResponse(to_head, to_connect, fields, head, info))
    return error;
  if (fields.named_count > 0) info.connection = fields.connection;
  RemoveConnectionFields(H1Side::kResponse, fields, head.headers);
  return std::nullopt;
}

}  // namespace sluice
