// Reading: what comes is checked against RFC 9113 and recorded. Writing is in
// sim_h2_session_send.cc.
#include "support/sim_h2_session.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

namespace sluice {

SimH2Session::SimH2Session(Role role, const SimH2Options& options, SimLoop& loop,
                           std::function<void(std::string)> write, std::function<bool()> congested)
    : role_(role),
      options_(options),
      loop_(loop),
      write_(std::move(write)),
      congested_(std::move(congested)),
      ack_pings_(options.ack_pings),
      ack_settings_(options.ack_settings) {}

void SimH2Session::Complain(const std::string& what) {
  if (complaint_.empty()) complaint_ = what;
}

SimH2Stream* SimH2Session::Find(uint32_t id) {
  const auto found = streams_.find(id);
  return found == streams_.end() ? nullptr : &found->second;
}

size_t SimH2Session::open_streams() const {
  return std::count_if(streams_.begin(), streams_.end(),
                       [](const auto& one) { return !one.second.over() && !one.second.refused; });
}

void SimH2Session::Feed(std::string_view bytes) {
  if (!complaint_.empty()) return;
  if (role_ == Role::kServer && preface_.size() < h2::kPreface.size()) {
    const size_t count = std::min(bytes.size(), h2::kPreface.size() - preface_.size());
    preface_.append(bytes.substr(0, count));
    bytes.remove_prefix(count);
    if (!h2::kPreface.starts_with(preface_)) return Complain("not the preface of HTTP/2");
  }
  reader_.Feed(bytes);
  while (complaint_.empty()) {
    const std::optional<SimFrame> frame = reader_.Next();
    if (!frame) break;
    ++counts_[frame->type & 15];
    if (CheckFrame(*frame)) OnFrame(*frame);
  }
  if (complaint_.empty()) Pump();
}

void SimH2Session::FeedEof() {
  if (reader_.left() > 0) Complain("the connection ended in the middle of a frame");
  if (block_stream_ != 0) Complain("the connection ended in the middle of a header block");
}

// RFC 9113 3.4, 4.2, 6.10 and the streams and sizes that section 6 asks for.
bool SimH2Session::CheckFrame(const SimFrame& frame) {
  const auto wrong = [&](const std::string& why) {
    Complain(Describe(frame) + ": " + why);
    return false;
  };
  const size_t size = frame.payload.size();
  const bool first = !got_settings_;
  if (first && (frame.type != h2::kSettings || frame.Has(h2::kAck))) {
    return wrong("the first frame is not SETTINGS");
  }
  if (size > h2::kDefaultFrameSize) return wrong("longer than was agreed");
  if ((block_stream_ != 0) != (frame.type == h2::kContinuation)) {
    return wrong("a header block must not be interrupted, or continued without having begun");
  }
  switch (frame.type) {
    case h2::kData:
    case h2::kHeaders:
      if (!frame.Content()) return wrong("more padding than payload");
      return frame.stream != 0 || wrong("on stream 0");
    case h2::kPriority:
      return (frame.stream != 0 && size == 5) || wrong("stream or size");
    case h2::kRstStream:
      return (frame.stream != 0 && size == 4) || wrong("stream or size");
    case h2::kSettings:
      return (frame.stream == 0 && (frame.Has(h2::kAck) ? size == 0 : size % 6 == 0)) ||
             wrong("stream or size");
    case h2::kPing:
      return (frame.stream == 0 && size == 8) || wrong("stream or size");
    case h2::kGoaway:
      return (frame.stream == 0 && size >= 8) || wrong("stream or size");
    case h2::kWindowUpdate:
      return size == 4 || wrong("size");
    case h2::kContinuation:
      return frame.stream == block_stream_ || wrong("of another stream");
    default:
      return wrong("nobody asked for it");
  }
}

void SimH2Session::OnFrame(const SimFrame& frame) {
  switch (frame.type) {
    case h2::kData:
      return OnData(frame);
    case h2::kHeaders:
      return OnHeaders(frame);
    case h2::kContinuation:
      block_ += frame.payload;
      if (frame.Has(h2::kEndHeaders)) OnBlock();
      return;
    case h2::kRstStream:
      return OnRst(frame);
    case h2::kSettings:
      return OnSettings(frame);
    case h2::kPing:
      return OnPing(frame);
    case h2::kGoaway:
      return OnGoaway(frame);
    case h2::kWindowUpdate:
      return OnWindowUpdate(frame);
    default:
      return;
  }
}

// A stream that may still send. False, without a complaint, when its frames are to be ignored.
bool SimH2Session::MayReceive(SimH2Stream* stream, const SimFrame& frame) {
  if (stream == nullptr) {
    Complain(Describe(frame) + ": the stream is idle");
  } else if (stream->reset_by_peer) {
    Complain(Describe(frame) + ": after its RST_STREAM");
  } else if (stream->in.complete) {
    Complain(Describe(frame) + ": after its END_STREAM");
  }
  return complaint_.empty() && !stream->reset_by_us && !stream->refused;
}

// ---- messages

void SimH2Session::OnData(const SimFrame& frame) {
  SimH2Stream* stream = Find(frame.stream);
  const auto size = static_cast<int64_t>(frame.payload.size());
  in_window_ -= size;
  if (in_window_ < 0) return Complain(Describe(frame) + ": beyond the connection's window");
  if (!MayReceive(stream, frame)) return Return(nullptr, frame.payload.size());
  stream->in_window -= size;
  if (stream->in_window < 0) return Complain(Describe(frame) + ": beyond the stream's window");
  if (!stream->has_head) return Complain(Describe(frame) + ": before its head");
  const std::string_view bytes = *frame.Content();
  SimMessage& in = stream->in;
  const bool grpc = in.Header("content-type") == "application/grpc";
  if (grpc ? bytes != SimGrpcBody(in.body_bytes, bytes.size()) : !IsSimBody(bytes, in.body_bytes)) {
    in.body_as_expected = false;
  }
  if (in.body.size() < SimMessage::kKept) {
    in.body.append(bytes.substr(0, SimMessage::kKept - in.body.size()));
  }
  in.body_bytes += bytes.size();
  Return(stream, frame.payload.size());
  if (on_body && !bytes.empty()) on_body(*stream);
  if (frame.Has(h2::kEndStream)) OnEndStream(*stream);
}

void SimH2Session::OnHeaders(const SimFrame& frame) {
  block_ = *frame.Content();
  block_stream_ = frame.stream;
  block_ends_stream_ = frame.Has(h2::kEndStream);
  if (frame.Has(h2::kEndHeaders)) OnBlock();
}

void SimH2Session::OnBlock() {
  SimFields fields;
  const uint32_t id = std::exchange(block_stream_, 0);
  // Also a block that is ignored changes the state of the compression (RFC 9113 4.3).
  if (!decoder_.Decode(block_, &fields)) return Complain("a header block that is not HPACK");
  SimH2Stream* stream = Find(id);
  if (stream == nullptr && role_ == Role::kServer) stream = AcceptStream(id);
  const SimFrame frame{h2::kHeaders, 0, id, {}};
  if (!MayReceive(stream, frame)) return;
  OnMessageBlock(*stream, std::move(fields), block_ends_stream_);
}

// RFC 9113 5.1.1, 5.1.2.
SimH2Stream* SimH2Session::AcceptStream(uint32_t id) {
  if (id % 2 == 0 || id <= last_peer_stream_) {
    Complain("a stream " + std::to_string(id) + " after stream " +
             std::to_string(last_peer_stream_));
    return nullptr;
  }
  last_peer_stream_ = id;
  SimH2Stream& stream = streams_[id];
  stream.id = id;
  stream.in_window = in_stream_window_;
  stream.out_window = out_stream_window_;
  stream.opens = options_.open_streams;
  stream.refused = our_goaway_ && id > *our_goaway_;
  if (settings_acked() && options_.max_streams && open_streams() > *options_.max_streams) {
    Complain("more streams than SETTINGS_MAX_CONCURRENT_STREAMS");
  }
  return &stream;
}

void SimH2Session::OnMessageBlock(SimH2Stream& stream, SimFields fields, bool end_stream) {
  const std::string on = "stream " + std::to_string(stream.id) + ": ";
  if (stream.has_head) {
    const std::string fault = FaultOfTrailers(fields);
    if (!fault.empty()) return Complain(on + "trailers: " + fault);
    if (!end_stream) return Complain(on + "trailers without END_STREAM");
    stream.in.trailers = std::move(fields);
    return OnEndStream(stream);
  }
  const std::string fault =
      role_ == Role::kServer ? FaultOfRequest(fields) : FaultOfResponse(fields);
  if (!fault.empty()) return Complain(on + "head: " + fault);
  SimMessage head;
  head.version = "HTTP/2";
  head.headers = std::move(fields);
  head.target = head.Header(":path");
  head.status = std::atoi(std::string(head.Header(":status")).c_str());
  if (role_ == Role::kServer) {
    if (!head.Header(":protocol").empty() && !options_.extended_connect) {
      return Complain(on + "an extended CONNECT, which the SETTINGS do not allow");
    }
    head.method = head.Header(":method");
  } else if (head.status < 200) {
    if (end_stream) return Complain(on + "an interim head with END_STREAM");
    stream.interim.push_back(std::move(head));
    return;
  }
  head.method = role_ == Role::kServer ? head.method : stream.in.method;
  stream.in = std::move(head);
  stream.has_head = true;
  stream.trailers_only = end_stream;
  if (on_head) on_head(stream);
  if (end_stream) OnEndStream(stream);
}

// The end of a message must agree with its length (RFC 9113 8.1.1).
void SimH2Session::OnEndStream(SimH2Stream& stream) {
  SimMessage& in = stream.in;
  const std::string length(in.Header("content-length"));
  const bool bodiless =
      role_ == Role::kClient && (in.method == "HEAD" || in.status == 304 || in.status == 204);
  if (bodiless && in.body_bytes > 0) {
    return Complain("stream " + std::to_string(stream.id) + ": a body where none may be");
  }
  if (!length.empty() && !bodiless && length != std::to_string(in.body_bytes)) {
    return Complain("stream " + std::to_string(stream.id) + ": content-length " + length +
                    ", and ended after " + std::to_string(in.body_bytes));
  }
  in.complete = true;
  if (stream.over()) NoteOver(stream);
  if (on_end) on_end(stream);
}

void SimH2Session::OnRst(const SimFrame& frame) {
  SimH2Stream* stream = Find(frame.stream);
  if (stream == nullptr) return Complain(Describe(frame) + ": the stream is idle");
  if (stream->reset_by_peer) return Complain(Describe(frame) + ": for the second time");
  // After a complete response only the rest of the request can be given up (RFC 9113 8.1).
  if (role_ == Role::kClient && stream->in.complete && frame.Word(0) != h2::kNoError) {
    return Complain(Describe(frame) + ": a complete response is taken back");
  }
  stream->reset_by_peer = frame.Word(0);
  stream->body_left = 0;
  stream->literal.clear();
  NoteOver(*stream);
  if (!stream->reset_by_us && on_reset) on_reset(*stream);
}

// ---- the connection

void SimH2Session::OnSettings(const SimFrame& frame) {
  if (frame.Has(h2::kAck)) return OnSettingsAck();
  got_settings_ = true;
  for (size_t at = 0; at + 6 <= frame.payload.size(); at += 6) {
    const uint32_t id = frame.Word(at) >> 16;
    ApplySetting(static_cast<uint16_t>(id), frame.Word(at + 2));
  }
  if (!ack_settings_) {
    ++withheld_settings_acks_;
  } else {
    SendFrame({h2::kSettings, h2::kAck, 0, {}});
  }
  if (on_control) on_control(frame);
}

void SimH2Session::ApplySetting(uint16_t id, uint32_t value) {
  switch (id) {
    case h2::kHeaderTableSize:
      encoder_.SetTableSize(value);
      break;
    case h2::kEnablePush:
      if (value > 1 || (role_ == Role::kClient && value == 1)) Complain("SETTINGS_ENABLE_PUSH");
      break;
    case h2::kMaxConcurrentStreams:
      peer_max_streams_ = value;
      break;
    case h2::kInitialWindowSize: {
      if (value > h2::kMaxStreamId) return Complain("SETTINGS_INITIAL_WINDOW_SIZE");
      const int64_t grown = int64_t{value} - out_stream_window_;
      out_stream_window_ = value;
      for (auto& [stream_id, stream] : streams_) stream.out_window += grown;
      break;
    }
    case h2::kMaxFrameSize:
      if (value < h2::kDefaultFrameSize || value > 0xffffff) Complain("SETTINGS_MAX_FRAME_SIZE");
      break;
    case h2::kEnableConnectProtocol:
      if (value > 1) return Complain("SETTINGS_ENABLE_CONNECT_PROTOCOL");
      peer_takes_extended_connect_ = value == 1;
      break;
    default:
      break;
  }
}

// From here on the peer goes by our settings (RFC 9113 6.5.3).
void SimH2Session::OnSettingsAck() {
  if (settings_to_ack_ == 0) return Complain("an ACK of SETTINGS that were not sent");
  --settings_to_ack_;
  if (options_.header_table) decoder_.SetTableSize(*options_.header_table);
  const int64_t grown = int64_t{options_.stream_window} - in_stream_window_;
  in_stream_window_ = options_.stream_window;
  for (auto& [id, stream] : streams_) stream.in_window += grown;
}

void SimH2Session::OnPing(const SimFrame& frame) {
  if (frame.Has(h2::kAck)) {
    if (pings_sent_.empty() || pings_sent_.front() != frame.payload) {
      return Complain("an ACK of a PING that was not sent");
    }
    pings_sent_.pop_front();
  } else {
    ++pings_;
    goaways_before_ping_ = goaways_.size();
    if (ack_pings_ && rest_of_block_.empty()) {
      SendFrame(PingFrame(frame.payload, true));
    } else {
      withheld_pings_.push_back(frame.payload);
    }
  }
  if (on_control) on_control(frame);
}

void SimH2Session::OnGoaway(const SimFrame& frame) {
  const uint32_t last = frame.Word(0) & h2::kMaxStreamId;
  if (!goaways_.empty() && last > goaways_.back().last_stream) {
    return Complain("a GOAWAY that takes back the one before");
  }
  goaways_.push_back({loop_.Now(), last, frame.Word(4)});
  if (on_control) on_control(frame);
}

void SimH2Session::OnWindowUpdate(const SimFrame& frame) {
  const uint32_t increment = frame.Word(0) & h2::kMaxStreamId;
  SimH2Stream* stream = Find(frame.stream);
  if (increment == 0) return Complain(Describe(frame) + ": by nothing");
  if (frame.stream != 0 && stream == nullptr) {
    return Complain(Describe(frame) + ": the stream is idle");
  }
  int64_t& window = frame.stream == 0 ? out_window_ : stream->out_window;
  window += increment;
  if (window > int64_t{h2::kMaxStreamId}) Complain(Describe(frame) + ": too large");
}

}  // namespace sluice
