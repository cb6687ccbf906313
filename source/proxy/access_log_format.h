// How a line of the access log looks: a JSON object, or a text format compiled once.
//
// A text format is literal text with commands between percent signs; %% is a percent sign. A value
// that is not known is written as "-", a value longer than 4096 bytes is cut and ends in "...".
//
//   %START_TIME%   when the first byte of the request came: 2026-01-31T12:00:00.123Z
//   %METHOD%       GET
//   %PATH%         path and query
//   %AUTHORITY%    the host that was asked for, with its port if one was given
//   %SCHEME%       http or https, as the client reached us
//   %PROTOCOL%     HTTP/1.1
//   %KIND%         what the request counted as: http1, http2, grpc, websocket, ...
//   %STATUS%       of the response head that was sent
//   %GRPC_STATUS%  of a gRPC response: 0 is OK
//   %BYTES_IN%     of the request body
//   %BYTES_OUT%    of the response body
//   %DURATION_MS%  from the first byte of the request to the end of the response: 12.345
//   %UPSTREAM_MS%  from sending the request upstream to the head of its response
//   %ATTEMPTS%     how often the request was sent upstream
//   %ROUTE%  %CLUSTER%  %ENDPOINT%  %LISTENER%
//   %PEER%         the client's address with its port
//   %REQUEST_ID%   X-Request-Id
//   %USER_AGENT%   User-Agent
//   %END%          complete, or how the exchange broke off
//   %DETAIL%       why the proxy answered by itself, e.g. route_timeout
//   %TLS_...%, %CLIENT_...%   what proxy/connection_facts.h knows of the connection
//   %REQ(name)%    any request header field, its first value
//
// In text, '"', '\' and bytes outside printable ASCII are written as \xHH. JSON has these values
// under the same names in lower case (without REQ); what is not known is left out.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/escape.h"
#include "base/time.h"
#include "config/config.h"
#include "proxy/connection_facts.h"
#include "sluice/handler.h"
#include "sluice/result.h"

namespace sluice {

// What a line is made from. Lent for the call.
struct LoggedRequest {
  const RequestHead& request;
  const RequestRecord& record;
  const DownstreamInfo& downstream;
  WallTime started;
  Duration duration;
};

// Writes calendar times as RFC 3339, to the millisecond. Remembers the second last written, which
// is nearly always the next one, too.
class TimestampWriter {
 public:
  void Append(WallTime time, LineBuffer& out);

 private:
  std::chrono::sys_seconds second_ = std::chrono::sys_seconds::min();
  std::array<char, 20> text_{};  // "2026-01-31T12:00:00."
};

enum class LogCommand : uint8_t;

// Immutable, so one serves all workers.
class AccessLogLine {
 public:
  // The line of a validated configuration; fails as Compile does.
  static Result<AccessLogLine> FromConfig(const AccessLogConfig& config);

  static AccessLogLine Json();

  // Compiles a text format. One line break at its end is ignored, another control character is an
  // error, as is an unknown command; the message names the column (from 1) in `format`.
  static Result<AccessLogLine> Compile(std::string_view format);

  // Appends one line with its line break. Allocates only to make `out` grow.
  void Append(const LoggedRequest& logged, TimestampWriter& timestamps, LineBuffer& out) const;

 private:
  struct Piece {
    LogCommand command;
    std::string text;  // the literal; a header's name; in JSON the key, ready to be written
    HeaderId header = HeaderId::kOther;
    ConnectionFact fact = ConnectionFact::kTlsVersion;  // of kFact
  };
  Result<size_t> TakeCommand(std::string_view format, size_t start);

  std::vector<Piece> pieces_;
  bool json_ = false;
};

}  // namespace sluice
