#include "sluice/handler.h"

namespace sluice {

std::string_view ProtocolName(Protocol protocol) {
  switch (protocol) {
    case Protocol::kHttp1:
      return "http1";
    case Protocol::kHttp2:
      return "http2";
    case Protocol::kGrpc:
      return "grpc";
    case Protocol::kWebSocket:
      return "websocket";
    case Protocol::kEventStream:
      return "event_stream";
    case Protocol::kTunnel:
      return "tunnel";
  }
  return "";
}

std::string_view StreamEndName(StreamEnd end) {
  switch (end) {
    case StreamEnd::kComplete:
      return "complete";
    case StreamEnd::kClientGone:
      return "client_gone";
    case StreamEnd::kClientTimeout:
      return "client_timeout";
    case StreamEnd::kUpstreamFailed:
      return "upstream_failed";
    case StreamEnd::kCut:
      return "cut";
    case StreamEnd::kMoved:
      return "moved";
  }
  return "";
}

void SendSimpleResponse(ServerStream& stream, int status, std::string_view body,
                        std::string_view content_type) {
  // RFC 9110 6.4.1: these have no content whatever they say; 8.6: and a 204 must not state a
  // length.
  const bool no_content = status < 200 || status == 204 || status == 304;
  if (no_content) body = {};
  const bool head_only = body.empty() || stream.request().method == Method::kHead;

  ResponseHead head;
  head.status = status;
  head.reason = ReasonPhrase(status);
  if (!no_content) head.content_length = body.size();
  if (!body.empty()) head.headers.Add(HeaderId::kContentType, "Content-Type", content_type);
  stream.SendHead(head, head_only);
  if (!head_only) stream.SendBody(body, true);
}

}  // namespace sluice
