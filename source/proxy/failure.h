// Why a request got no complete response from an upstream, and how its client is told.
//
// Over HTTP the status says whose fault it was. gRPC has fewer words, chosen so that clients do the
// right thing (docs/decisions/0007-grpc.md):
//
//   no connection, whatever the reason   503, 504   unavailable: nothing was sent, try again
//   the upstream refused it unprocessed  503        unavailable
//   the upstream broke off               502        unavailable
//   what it sent was not HTTP            502        internal: trying again will not help
//   it was silent for too long           504        deadline_exceeded
//   the client's grpc-timeout is over    504        deadline_exceeded
#pragma once

#include <cstdint>
#include <string_view>

#include "http/client_connection.h"
#include "http/grpc.h"
#include "sluice/handler.h"
#include "upstream/endpoint_pool.h"

namespace sluice {

struct Failure {
  int status;              // over HTTP, while no head was sent
  GrpcStatus grpc_status;  // to a gRPC request
  std::string_view detail;
};

Failure FailureOf(ConnectFailure failure);
Failure FailureOf(const UpstreamFailure& failure);

inline constexpr Failure kRouteTimeout{504, GrpcStatus::kDeadlineExceeded, "route_timeout"};
inline constexpr Failure kTryTimeout{504, GrpcStatus::kDeadlineExceeded, "try_timeout"};
inline constexpr Failure kPartialPost{502, GrpcStatus::kUnavailable, "partial_post_replay"};
inline constexpr Failure kGrpcDeadline{504, GrpcStatus::kDeadlineExceeded, "grpc_deadline"};
inline constexpr Failure kEndedEarly{503, GrpcStatus::kUnavailable, "drain_end_early"};
inline constexpr Failure kWebSocketLimit{503, GrpcStatus::kUnavailable, "websocket_limit"};

// Ends the stream: with an error response while no head was sent; afterwards a gRPC response that
// stands between two messages gets its status in trailers, and any other is broken off.
void TellClient(ServerStream& stream, const Failure& failure);

}  // namespace sluice
