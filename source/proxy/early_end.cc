#include "proxy/early_end.h"

#include <chrono>

namespace sluice {

void EarlyEnd::Feed(std::string_view bytes) {
  switch (kind_) {
    case Kind::kNone:
      break;
    case Kind::kEvents:
      events_.Feed(bytes);
      break;
    case Kind::kGrpc:
      grpc_.OnBody(bytes);
      break;
  }
}

size_t EarlyEnd::FeedToBoundary(std::string_view bytes) {
  switch (kind_) {
    case Kind::kNone:
      break;
    case Kind::kEvents:
      return events_.FeedToBoundary(bytes);
    case Kind::kGrpc:
      return grpc_.ToMessageEnd(bytes);
  }
  return bytes.size();
}

bool EarlyEnd::at_boundary() const {
  switch (kind_) {
    case Kind::kNone:
      break;
    case Kind::kEvents:
      return events_.at_event_boundary();
    case Kind::kGrpc:
      return grpc_.takes_status();
  }
  return false;
}

std::string_view EventStreamRetry(const EventStreamConfig& config, Loop& loop) {
  if (config.retry + config.retry_jitter == Duration::zero()) return {};
  const auto jitter = static_cast<uint64_t>(config.retry_jitter.count());
  const Duration wait =
      config.retry + Duration(static_cast<int64_t>(loop.random().Below(jitter + 1)));
  return WriteEventStreamRetry(std::chrono::duration_cast<std::chrono::milliseconds>(wait),
                               loop.Scratch(kEventStreamRetryBytes));
}

}  // namespace sluice
