#include <algorithm>
#include <utility>

#include "support/sim_h2_session.h"

namespace sluice {

void SimH2Session::Write(std::string bytes) {
  written_ += bytes.size();
  write_(std::move(bytes));
}

void SimH2Session::Start() {
  std::vector<std::pair<uint16_t, uint32_t>> settings;
  if (role_ == Role::kClient) {
    Write(std::string(h2::kPreface));
    settings.emplace_back(h2::kEnablePush, 0);
  }
  if (options_.max_streams) settings.emplace_back(h2::kMaxConcurrentStreams, *options_.max_streams);
  if (options_.header_table) settings.emplace_back(h2::kHeaderTableSize, *options_.header_table);
  if (options_.extended_connect) settings.emplace_back(h2::kEnableConnectProtocol, 1);
  settings.emplace_back(h2::kInitialWindowSize, options_.stream_window);
  ++settings_to_ack_;
  SendFrame(SettingsFrame(settings));
  const uint32_t more = options_.connection_window - h2::kDefaultWindow;
  if (more == 0) return;
  in_window_ += more;
  SendFrame(WindowUpdateFrame(0, more));
}

void SimH2Session::WriteBlock(uint32_t stream, const SimFields& fields, bool end_stream) {
  const std::string block = encoder_.Encode(fields);
  std::string frames;
  for (size_t at = 0; at == 0 || at < block.size(); at += h2::kDefaultFrameSize) {
    const std::string piece = block.substr(at, h2::kDefaultFrameSize);
    const uint8_t last = at + piece.size() == block.size() ? h2::kEndHeaders : 0;
    const uint8_t end = at == 0 && end_stream ? h2::kEndStream : 0;
    frames += EncodeFrame({at == 0 ? h2::kHeaders : h2::kContinuation,
                           static_cast<uint8_t>(last | end), stream, piece});
  }
  Write(std::move(frames));
}

SimH2Stream& SimH2Session::NewStream(const SimFields& fields) {
  SimH2Stream& stream = streams_[next_stream_];
  stream.id = next_stream_;
  next_stream_ += 2;
  stream.offset = written_;
  stream.in_window = in_stream_window_;
  stream.out_window = out_stream_window_;
  stream.opens = options_.open_streams;
  for (const auto& [name, value] : fields) {
    if (name == ":method") stream.in.method = value;
  }
  return stream;
}

SimH2Stream& SimH2Session::Open(const SimFields& fields, bool end_stream) {
  SimH2Stream& stream = NewStream(fields);
  SendHead(stream, fields, end_stream);
  return stream;
}

SimH2Stream& SimH2Session::OpenPartly(const SimFields& fields) {
  SimH2Stream& stream = NewStream(fields);
  const std::string block = encoder_.Encode(fields);
  rest_of_block_ = EncodeFrame({h2::kContinuation, h2::kEndHeaders, stream.id, block.substr(1)});
  SendFrame({h2::kHeaders, h2::kEndStream, stream.id, block.substr(0, 1)});
  stream.out_ended = true;
  return stream;
}

void SimH2Session::FinishPartly() {
  Write(std::exchange(rest_of_block_, {}));
  if (ack_pings_) AckPings();  // which must not interrupt the block
}

void SimH2Session::SendHead(SimH2Stream& stream, const SimFields& fields, bool end_stream) {
  if (stream.over()) return;
  for (const auto& [name, value] : fields) {
    if (name == "content-type" && value == "application/grpc") stream.grpc = true;
  }
  WriteBlock(stream.id, fields, end_stream);
  if (end_stream) End(stream);
}

void SimH2Session::SendBody(SimH2Stream& stream, uint64_t bytes) {
  if (stream.over() || stream.out_ended) return;
  stream.body_left += bytes;
  sending_.push_back(stream.id);
  Pump();
}

void SimH2Session::SendBytes(SimH2Stream& stream, std::string_view bytes) {
  if (stream.over() || stream.out_ended) return;
  stream.literal.append(bytes);
  sending_.push_back(stream.id);
  Pump();
}

void SimH2Session::Finish(SimH2Stream& stream) {
  if (stream.over() || stream.out_ended) return;
  stream.end_wanted = true;
  sending_.push_back(stream.id);
  Pump();
}

void SimH2Session::FinishWithTrailers(SimH2Stream& stream, const SimFields& trailers) {
  stream.trailers = trailers;
  Finish(stream);
}

void SimH2Session::Pump() {
  if (pumping_) return;
  pumping_ = true;
  // Round robin, a frame of each; who is blocked waits at the end of the queue.
  size_t blocked = 0;
  while (blocked < sending_.size() && !congested_()) {
    const uint32_t id = sending_.front();
    sending_.pop_front();
    SimH2Stream& stream = streams_[id];
    const bool moved = SendOnePiece(stream);
    const bool more = !stream.over() && !stream.out_ended &&
                      (stream.body_left > 0 || !stream.literal.empty() || stream.end_wanted);
    if (more) sending_.push_back(id);
    blocked = moved ? 0 : blocked + (more ? 1 : 0);
    if (moved && !more && on_sent) on_sent(stream);
  }
  pumping_ = false;
}

// False when it is held back, or has nothing.
bool SimH2Session::SendOnePiece(SimH2Stream& stream) {
  if (stream.reset_by_peer || stream.reset_by_us || stream.out_ended) return false;
  const uint64_t left = stream.literal.empty() ? stream.body_left : stream.literal.size();
  const int64_t window = std::min(stream.out_window, out_window_);
  if (left > 0 && window <= 0) return false;
  const size_t count = std::min(
      {left, static_cast<uint64_t>(std::max<int64_t>(window, 0)), uint64_t{h2::kDefaultFrameSize}});
  const bool from_literal = !stream.literal.empty();
  std::string bytes = from_literal  ? stream.literal.substr(0, count)
                      : stream.grpc ? SimGrpcBody(stream.body_at, count)
                                    : SimBody(stream.body_at, count);
  if (from_literal) {
    stream.literal.erase(0, count);
  } else {
    stream.body_at += count;
    stream.body_left -= count;
  }
  const bool last = stream.literal.empty() && stream.body_left == 0 && stream.end_wanted;
  const bool ends = last && !stream.trailers;
  stream.out_window -= static_cast<int64_t>(count);
  out_window_ -= static_cast<int64_t>(count);
  if (count > 0 || ends) {
    SendFrame({h2::kData, ends ? h2::kEndStream : uint8_t{0}, stream.id, std::move(bytes)});
  }
  if (last && stream.trailers) WriteBlock(stream.id, *stream.trailers, true);
  if (last) End(stream);
  return count > 0 || last;
}

void SimH2Session::End(SimH2Stream& stream) {
  stream.out_ended = true;
  if (stream.over()) NoteOver(stream);
}

void SimH2Session::Reset(SimH2Stream& stream, uint32_t error) {
  if (stream.over()) return;
  stream.reset_by_us = error;
  stream.body_left = 0;
  stream.literal.clear();
  NoteOver(stream);
  SendFrame(RstStreamFrame(stream.id, error));
}

void SimH2Session::Ping(std::string_view eight_bytes) {
  pings_sent_.emplace_back(eight_bytes);
  SendFrame(PingFrame(eight_bytes));
}

void SimH2Session::Goaway(uint32_t last_stream, uint32_t error) {
  our_goaway_ = last_stream;
  for (auto& [id, stream] : streams_) {
    if (role_ == Role::kServer && id > last_stream) stream.refused = true;
  }
  SendFrame(GoawayFrame(last_stream, error));
}

// Windows are opened again when half of them is used up.
void SimH2Session::Return(SimH2Stream* stream, uint64_t bytes) {
  unopened_ += bytes;
  if (unopened_ >= options_.connection_window / 2) {
    const auto count = static_cast<uint32_t>(std::exchange(unopened_, 0));
    in_window_ += count;
    SendFrame(WindowUpdateFrame(0, count));
  }
  if (stream == nullptr) return;
  stream->unopened += bytes;
  if (stream->opens && stream->unopened > 0 && stream->unopened >= options_.stream_window / 2) {
    OpenWindow(*stream);
  }
}

void SimH2Session::OpenWindow(SimH2Stream& stream, uint64_t most) {
  const uint64_t count = std::min(stream.unopened, most);
  if (count == 0 || stream.over() || stream.in.complete) return;
  stream.unopened -= count;
  stream.in_window += static_cast<int64_t>(count);
  SendFrame(WindowUpdateFrame(stream.id, static_cast<uint32_t>(count)));
}

void SimH2Session::AckPings() {
  ack_pings_ = true;
  for (const std::string& payload : std::exchange(withheld_pings_, {})) {
    SendFrame(PingFrame(payload, true));
  }
}

void SimH2Session::AckSettings() {
  ack_settings_ = true;
  for (; withheld_settings_acks_ > 0; --withheld_settings_acks_) {
    SendFrame({h2::kSettings, h2::kAck, 0, {}});
  }
}

}  // namespace sluice
