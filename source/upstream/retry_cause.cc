#include "upstream/retry_cause.h"

namespace sluice {

std::string_view RetryCauseName(RetryCause cause) {
  switch (cause) {
    case RetryCause::kConnectFailure:
      return "connect_failure";
    case RetryCause::kLost:
      return "lost";
    case RetryCause::kReset:
      return "reset";
    case RetryCause::kTryTimeout:
      return "try_timeout";
    case RetryCause::kRefused:
      return "refused";
    case RetryCause::kStatus:
      return "status";
    case RetryCause::kGrpcStatus:
      return "grpc_status";
    case RetryCause::kPartialPost:
      return "partial_post";
  }
  return "";
}

}  // namespace sluice
