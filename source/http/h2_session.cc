#include "http/h2_session.h"

#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "http/h2_callbacks.h"
#include "http/h2_memory.h"

namespace sluice {
namespace {

// RFC 9113 6.5.2 and 6.9.2: what holds until SETTINGS say otherwise.
constexpr uint32_t kDefaultWindow = 65'535;
constexpr size_t kFrameHeader = 9;

// From here on a write of its own costs less than a copy.
constexpr size_t kSendAtOnce = 16 * 1024;

nghttp2_nv NameValue(std::string_view name, std::string_view value) {
  const auto bytes = [](std::string_view text) {
    return const_cast<uint8_t*>(reinterpret_cast<const uint8_t*>(text.data()));
  };
  return {bytes(name), bytes(value), name.size(), value.size(), NGHTTP2_NV_FLAG_NONE};
}

nghttp2_option* MakeOptions() {
  nghttp2_option* options = nullptr;
  nghttp2_option_new(&options);
  nghttp2_option_set_no_auto_window_update(options, 1);
  // Our own guard is the one that counts (h2_flood_guard.h); nghttp2's would close without a word.
  nghttp2_option_set_stream_reset_rate_limit(options, 1'000'000, 1'000'000);
  nghttp2_option_set_max_continuations(options, 1'000'000);
  // What was taken is sent on, whole: heads are bounded where they are read, and 64 KiB of them, as
  // nghttp2 has it, may be less than that.
  nghttp2_option_set_max_send_header_block_length(options, 64 * 1024 * 1024);
  return options;
}

}  // namespace

H2Session::H2Session(H2Role role, Loop& loop, Transport& transport, const Http2Options& options,
                     const HttpLimits& limits, H2SessionEvents& events)
    : loop_(loop),
      transport_(transport),
      events_(events),
      floods_(options.floods, loop.Now()),
      limits_(limits),
      role_(role) {
  static nghttp2_option* const nghttp2_options = MakeOptions();
  const auto make =
      role == H2Role::kServer ? nghttp2_session_server_new3 : nghttp2_session_client_new3;
  if (make(&session_, Callbacks::All(), this, nghttp2_options, h2_memory::ForNghttp2()) != 0) {
    std::abort();  // out of memory
  }

  std::array<nghttp2_settings_entry, 4> settings;
  size_t count = 0;
  if (role == H2Role::kServer) {
    settings[count++] = {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, options.max_concurrent_streams};
    settings[count++] = {NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1};  // RFC 8441 3
  } else {
    settings[count++] = {NGHTTP2_SETTINGS_ENABLE_PUSH, 0};
  }
  settings[count++] = {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, limits.header_bytes};
  if (options.stream_window != kDefaultWindow) {
    settings[count++] = {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, options.stream_window};
  }
  nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, settings.data(), count);
  nghttp2_session_set_local_window_size(
      session_, NGHTTP2_FLAG_NONE, 0,
      static_cast<int32_t>(std::max(options.connection_window, kDefaultWindow)));
  loop_.FlushLater(*this);
}

H2Session::~H2Session() { nghttp2_session_del(session_); }

// ---- what is sent: kept by nghttp2 and the streams until Flush

bool H2Session::SendRequest(H2Stream& stream, const std::vector<H2Field>& fields, bool end_stream) {
  if (over_ || nghttp2_session_check_request_allowed(session_) == 0) return false;
  if (!SubmitHead(stream, -1, fields, end_stream)) return false;
  stream.opening_ = true;
  ++opening_;
  return true;
}

void H2Session::SendResponse(H2Stream& stream, const std::vector<H2Field>& fields,
                             bool end_stream) {
  if (!stream.reset_) SubmitHead(stream, stream.id_, fields, end_stream);
}

void H2Session::SendInterim(H2Stream& stream, const std::vector<H2Field>& fields) {
  if (stream.reset_) return;
  const H2Stream::Out before = stream.out_;
  SubmitHead(stream, stream.id_, fields, false);
  stream.out_ = before;
}

bool H2Session::SubmitHead(H2Stream& stream, int32_t id, const std::vector<H2Field>& fields,
                           bool end_stream) {
  thread_local std::vector<nghttp2_nv> values;
  values.clear();
  for (const H2Field& field : fields) {
    values.push_back(NameValue(field.name, field.value));
    if (field.comes_once) values.back().flags |= NGHTTP2_NV_FLAG_NO_INDEX;
    if (field.constant_name) values.back().flags |= NGHTTP2_NV_FLAG_NO_COPY_NAME;
  }
  const uint8_t flags = end_stream ? NGHTTP2_FLAG_END_STREAM : NGHTTP2_FLAG_NONE;
  const int32_t result =
      nghttp2_submit_headers(session_, flags, id, nullptr, values.data(), values.size(), &stream);
  if (result < 0) return false;
  if (id == -1) stream.id_ = result;
  stream.out_ = end_stream ? H2Stream::Out::kEnding : H2Stream::Out::kBody;
  Touch(stream);
  loop_.FlushLater(*this);
  return true;
}

void H2Session::SendBody(H2Stream& stream, std::string_view bytes, bool end_stream) {
  if (stream.reset_ || stream.out_ != H2Stream::Out::kBody) return;
  if (!bytes.empty()) {
    // A stream that waits is not touched: its time runs from when its last byte moved.
    if (stream.queued_bytes() == 0) Touch(stream);
    stream.lent_.push_back(bytes);
    stream.lent_bytes_ += bytes.size();
  }
  if (end_stream) stream.out_ = H2Stream::Out::kEnding;
  MarkPending(stream);
}

void H2Session::SendTrailers(H2Stream& stream, const std::vector<H2Field>& fields) {
  if (stream.reset_ || stream.out_ != H2Stream::Out::kBody) return;
  for (const H2Field& field : fields) {
    stream.trailers_.emplace_back(field.name.size(), field.value.size());
    stream.trailer_text_.append(field.name).append(field.value);
  }
  stream.trailers_follow_ = !fields.empty();
  stream.out_ = H2Stream::Out::kEnding;
  MarkPending(stream);
}

void H2Session::SubmitTrailers(H2Stream& stream) {
  std::vector<nghttp2_nv> values;
  std::string_view text = stream.trailer_text_;
  for (const auto& [name, value] : stream.trailers_) {
    values.push_back(NameValue(text.substr(0, name), text.substr(name, value)));
    text.remove_prefix(name + value);
  }
  stream.trailers_follow_ = false;
  nghttp2_submit_trailer(session_, stream.id_, values.data(), values.size());
}

void H2Session::ResetStream(H2Stream& stream, H2Error error) {
  if (std::exchange(stream.reset_, true)) return;
  stream.UnlinkAll();
  Detach(stream);
  nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, stream.id_, static_cast<uint32_t>(error));
  // That a message was malformed is the peer's doing, and counts as its reset.
  if (stream.open_ && error != H2Error::kProtocolError) ++own_resets_;
  loop_.FlushLater(*this);
}

void H2Session::PauseStream(H2Stream& stream) { stream.paused_ = true; }

void H2Session::ResumeStream(H2Stream& stream) {
  if (!std::exchange(stream.paused_, false)) return;
  Touch(stream);  // it was we who held it up
  if (!stream.arrived_.empty() || stream.end_arrived_) MarkPending(stream);
}

bool H2Session::Congested(const H2Stream& stream) const {
  if (stream.queued_bytes() < H2Stream::kHighWatermark) return false;
  stream.was_congested_ = true;
  return true;
}

void H2Session::Forget(H2Stream& stream) {
  stream.UnlinkAll();
  if (block_stream_ == &stream) block_stream_ = nullptr;
  if (stream.open_ || stream.opening_) Detach(stream);
}

// nghttp2 knows the stream no more by its id.
void H2Session::Detach(H2Stream& stream) {
  nghttp2_session_set_stream_user_data(session_, stream.id_, nullptr);
  if (block_stream_ == &stream) block_stream_ = nullptr;
}

void H2Session::Notice() {
  if (std::exchange(noticed_, true) || goaway_ != Goodbye::kNone) return;
  nghttp2_submit_shutdown_notice(session_);
  loop_.FlushLater(*this);
}

void H2Session::Goaway(H2Error error) {
  if (error != H2Error::kNoError) {
    if (std::exchange(failed_, true)) return;
    nghttp2_session_terminate_session(session_, static_cast<uint32_t>(error));
  } else if (goaway_ == Goodbye::kNone) {
    goaway_ = Goodbye::kWanted;
  }
  loop_.FlushLater(*this);
}

uint32_t H2Session::PeerMaxStreams() const {
  return nghttp2_session_get_remote_settings(session_, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
}

bool H2Session::PeerTakesExtendedConnect() const {
  return nghttp2_session_get_remote_settings(session_, NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL) ==
         1;
}

void H2Session::MarkPending(H2Stream& stream) {
  if (!stream.ListHook<H2PendingTag>::linked()) pending_.PushBack(&stream);
  loop_.FlushLater(*this);
}

// ---- the end of a dispatch

void H2Session::OnTransportWritable() { loop_.FlushLater(*this); }

// Large bodies leave at once, from where they were lent. What is small is kept until the turn ends,
// so that many streams share one write.
void H2Session::Flush() {
  if (over_) return;
  size_t lent = 0;
  IntrusiveList<H2Stream, H2PendingTag>
      round;  // each may make streams pending again, and end others
  round.TakeAll(pending_);
  while (!round.empty()) {
    H2Stream& stream = *round.front();
    stream.ListHook<H2PendingTag>::Unlink();
    if (!stream.ListHook<H2WaitingTag>::linked()) waiting_.PushBack(&stream);
    DeliverArrived(stream);
    lent += stream.lent_bytes_;
  }
  if (lent >= kSendAtOnce) {
    SendAll();
    return;
  }
  if (lent > 0) waiting_.ForEach([](H2Stream& stream) { Keep(stream); });
  loop_.FlushAtTurnEnd(sender_);
}

void H2Session::SendAll() {
  if (over_) return;
  Pump();
  transport_.FlushNow();
  // Nothing lent is referred to any more.
  IntrusiveList<H2Stream, H2WaitingTag> round;
  round.TakeAll(waiting_);
  while (!round.empty()) {
    H2Stream& stream = *round.front();
    stream.ListHook<H2WaitingTag>::Unlink();
    Settle(stream);
  }
  TellLeft();
  CheckOver();
}

void H2Session::Pump() {
  // A client's requests are opened by the sending of their heads, and only then have a body.
  if (opening_ > 0) Send();
  waiting_.ForEach([this](H2Stream& stream) { SubmitBody(stream); });
  if (goaway_ == Goodbye::kWanted) {
    goaway_ = Goodbye::kSent;
    nghttp2_submit_goaway(session_, NGHTTP2_FLAG_NONE,
                          nghttp2_session_get_last_proc_stream_id(session_), NGHTTP2_NO_ERROR,
                          nullptr, 0);
  }
  Send();
}

void H2Session::SubmitBody(H2Stream& stream) {
  if (!stream.open_ || stream.out_ == H2Stream::Out::kHead) return;
  const bool ending = stream.out_ == H2Stream::Out::kEnding;
  if (stream.queued_bytes() == 0 && !ending) return;
  if (stream.data_submitted_) {
    if (std::exchange(stream.data_deferred_, false)) {
      nghttp2_session_resume_data(session_, stream.id_);
    }
    return;
  }
  if (stream.queued_bytes() == 0 && stream.trailers_follow_) {
    SubmitTrailers(stream);  // without an empty DATA frame before them
  } else {
    const nghttp2_data_provider body = Callbacks::BodyOf(stream);
    nghttp2_submit_data(session_, NGHTTP2_FLAG_END_STREAM, stream.id_, &body);
  }
  stream.data_submitted_ = true;
}

void H2Session::Send() {
  while (!transport_.congested()) {
    const uint8_t* bytes = nullptr;
    const ssize_t count = nghttp2_session_mem_send(session_, &bytes);
    if (count <= 0) break;
    Write(bytes, static_cast<size_t>(count));
  }
}

void H2Session::Write(const uint8_t* bytes, size_t count) {
  // nghttp2 uses its buffer again for the next frame.
  char* const copy = loop_.Scratch(count);
  std::memcpy(copy, bytes, count);
  transport_.Write({copy, count});
  written_ += count;
}

ptrdiff_t H2Session::ReadBody(H2Stream& stream, size_t most, uint32_t* flags) {
  const size_t available = stream.queued_bytes();
  const bool ending = stream.out_ == H2Stream::Out::kEnding;
  if (available == 0 && !ending) {
    stream.data_deferred_ = true;
    return NGHTTP2_ERR_DEFERRED;
  }
  *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
  const size_t count = std::min(available, most);
  if (count == available && ending) {
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (stream.trailers_follow_) {
      *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
      SubmitTrailers(stream);
    }
  }
  return static_cast<ptrdiff_t>(count);
}

void H2Session::WriteBody(H2Stream& stream, const uint8_t* frame_header, size_t length) {
  Write(frame_header, kFrameHeader);
  written_ += length;
  Touch(stream);
  if (!stream.ListHook<H2WaitingTag>::linked()) waiting_.PushBack(&stream);
  // What the peer answers to DATA is not a flood.
  floods_.Grant(H2Flood::kWindowUpdate, 2);
  floods_.Grant(H2Flood::kPing, 1);
  const std::string_view kept = stream.kept_.view().substr(stream.taken_from_kept_, length);
  if (!kept.empty()) {
    transport_.Write(kept);
    stream.taken_from_kept_ += kept.size();
    length -= kept.size();
  }
  stream.lent_bytes_ -= length;
  while (length > 0) {
    std::string_view& slice = stream.lent_[stream.lent_begin_];
    const size_t count = std::min(length, slice.size());
    transport_.Write(slice.substr(0, count));
    slice.remove_prefix(count);
    length -= count;
    if (slice.empty()) ++stream.lent_begin_;
  }
}

void H2Session::Keep(H2Stream& stream) {
  for (size_t i = stream.lent_begin_; i < stream.lent_.size(); ++i) {
    stream.kept_.Append(stream.lent_[i]);
  }
  stream.lent_.clear();
  stream.lent_begin_ = stream.lent_bytes_ = 0;
}

// What was sent is let go; what could not be is kept.
void H2Session::Settle(H2Stream& stream) {
  if (stream.taken_from_kept_ > 0) {
    stream.kept_.Consume(std::exchange(stream.taken_from_kept_, 0));
  }
  Keep(stream);
  if (stream.was_congested_ && stream.queued_bytes() <= H2Stream::kLowWatermark) {
    stream.was_congested_ = false;
    if (stream.out_ == H2Stream::Out::kBody) events_.OnStreamWritable(stream);
  }
}

void H2Session::OnFrameSent(const nghttp2_frame& frame) {
  switch (frame.hd.type) {
    case NGHTTP2_HEADERS:
      if (frame.headers.cat == NGHTTP2_HCAT_REQUEST) {
        --opening_;
        if (H2Stream* const stream = Find(frame.hd.stream_id)) {
          stream->opening_ = false;
          stream->open_ = true;
          MarkPending(*stream);
        }
      }
      break;
    case NGHTTP2_RST_STREAM:
      if (own_resets_ > 0) {
        --own_resets_;
      } else {
        Account(H2Flood::kInduced);
      }
      return;
    case NGHTTP2_GOAWAY:
      events_.OnGoawaySent(frame.goaway.last_stream_id,
                           static_cast<H2Error>(frame.goaway.error_code));
      if (frame.goaway.error_code != NGHTTP2_NO_ERROR) failed_ = true;
      // nghttp2 sends a PING before whatever else waits. Its ACK must mean that the GOAWAY was
      // read.
      if (frame.goaway.last_stream_id == kRefusesNothing) {
        nghttp2_submit_ping(session_, NGHTTP2_FLAG_NONE, kNoticePing.data());
      }
      return;
    default:
      break;
  }
  const bool may_end = frame.hd.type == NGHTTP2_HEADERS || frame.hd.type == NGHTTP2_DATA;
  if (!may_end || (frame.hd.flags & NGHTTP2_FLAG_END_STREAM) == 0) return;
  H2Stream* const stream = Find(frame.hd.stream_id);
  if (stream == nullptr) return;
  stream->out_ = H2Stream::Out::kSent;
  stream->leaves_at_ = written_;
  leaving_.PushBack(stream);
}

// A request that the peer's GOAWAY overtook.
void H2Session::OnFrameNotSent(const nghttp2_frame& frame) {
  if (frame.hd.type == NGHTTP2_RST_STREAM && own_resets_ > 0) --own_resets_;
  if (frame.hd.type != NGHTTP2_HEADERS || frame.headers.cat != NGHTTP2_HCAT_REQUEST) return;
  --opening_;
  H2Stream* const stream = Find(frame.hd.stream_id);
  if (stream == nullptr) return;  // it was reset before it left
  // nghttp2 closes the stream now, which is no news any more.
  Detach(*stream);
  stream->opening_ = false;
  stream->reset_ = true;
  stream->UnlinkAll();
  events_.OnStreamReset(*stream, H2Error::kRefusedStream, true);
}

void H2Session::TellLeft() {
  const size_t queued = transport_.queued_bytes();
  while (!leaving_.empty()) {
    H2Stream& stream = *leaving_.front();
    if (queued > 0 && stream.leaves_at_ + queued > written_) return;
    stream.ListHook<H2LeavingTag>::Unlink();
    stream.out_ = H2Stream::Out::kLeft;
    // A client may cancel every second request for ever; it is work for nothing that is bounded.
    floods_.Grant(H2Flood::kReset, 1);
    events_.OnStreamLeft(stream);
  }
}

void H2Session::CheckOver() {
  if (over_ || nghttp2_session_want_read(session_) != 0) return;
  if (nghttp2_session_want_write(session_) != 0 && !failed_) return;
  if (!failed_ && !leaving_.empty()) return;  // OnTransportWritable looks again
  over_ = true;
  events_.OnSessionOver();
}

}  // namespace sluice
