// Where the body of a response may be ended before its upstream ends it, so that its client has
// lost nothing and can tell: between two events, or between two gRPC messages.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "config/config.h"
#include "http/event_stream.h"
#include "http/grpc.h"
#include "sluice/loop.h"

namespace sluice {

// Follows a body from its first byte. It may be copied and assigned at any time.
class EarlyEnd {
 public:
  void FollowEvents() { kind_ = Kind::kEvents; }
  void FollowGrpc(const ResponseHead& head) {
    kind_ = Kind::kGrpc;
    grpc_.OnHead(head);
  }

  bool follows() const { return kind_ != Kind::kNone; }
  bool is_grpc() const { return kind_ == Kind::kGrpc; }

  void Feed(std::string_view bytes);
  // Reads up to and including the first boundary, and returns how many bytes that were: all of them
  // when there is none.
  size_t FeedToBoundary(std::string_view bytes);
  bool at_boundary() const;

 private:
  enum class Kind : uint8_t { kNone, kEvents, kGrpc };
  GrpcResponse grpc_;
  EventStreamFollower events_;
  Kind kind_ = Kind::kNone;
};

// What an event stream is told before its end: when to come back, if `config` says so, or nothing.
// Lives until the end of the dispatch.
std::string_view EventStreamRetry(const EventStreamConfig& config, Loop& loop);

}  // namespace sluice
