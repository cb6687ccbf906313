// The receiving half of H2Session: what nghttp2 makes of the peer's bytes.
#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <utility>

#include "http/h2_callbacks.h"
#include "http/h2_session.h"

namespace sluice {
namespace {

// A header block this many times larger than the limit is not answered but ends the connection: up
// to there it must be read, since the state of HPACK is the connection's.
constexpr size_t kMaxBlockFactor = 4;

// RFC 9113 6.5.2: the overhead with which each field counts.
constexpr size_t kFieldOverhead = 32;

// A sender that splits header blocks because it must fills all frames but the last. Those bring
// bytes, which have a limit of their own.
constexpr size_t kSmallFragment = 1024;

bool IsNoticeAck(const nghttp2_ping& ping) {
  return (ping.hd.flags & NGHTTP2_FLAG_ACK) != 0 &&
         std::equal(kNoticePing.begin(), kNoticePing.end(), ping.opaque_data);
}

}  // namespace

void H2Session::Receive(std::string_view bytes) {
  if (over_) return;
  const ssize_t used = nghttp2_session_mem_recv(
      session_, reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
  if (used < 0) {
    // A preface that is none (RFC 9113 3.4), or acknowledgements that pile up because the peer
    // takes nothing.
    Goaway(used == NGHTTP2_ERR_FLOODED ? H2Error::kEnhanceYourCalm : H2Error::kProtocolError);
  }
  loop_.FlushLater(*this);
}

H2Stream* H2Session::Find(int32_t id) const {
  return static_cast<H2Stream*>(nghttp2_session_get_stream_user_data(session_, id));
}

void H2Session::OnFrameHeader(const nghttp2_frame_hd& header) {
  Judge(rules_.OnFrameHeader(header, role_ == H2Role::kServer));
  const bool ack = (header.flags & NGHTTP2_FLAG_ACK) != 0;
  switch (header.type) {
    case NGHTTP2_DATA:
      if (header.length == 0 && (header.flags & NGHTTP2_FLAG_END_STREAM) == 0) {
        Account(H2Flood::kEmptyData);
      }
      break;
    case NGHTTP2_HEADERS:
      block_bytes_ = header.length;
      decoded_bytes_ = 0;
      break;
    case NGHTTP2_CONTINUATION:
      block_bytes_ += header.length;
      if (header.length < kSmallFragment && (header.flags & NGHTTP2_FLAG_END_HEADERS) == 0) {
        Account(H2Flood::kContinuation);
      }
      if (block_bytes_ > kMaxBlockFactor * limits_.header_bytes) Account(H2Flood::kHeaderBlock);
      break;
    case NGHTTP2_SETTINGS:
      if (!ack) Account(H2Flood::kSettings);
      break;
    case NGHTTP2_PING:
      if (!ack) Account(H2Flood::kPing);
      break;
    case NGHTTP2_RST_STREAM:
      Account(H2Flood::kReset);
      break;
    case NGHTTP2_WINDOW_UPDATE:
      Account(H2Flood::kWindowUpdate);
      break;
    case NGHTTP2_PRIORITY:
      Account(H2Flood::kPriority);
      break;
    default:  // nghttp2 throws frames of unknown types away without a word
      break;
  }
}

void H2Session::Account(H2Flood flood) {
  if (failed_ || floods_.Take(flood, loop_.Now())) return;
  Goaway(H2Error::kEnhanceYourCalm);
  events_.OnFlood(flood);
}

void H2Session::Judge(uint32_t error) {
  if (error != NGHTTP2_NO_ERROR) Goaway(static_cast<H2Error>(error));
}

int H2Session::OnBlockBegin(int32_t id, int category) {
  block_stream_ = nullptr;
  if (failed_) return 0;
  if (category == NGHTTP2_HCAT_REQUEST) {
    H2Stream* const stream = events_.OnBlockBegin(nullptr, H2Block::kRequest);
    if (stream == nullptr) return 0;
    stream->id_ = id;
    stream->open_ = true;
    Touch(*stream);
    nghttp2_session_set_stream_user_data(session_, id, stream);
    block_stream_ = stream;
    return 0;
  }
  block_stream_ = Find(id);
  if (block_stream_ != nullptr) {
    events_.OnBlockBegin(
        block_stream_, category == NGHTTP2_HCAT_RESPONSE ? H2Block::kResponse : H2Block::kFurther);
  }
  return 0;
}

int H2Session::OnField(std::string_view name, std::string_view value) {
  decoded_bytes_ += name.size() + value.size() + kFieldOverhead;
  if (decoded_bytes_ > kMaxBlockFactor * limits_.header_bytes) Account(H2Flood::kHeaderBlock);
  if (failed_) return 0;
  if (block_stream_ != nullptr) events_.OnField(*block_stream_, name, value);
  return 0;
}

void H2Session::OnFrame(const nghttp2_frame& frame) {
  if (failed_) return;
  const bool end_stream = (frame.hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
  switch (frame.hd.type) {
    case NGHTTP2_HEADERS:
      if (H2Stream* const stream = std::exchange(block_stream_, nullptr)) {
        Touch(*stream);
        OnBlock(*stream, end_stream);
      }
      break;
    case NGHTTP2_DATA:
      if (!end_stream) break;
      if (H2Stream* const stream = Find(frame.hd.stream_id)) Deliver(*stream, {}, true);
      break;
    case NGHTTP2_RST_STREAM:
      if (H2Stream* const stream = Find(frame.hd.stream_id)) stream->reset_by_peer_ = true;
      break;
    case NGHTTP2_SETTINGS:
      if ((frame.hd.flags & NGHTTP2_FLAG_ACK) != 0) break;
      Judge(rules_.OnSettingsApplied());
      events_.OnPeerSettings();
      break;
    case NGHTTP2_PING:
      if (noticed_ && IsNoticeAck(frame.ping)) events_.OnNoticeAcknowledged();
      break;
    case NGHTTP2_GOAWAY:
      events_.OnGoaway(frame.goaway.last_stream_id, static_cast<H2Error>(frame.goaway.error_code));
      break;
    default:
      break;
  }
}

// A head, interim head or trailers are whole. Trailers wait behind the body that a paused stream
// has not taken yet.
void H2Session::OnBlock(H2Stream& stream, bool end_stream) {
  const bool waits = stream.paused_ && !stream.arrived_.empty();
  if (waits && end_stream) {
    stream.end_arrived_ = stream.block_arrived_ = true;
    return;
  }
  if (end_stream) stream.in_ended_ = true;
  events_.OnBlockEnd(stream, end_stream);
}

void H2Session::OnData(int32_t id, std::string_view bytes) {
  // The connection's window opens at once: a stream that waits must not stop the others.
  nghttp2_session_consume_connection(session_, bytes.size());
  if (failed_ || bytes.empty()) return;
  if (H2Stream* const stream = Find(id)) Deliver(*stream, bytes, false);
}

void H2Session::Deliver(H2Stream& stream, std::string_view bytes, bool end_stream) {
  Touch(stream);
  if (stream.paused_ || !stream.arrived_.empty()) {
    stream.arrived_.Append(bytes);
    stream.end_arrived_ = end_stream;
    return;
  }
  if (end_stream) {
    stream.in_ended_ = true;
  } else {
    nghttp2_session_consume_stream(session_, stream.id_, bytes.size());
  }
  events_.OnStreamBody(stream, bytes, end_stream);
}

void H2Session::DeliverArrived(H2Stream& stream) {
  if (stream.paused_ || stream.reset_) return;
  const bool end_stream = std::exchange(stream.end_arrived_, false);
  const bool block = std::exchange(stream.block_arrived_, false);
  if (const size_t size = stream.arrived_.size(); size > 0) {
    char* const bytes = loop_.Scratch(size);
    stream.arrived_.view().copy(bytes, size);
    stream.arrived_.Clear();
    nghttp2_session_consume_stream(session_, stream.id_, size);
    Touch(stream);
    const bool last = end_stream && !block;
    if (last) stream.in_ended_ = true;
    events_.OnStreamBody(stream, {bytes, size}, last);
    if (!block || stream.reset_) return;
  } else if (!end_stream) {
    return;
  }
  stream.in_ended_ = true;
  if (block) {
    events_.OnBlockEnd(stream, true);
  } else {
    events_.OnStreamBody(stream, {}, true);
  }
}

void H2Session::OnStreamClosed(int32_t id, uint32_t error) {
  H2Stream* const stream = Find(id);
  if (stream == nullptr) return;
  stream->open_ = false;
  if (block_stream_ == stream) block_stream_ = nullptr;
  const bool sent = stream->out_ == H2Stream::Out::kSent || stream->out_ == H2Stream::Out::kLeft;
  if (sent && (stream->in_ended_ || stream->end_arrived_)) return;
  stream->reset_ = true;
  stream->UnlinkAll();
  events_.OnStreamReset(*stream, static_cast<H2Error>(error), stream->reset_by_peer_);
}

}  // namespace sluice
