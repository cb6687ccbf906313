// The seam between a codec and whoever answers: Proxy (proxy/), Admin (admin/), the embedded
// origin, or a fake in a test. A codec makes one ServerStream for each request and gives it to the
// Handler; the Handler answers by it, and receives the rest of the request as its RequestReceiver.
//
//   codec -> Handler::OnRequest(stream)      -> RequestReceiver::OnRequestBody ... end
//   codec <- ServerStream::SendHead, SendBody ... end
//
// One worker thread. A stream ends when its response has ended, or by OnReset; after either the
// handler must not touch it again. A response may end before its request has: what then still
// arrives of the request is the codec's business.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/time.h"
#include "sluice/held.h"
#include "sluice/message.h"
#include "sluice/result.h"
#include "sluice/tls_info.h"

namespace sluice {

class TransportAdopter;  // moved_connection.h

// What a request is counted as while in flight and in the drain report.
enum class Protocol : uint8_t { kHttp1, kHttp2, kGrpc, kWebSocket, kEventStream, kTunnel };
inline constexpr size_t kProtocolCount = 6;
std::string_view ProtocolName(Protocol protocol);  // "http1", "http2", "grpc", ...

// Why a stream ended other than by its complete response.
enum class StreamEnd : uint8_t {
  kComplete,
  kClientGone,      // the client closed, reset, or broke the protocol
  kClientTimeout,   // the client stopped sending its request or taking its response
  kUpstreamFailed,  // the response broke off after its head was sent
  kCut,             // a straggler at a drain's deadline
  kMoved,           // it goes on in another process, where its end will be on record
};
std::string_view StreamEndName(StreamEnd end);

// Who a listener serves: clients from outside, or the application beside a sidecar.
enum class Direction : uint8_t { kInbound, kOutbound };

// What is known of a connection for as long as it lives.
struct DownstreamInfo {
  std::string_view listener;  // its name; lives as long as the listener's configuration
  Direction direction = Direction::kInbound;
  std::string peer;            // "127.0.0.1:41234" or "unix:"
  std::string_view peer_host;  // `peer` without the port; all of it on a Unix socket
  bool tls = false;
  const TlsInfo* tls_info = nullptr;  // of a TLS connection; lives as long as the connection
};

// The account of one request: kept up by the codec (C) and the handler (H), read by the access log
// and, while the request is in flight, by the drain report and /connections.
struct RequestRecord {
  TimePoint started{};                   // C: first byte of the request
  Protocol protocol = Protocol::kHttp1;  // C, also for gRPC; H for an event stream
  int status = 0;                        // C: of the response head sent; 0 while none was
  int8_t grpc_status = -1;               // H: of a gRPC response; -1 while none is known
  uint64_t bytes_in = 0;                 // C: request body
  uint64_t bytes_out = 0;                // C: response body
  StreamEnd end = StreamEnd::kComplete;  // C
  std::string_view detail;    // C, H: a constant such as "route_timeout", why the status is ours
  std::string_view route;     // H: lives in `generation`
  std::string_view cluster;   // H: the same
  std::string_view endpoint;  // H: address; lives in `endpoint_holder`
  Duration upstream_time{};   // H: from sending the request to the response head
  uint8_t attempts = 0;       // H: times the request was sent upstream
  std::string_view waiting_for = "request head";  // C, H: a constant, for the straggler list
  Hold<Generation> generation;  // H: the configuration that it goes by; null: it has met none
  Hold<Held> endpoint_holder;   // H
};

// Picks some of the requests in flight.
using StreamFilter = std::function<bool(const RequestRecord&, const DownstreamInfo&)>;

// A tunnel that stands still, for the process that goes on with it.
struct FrozenTunnel {
  std::string state;  // for the handler there
  int upstream = -1;  // a descriptor, which is lent
};

// The handler's side of one request.
class RequestReceiver {
 public:
  // `bytes` is lent until the end of the current dispatch. Empty only when `end_stream`.
  virtual void OnRequestBody(std::string_view bytes, bool end_stream) = 0;
  // Ends the request; `trailers` is lent for the call.
  virtual void OnRequestTrailers(const HeaderList& trailers) = 0;
  // The response's queue, congested before, takes more.
  virtual void OnResponseWritable() = 0;
  // The drain's deadline: what can be said at once, and even the end of the stream, is sent now.
  // Unless it is, OnReset follows.
  virtual void OnCut() {}
  // Of a tunnel: stands still on both sides, until Thaw or OnReset, and says what another process
  // needs to go on with it. Nothing, and nothing has changed, where that is not possible.
  virtual std::optional<FrozenTunnel> Freeze() { return std::nullopt; }
  virtual void Thaw() {}
  // The stream is gone: nothing can be sent any more.
  virtual void OnReset(StreamEnd why) = 0;

 protected:
  ~RequestReceiver() = default;
};

// The codec's side of one request.
class ServerStream {
 public:
  // Parsed, valid until the stream ends. The handler may edit it.
  virtual RequestHead& request() = 0;
  virtual RequestRecord& record() = 0;
  virtual const DownstreamInfo& downstream() const = 0;

  // Must be called in Handler::OnRequest unless the response is ended there.
  virtual void SetReceiver(RequestReceiver* receiver) = 0;

  // Sends a 1xx other than 101. Dropped where the client would not understand it (HTTP/1.0).
  virtual void SendInformational(const ResponseHead& head) = 0;

  // Sends the final head. Status 101, or 2xx to CONNECT, turns the stream into a tunnel: from then
  // on request and response bodies are its two directions, each with its own end. HTTP/2 says 200
  // for a 101 (RFC 8441 5).
  virtual void SendHead(const ResponseHead& head, bool end_stream) = 0;

  // `bytes` is lent until the end of the current dispatch.
  virtual void SendBody(std::string_view bytes, bool end_stream) = 0;

  // Ends the response with trailers.
  virtual void SendTrailers(const HeaderList& trailers) = 0;

  // True while a response is under way that can be ended with an error in its own words: trailers
  // with a gRPC status (EndWithGrpcStatus in http/grpc.h).
  virtual bool takes_grpc_status() const { return false; }

  // The connection takes no request after this one: for a request that is valid as a message but
  // that nobody should have sent. Before SendHead.
  virtual void CloseAfterResponse() = 0;

  // Ends the stream without completing the response, so that the client can tell (incomplete
  // chunked body, short body, RST). OnReset is not called. Before the head, prefer an error
  // response.
  virtual void Abort(StreamEnd why) = 0;

  // True while the response is queued up to the high watermark: stop the source, wait for
  // OnResponseWritable.
  virtual bool congested() const = 0;

  // Stops and restarts OnRequestBody, and with it the client.
  virtual void PauseRequest() = 0;
  virtual void ResumeRequest() = 0;

  // Of a tunnel whose response has ended: the rest of its other direction is not waited for. The
  // handler is done with the stream, which is complete as soon as its response has left.
  virtual void DiscardRequest() = 0;

 protected:
  ~ServerStream() = default;
};

class Handler {
 public:
  virtual ~Handler() = default;

  // A request head has arrived. `end_stream`: it has no body.
  virtual void OnRequest(ServerStream& stream, bool end_stream) = 0;

  // Goes on, when its receiver is thawed, with a tunnel that another process has frozen. An error
  // says why it is refused; nobody has touched its descriptor then.
  virtual Result<void> Adopt(ServerStream&, const FrozenTunnel&, TransportAdopter&) {
    return Fail("there is nobody here who takes tunnels");
  }
};

// Told of every request once, when it is over; also of those that never reached a handler (a 400,
// a header timeout). `request` may be incomplete then.
class RequestLog {
 public:
  virtual ~RequestLog() = default;
  virtual void OnRequestDone(const RequestHead& request, const RequestRecord& record,
                             const DownstreamInfo& downstream) = 0;
};

// Sends a complete response with a short plain text body and ends the stream.
void SendSimpleResponse(ServerStream& stream, int status, std::string_view body,
                        std::string_view content_type = "text/plain");

}  // namespace sluice
