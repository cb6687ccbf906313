#include "http/h2_frame_rules.h"

#include <algorithm>

namespace sluice {
namespace {

constexpr size_t kMaxFrameSize = 16384;  // what we announce: the default

}  // namespace

uint32_t H2FrameRules::OnFrameHeader(const nghttp2_frame_hd& header, bool from_client) {
  switch (header.type) {
    case NGHTTP2_HEADERS:
      return from_client ? CheckIdentifier(header.stream_id) : uint32_t{NGHTTP2_NO_ERROR};
    case NGHTTP2_CONTINUATION:
      // RFC 9113 4.2. nghttp2 looks at the size of every frame but this.
      return header.length > kMaxFrameSize ? NGHTTP2_FRAME_SIZE_ERROR : NGHTTP2_NO_ERROR;
    case NGHTTP2_SETTINGS:
      queued_before_settings_ = nghttp2_session_get_outbound_queue_size(session_);
      return NGHTTP2_NO_ERROR;
    default:
      return NGHTTP2_NO_ERROR;
  }
}

// RFC 9113 5.1.1: a stream that is begun closes all idle ones below it, and HEADERS on one of those
// are a connection error. nghttp2 ignores them, because it cannot tell them from trailers that
// cross our RST_STREAM; who remembers what was skipped can.
uint32_t H2FrameRules::CheckIdentifier(int32_t id) {
  if (id % 2 == 0) return NGHTTP2_NO_ERROR;  // not of a client: nghttp2 sees to it
  if (id > last_request_) {
    if (id > last_request_ + 2) {
      skipped_[next_skip_++ % kSkipsRemembered] = {last_request_ + 2, id - 2};
    }
    last_request_ = id;
    return NGHTTP2_NO_ERROR;
  }
  const bool skipped = std::any_of(skipped_.begin(), skipped_.end(), [id](const Range& range) {
    return range.first <= id && id <= range.last;
  });
  return skipped ? NGHTTP2_PROTOCOL_ERROR : NGHTTP2_NO_ERROR;
}

// RFC 9113 6.9.2: an initial window that makes the window of a stream overflow is a connection
// error. nghttp2 resets the stream: then more than the ACK has been queued.
uint32_t H2FrameRules::OnSettingsApplied() const {
  const size_t queued = nghttp2_session_get_outbound_queue_size(session_);
  return queued > queued_before_settings_ + 1 ? NGHTTP2_FLOW_CONTROL_ERROR : NGHTTP2_NO_ERROR;
}

}  // namespace sluice
