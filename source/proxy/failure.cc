#include "proxy/failure.h"

#include "http/local_reply.h"

namespace sluice {
namespace {

std::string_view TextOf(const Failure& failure) {
  if (failure.detail == kEndedEarly.detail) {
    return "503 Service Unavailable: this server is draining; ask again\n";
  }
  if (failure.detail == kWebSocketLimit.detail) {
    return "503 Service Unavailable: too many WebSockets are open\n";
  }
  switch (failure.status) {
    case 502:
      return "502 Bad Gateway: the upstream broke off or sent no valid response\n";
    case 503:
      return "503 Service Unavailable: no connection to the upstream\n";
    default:
      return "504 Gateway Timeout: the upstream did not answer in time\n";
  }
}

}  // namespace

Failure FailureOf(ConnectFailure failure) {
  return {failure == ConnectFailure::kTimeout ? 504 : 503, GrpcStatus::kUnavailable,
          ConnectFailureName(failure)};
}

Failure FailureOf(const UpstreamFailure& failure) {
  if (failure.kind == UpstreamFailure::Kind::kRefused) {
    return {503, GrpcStatus::kUnavailable, failure.detail};
  }
  const bool invalid = failure.kind == UpstreamFailure::Kind::kProtocol;
  return {502, invalid ? GrpcStatus::kInternal : GrpcStatus::kUnavailable, failure.detail};
}

void TellClient(ServerStream& stream, const Failure& failure) {
  stream.record().detail = failure.detail;
  const std::string_view text = TextOf(failure);
  if (stream.record().status == 0) {
    if (AsksForGrpc(stream)) {
      SendGrpcError(stream, failure.grpc_status, BehindStatus(text));
    } else {
      SendLocalReply(stream, failure.status, text);
    }
  } else if (stream.takes_grpc_status()) {
    EndWithGrpcStatus(stream, failure.grpc_status, BehindStatus(text));
  } else {
    stream.Abort(StreamEnd::kUpstreamFailed);
  }
}

}  // namespace sluice
