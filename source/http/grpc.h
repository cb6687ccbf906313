// What a proxy has to know of gRPC over HTTP/2 (the gRPC project's PROTOCOL-HTTP2.md): which
// requests are gRPC, how long they may take, and how an error of ours is told to them. The messages
// in the body are not looked at.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/arena.h"
#include "base/time.h"
#include "sluice/handler.h"
#include "sluice/message.h"

namespace sluice {

// The status codes that a proxy has reason to send.
enum class GrpcStatus : uint8_t {
  kCancelled = 1,
  kUnknown = 2,
  kDeadlineExceeded = 4,
  kPermissionDenied = 7,
  kResourceExhausted = 8,
  kUnimplemented = 12,
  kInternal = 13,
  kUnavailable = 14,
  kUnauthenticated = 16,
};

// True for "application/grpc", alone or with a "+" suffix or parameters. grpc-web is not gRPC: it
// is made for HTTP without trailers.
bool IsGrpcContentType(std::string_view content_type);

// A request that offers an upgrade is none: what it asks for is another protocol.
bool IsGrpc(const RequestHead& request);

// True when an error to this request is told as a gRPC status: what the codec found, or, as a route
// may have edited the head since, what the head says.
bool AsksForGrpc(ServerStream& stream);

// The value of grpc-timeout: at most 8 digits and a unit (H, M, S, m, u, n). Nothing when there is
// none, or it is malformed. Never less than a millisecond, which is as fine as our clock, nor more
// than a year, so that it can be added to a time.
std::optional<Duration> GrpcTimeout(const RequestHead& request);

// What a gRPC client makes of an HTTP status (the project's http-grpc-status-mapping.md), but for
// those that Sluice itself answers: 413 and 431 are resource_exhausted, 408 is cancelled and 504
// deadline_exceeded.
GrpcStatus GrpcStatusFor(int http_status);

// `text` as grpc-message wants it: percent-encoded but for printable ASCII. Lives in `arena`, or is
// `text` itself.
std::string_view EncodeGrpcMessage(std::string_view text, Arena& arena);

// The grpc-status among `fields`, a response's head or its trailers: 0 to 99, or -1 when there is
// none or it is no such number.
int GrpcStatusIn(const HeaderList& fields);

// Makes `head` the whole answer to a gRPC request that failed: HTTP status 200 and the gRPC status
// in the head ("Trailers-Only"). `message` is lent until it is sent.
void MakeGrpcError(GrpcStatus status, std::string_view message, ResponseHead& head);

// Ends a response whose head was not sent: the head of MakeGrpcError, which is also the end of the
// stream. Over HTTP/1.1 the head is the same, for a proxy in front that translates.
void SendGrpcError(ServerStream& stream, GrpcStatus status, std::string_view message);

// Follows a response, so that an error can be told in the middle of it. Trailers are read by every
// client only between two messages: after half of one, some wait for its rest for ever
// (docs/decisions/0007-grpc.md). For the codec that offers ServerStream::takes_grpc_status.
class GrpcResponse {
 public:
  void OnHead(const ResponseHead& head);
  void OnBody(std::string_view bytes);
  // Reads up to and including the first end of a message, and returns how many bytes that were: all
  // of them when no message ends in `bytes`.
  size_t ToMessageEnd(std::string_view bytes);

  // It is gRPC, of no length promised in advance, and stands between two messages.
  bool takes_status() const { return is_grpc_ && message_left_ == 0 && prefix_bytes_ == 0; }

 private:
  // A message: one byte of flags, four of its length, the rest.
  static constexpr uint8_t kPrefix = 5;
  uint32_t message_left_ = 0;
  uint32_t length_ = 0;       // as far as it was read
  uint8_t prefix_bytes_ = 0;  // of the prefix that is being read
  bool is_grpc_ = false;
};

// Ends a response that ServerStream::takes_grpc_status: trailers with the gRPC status.
void EndWithGrpcStatus(ServerStream& stream, GrpcStatus status, std::string_view message);

}  // namespace sluice
