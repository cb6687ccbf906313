// Rules of RFC 9113 on received frames that nghttp2 1.52 does not keep.
#pragma once

#include <nghttp2/nghttp2.h>

#include <array>
#include <cstddef>
#include <cstdint>

namespace sluice {

class H2FrameRules {
 public:
  explicit H2FrameRules(nghttp2_session* const& session) : session_(session) {}

  // Called with each frame header; the NGHTTP2_ code of the connection error it makes, or 0.
  uint32_t OnFrameHeader(const nghttp2_frame_hd& header, bool from_client);

  // Called with each SETTINGS frame that is not an ACK, when nghttp2 has applied it.
  uint32_t OnSettingsApplied() const;

 private:
  // A client that skips identifiers at all does so once or twice; what was skipped before these is
  // ignored instead of refused.
  static constexpr size_t kSkipsRemembered = 8;

  struct Range {
    int32_t first = 0;
    int32_t last = -1;
  };

  uint32_t CheckIdentifier(int32_t id);

  nghttp2_session* const& session_;
  std::array<Range, kSkipsRemembered> skipped_;
  size_t next_skip_ = 0;
  size_t queued_before_settings_ = 0;
  int32_t last_request_ = -1;
};

}  // namespace sluice
