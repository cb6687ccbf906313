#include "h2_drain_connection.h"

#include <sys/epoll.h>

#include <algorithm>
#include <string_view>

namespace bench {

namespace {

constexpr int32_t kNoticeId = 0x7fffffff;  // of a GOAWAY that refuses nothing

H2Connection& Self(void* user) { return *static_cast<H2Connection*>(user); }

}  // namespace

// ---- connecting

void H2Connection::Connect() {
  int error = 0;
  connecting_ = StartConnecting(group_.port, &error);
  state_ = State::kConnecting;
  if (error != 0) return OnConnectFailed(error);
  load_.Watch(connecting_, *this);
}

void H2Connection::OnConnectFailed(int error) {
  close(connecting_);
  if (error == ECONNREFUSED) {
    ++load_.counts.connect_refused;
    state_ = load_.port_returns() ? State::kRefused : State::kStopped;
    retry_at_ = Clock::now() + kRetryAfter;
  } else if (error == ECONNRESET || error == EPIPE) {
    // It was set up, and closed before anything was asked.
    ++load_.counts.closed_untold;
    ++load_.counts.closed_by_reset;
    Reconnect();
  } else {
    Die(std::string("connect: ") + std::strerror(error));
  }
}

void H2Connection::OnConnected() {
  ++load_.counts.connected;
  state_ = State::kOpen;
  last_id_ = kNoticeId;
  answered_ = 0;
  pipe_ = std::make_unique<H2Pipe>(connecting_, NewSession(this));
  const nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_ENABLE_PUSH, 0}};
  nghttp2_submit_settings(pipe_->session(), NGHTTP2_FLAG_NONE, settings, 1);
  due_.assign(static_cast<size_t>(group_.streams), Clock::time_point());
  SendDue(Clock::now());
}

nghttp2_session* H2Connection::NewSession(H2Connection* self) {
  nghttp2_session_callbacks* callbacks = nullptr;
  nghttp2_session_callbacks_new(&callbacks);
  SetReceiving(callbacks);
  nghttp2_session_callbacks_set_on_frame_send_callback(
      callbacks, [](nghttp2_session*, const nghttp2_frame* frame, void* user) {
        if (frame->hd.type == NGHTTP2_HEADERS) {
          Self(user).requests_[frame->hd.stream_id].framed = true;
          Self(user).framed_.push_back(frame->hd.stream_id);
        }
        return 0;
      });
  nghttp2_session_callbacks_set_on_stream_close_callback(
      callbacks, [](nghttp2_session*, int32_t id, uint32_t error, void* user) {
        Self(user).OnStreamClosed(id, error);
        return 0;
      });
  nghttp2_session* session = nullptr;
  nghttp2_session_client_new(&session, callbacks, self);
  nghttp2_session_callbacks_del(callbacks);
  return session;
}

void H2Connection::SetReceiving(nghttp2_session_callbacks* callbacks) {
  nghttp2_session_callbacks_set_on_header_callback(
      callbacks, [](nghttp2_session*, const nghttp2_frame* frame, const uint8_t* name, size_t size,
                    const uint8_t* value, size_t value_size, uint8_t, void* user) {
        if (std::string_view(reinterpret_cast<const char*>(name), size) == ":status") {
          Self(user).requests_[frame->hd.stream_id].status =
              ParseNumber<int>({reinterpret_cast<const char*>(value), value_size});
        }
        return 0;
      });
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(
      callbacks,
      [](nghttp2_session*, uint8_t, int32_t id, const uint8_t*, size_t size, void* user) {
        Self(user).requests_[id].bytes += size;
        return 0;
      });
  nghttp2_session_callbacks_set_on_frame_recv_callback(
      callbacks, [](nghttp2_session*, const nghttp2_frame* frame, void* user) {
        Self(user).OnFrame(*frame);
        return 0;
      });
}

// ---- events

void H2Connection::OnEvent(uint32_t events) {
  if (state_ == State::kConnecting) {
    const int error = ConnectError(connecting_);
    if (error != 0) return OnConnectFailed(error);
    if ((events & EPOLLOUT) != 0) OnConnected();
  } else if (state_ != State::kStopped) {
    if (!pipe_->Read()) return OnEnded();
    SendDue(Clock::now());
  }
}

void H2Connection::OnFrame(const nghttp2_frame& frame) {
  const bool message = frame.hd.type == NGHTTP2_HEADERS || frame.hd.type == NGHTTP2_DATA;
  if (message && (frame.hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) {
    requests_[frame.hd.stream_id].ended = true;
  } else if (frame.hd.type == NGHTTP2_GOAWAY) {
    last_id_ = frame.goaway.last_stream_id;
    ++(last_id_ == kNoticeId ? load_.counts.notices : load_.counts.goaways);
    state_ = State::kLeaving;
  }
}

void H2Connection::OnStreamClosed(int32_t id, uint32_t error) {
  const auto found = requests_.find(id);
  if (found == requests_.end()) return;
  const Request request = found->second;
  requests_.erase(found);
  H2Counts& counts = load_.counts;
  if (!request.framed) {
    ++counts.unsent;
  } else if (error == NGHTTP2_REFUSED_STREAM) {
    ++counts.refused;
  } else if (error != NGHTTP2_NO_ERROR) {
    ++counts.reset;
  } else if (!request.ended || request.bytes != group_.bytes) {
    ++counts.failed_midway;
  } else {
    ++answered_;
    if (request.status != 200) ++counts.not_ok;
    load_.OnAnswered(request.begun);
  }
  due_.push_back(group_.pause.count() == 0 ? Clock::time_point() : AfterPause(group_.pause));
}

// ---- sending

void H2Connection::Tick(Clock::time_point now) {
  if (state_ == State::kRefused && now >= retry_at_) return Reconnect();
  if (state_ != State::kOpen && state_ != State::kLeaving) return;
  if (load_.ending() && requests_.empty()) return Stop();
  if (state_ == State::kLeaving) return;
  if (std::none_of(due_.begin(), due_.end(), [now](auto due) { return due <= now; })) return;
  // A client that waited looks whether the other side has said goodbye meanwhile.
  if (!pipe_->Read()) return OnEnded();
  SendDue(now);
}

void H2Connection::SendDue(Clock::time_point now) {
  for (size_t i = 0; i < due_.size() && state_ == State::kOpen && !load_.ending();) {
    if (due_[i] <= now) {
      due_[i] = due_.back();
      due_.pop_back();
      Submit();
    } else {
      ++i;
    }
  }
  Write();
}

void H2Connection::Submit() {
  static const std::string get = "GET";
  static const std::string http = "http";
  static const std::string host = "localhost";
  const nghttp2_nv fields[] = {Field(":method", get), Field(":scheme", http),
                               Field(":authority", host), Field(":path", group_.path)};
  const int32_t id = nghttp2_submit_request(pipe_->session(), nullptr, fields, 4, nullptr, nullptr);
  if (id < 0) Die(nghttp2_strerror(id));
  requests_[id].begun = Clock::now();
}

void H2Connection::Write() {
  const H2Pipe::Written written = pipe_->Write();
  if (written == H2Pipe::Written::kFailed) {
    // Whatever the peer said last is still to be read, unless a reset destroyed it.
    pipe_->Read();
    return OnEnded();
  }
  if (written == H2Pipe::Written::kAll) {
    load_.counts.sent += framed_.size();
    framed_.clear();
  }
  if (state_ == State::kLeaving && requests_.empty()) Reconnect();
}

// ---- the end of a connection

void H2Connection::OnEnded() {
  if (pipe_->broken()) Die("the peer broke the protocol");
  if (state_ != State::kLeaving) ++load_.counts.closed_untold;
  if (pipe_->reset()) ++load_.counts.closed_by_reset;
  // What did not leave in full cannot have been acted upon.
  for (const int32_t id : framed_) load_.counts.unsent += requests_.erase(id);
  for (const auto& [id, request] : requests_) CountLost(id, request);
  Reconnect();
}

void H2Connection::CountLost(int32_t id, const Request& request) {
  H2Counts& counts = load_.counts;
  if (!request.framed) {
    ++counts.unsent;
  } else if (id > last_id_) {
    ++counts.refused;
  } else if (request.status != 0) {
    ++counts.failed_midway;
  } else if (answered_ == 0) {
    ++counts.failed_fresh;
  } else {
    ++counts.failed_reused;
  }
}

void H2Connection::Reconnect() {
  requests_.clear();
  framed_.clear();
  pipe_.reset();
  if (load_.ending()) {
    state_ = State::kStopped;
  } else {
    Connect();
  }
}

void H2Connection::Stop() {
  pipe_.reset();
  state_ = State::kStopped;
}

}  // namespace bench
