#include "proxy/websocket_tunnel.h"

#include <algorithm>
#include <chrono>
#include <string>
#include <utility>

namespace sluice {
namespace {

// How long a client may take to close its end after both Closes.
constexpr Duration kEndWait = std::chrono::seconds(1);

}  // namespace

WebSocketMetrics::WebSocketMetrics(MetricShard& shard, const std::string& listener)
    : open(shard.Gauge("sluice_websocket_sessions", "WebSocket sessions now open.",
                       {{"listener", listener}})),
      closes_to_client(shard.Counter("sluice_websocket_close_sent_total",
                                     "Close frames that Sluice sent of its own.",
                                     {{"listener", listener}, {"peer", "client"}})),
      closes_to_upstream(shard.Counter("sluice_websocket_close_sent_total",
                                       "Close frames that Sluice sent of its own.",
                                       {{"listener", listener}, {"peer", "upstream"}})),
      opaque(
          shard.Counter("sluice_websocket_opaque_total",
                        "WebSocket sessions whose bytes were no valid frames; they were relayed, "
                        "but cannot be told of a drain.",
                        {{"listener", listener}})) {}

WebSocketTunnel::WebSocketTunnel(Loop& loop, Owner& owner, ServerStream& client,
                                 ClientStream& upstream, const WebSocketConfig& config,
                                 bool extensions, WebSocketMetrics& metrics)
    : loop_(loop),
      owner_(owner),
      client_(client),
      upstream_(upstream),
      config_(config),
      metrics_(metrics),
      from_client_(WebSocketSender::kClient, extensions),
      from_upstream_(WebSocketSender::kServer, extensions),
      timer_(loop.timers(), Delegate::Bind<&WebSocketTunnel::OnTimer>(this)),
      begun_(loop.Now()),
      client_moved_(begun_),
      upstream_moved_(begun_) {
  metrics_.open.Add();
  timer_.Set(NextLook());
}

WebSocketTunnel::WebSocketTunnel(Loop& loop, Owner& owner, ServerStream& client,
                                 ClientStream& upstream, const WebSocketConfig& config,
                                 const Frozen& frozen, WebSocketMetrics& metrics)
    : WebSocketTunnel(loop, owner, client, upstream, config, false, metrics) {
  from_client_ = WebSocketFollower(frozen.from_client);
  from_upstream_ = WebSocketFollower(frozen.from_upstream);
  begun_ = loop.Now() - frozen.age;
  client_moved_ = loop.Now() - frozen.client_quiet;
  upstream_moved_ = loop.Now() - frozen.upstream_quiet;
  ping_sent_ = loop.Now() - frozen.ping_age;
  ping_unanswered_ = frozen.ping_unanswered;
  timer_.Stop();
}

WebSocketTunnel::Frozen WebSocketTunnel::Freeze() {
  timer_.Stop();
  const TimePoint now = loop_.Now();
  return {from_client_.state(),  from_upstream_.state(), now - begun_,    now - client_moved_,
          now - upstream_moved_, now - ping_sent_,       ping_unanswered_};
}

void WebSocketTunnel::Thaw() { timer_.Set(NextLook()); }

// ---- from the client

void WebSocketTunnel::OnClientBytes(std::string_view bytes) {
  client_moved_ = loop_.Now();
  ping_unanswered_ = false;  // whatever it sends, it is alive
  if (state_ == State::kOpaque) {
    upstream_.SendBody(bytes, false);
    return;
  }
  if (client_closed_) return;  // nothing follows a Close (RFC 6455 5.5.1)
  from_client_.Feed(bytes);
  if (!upstream_gone_ && !upstream_told_) upstream_.SendBody(bytes, false);
  if (from_client_.invalid() && !from_client_.close_seen()) {
    BecomeOpaque();
  } else if (from_client_.close_seen()) {
    client_closed_ = true;
    if (state_ == State::kTelling) {
      LeaveToThem();
    } else {
      Settle();
    }
  }
}

void WebSocketTunnel::OnClientEnd() {
  client_ended_ = true;
  if (relays()) {
    EndUpstream();
    if (client_end_sent_) {
      Over();
    } else if (state_ == State::kTelling) {
      LeaveToThem();
    }
  } else {
    Settle();
  }
}

// ---- from the upstream

void WebSocketTunnel::OnUpstreamBytes(std::string_view bytes) {
  upstream_moved_ = loop_.Now();
  switch (state_) {
    case State::kOpaque:
      client_.SendBody(bytes, false);
      return;
    case State::kOpen:
      if (!upstream_closed_) Relay(bytes);
      return;
    case State::kTelling:
      if (upstream_closed_) return;
      if (client_done()) {
        Relay(bytes);
      } else {
        RelayToBoundary(bytes);
      }
      return;
    case State::kTold:
    case State::kAnswered:
    case State::kEnding:
      // No frame follows our Close, but the upstream's tells that it has understood.
      if (upstream_closed_) return;
      from_upstream_.Feed(bytes);
      upstream_closed_ = from_upstream_.close_seen() || from_upstream_.invalid();
      if (upstream_closed_) Settle();
      return;
  }
}

void WebSocketTunnel::Relay(std::string_view bytes) {
  from_upstream_.Feed(bytes);
  client_.SendBody(bytes, false);
  if (from_upstream_.close_seen()) {
    upstream_closed_ = true;
    if (state_ == State::kTelling) LeaveToThem();
  } else if (from_upstream_.invalid()) {
    BecomeOpaque();
  }
}

void WebSocketTunnel::RelayToBoundary(std::string_view bytes) {
  const size_t taken = from_upstream_.FeedToBoundary(bytes, boundary_);
  client_.SendBody(bytes.substr(0, taken), false);
  if (from_upstream_.close_seen()) {  // it was faster
    upstream_closed_ = true;
    LeaveToThem();
    return;
  }
  if (from_upstream_.invalid()) {
    BecomeOpaque();
    return;
  }
  const bool there = boundary_ == WebSocketBoundary::kFrame ? from_upstream_.at_frame_boundary()
                                                            : from_upstream_.at_message_boundary();
  if (!there) return;
  CloseClient();
  if (taken < bytes.size()) OnUpstreamBytes(bytes.substr(taken));
}

void WebSocketTunnel::OnUpstreamEnd() {
  upstream_ended_ = true;
  if (relays()) {
    EndOfUpstream();
  } else {
    Settle();
  }
}

// The client hears of it at once, as it would without us.
void WebSocketTunnel::EndOfUpstream() {
  SendClientEnd();
  if (client_ended_) {
    Over();
  } else if (state_ == State::kTelling) {
    LeaveToThem();
  }
}

bool WebSocketTunnel::OnUpstreamGone() {
  upstream_gone_ = true;
  // One that was closing may break off: its goodbye was said, or it had nothing left to answer.
  if (relays() && (state_ == State::kOpaque || !closing())) return false;
  upstream_ended_ = true;
  if (relays()) {
    EndOfUpstream();
  } else {
    Settle();
  }
  return true;
}

// ---- the end, politely

void WebSocketTunnel::Tell(std::string_view reason) {
  if (state_ != State::kOpen) return;
  reason_ = reason;
  state_ = State::kTelling;
  if (ending()) {
    LeaveToThem();
  } else if (from_upstream_.at_message_boundary()) {
    CloseClient();
  } else {
    client_.record().waiting_for = "end of a WebSocket message";
    timer_.Set(loop_.Now() + config_.message_wait);
  }
}

// Either side is ending the session already. It is theirs, for so long.
void WebSocketTunnel::LeaveToThem() {
  if (client_closed_ && upstream_closed_) {
    state_ = State::kAnswered;
    Settle();
    return;
  }
  client_.record().waiting_for = client_done() ? "upstream's Close frame" : "client's Close frame";
  timer_.Set(loop_.Now() + config_.close_timeout);
}

void WebSocketTunnel::CloseClient() {
  char* const frame = loop_.Scratch(kWebSocketControlBytes);
  client_.SendBody(WriteWebSocketClose(kWebSocketGoingAway, reason_, {}, frame), false);
  metrics_.closes_to_client.Add();
  state_ = State::kTold;
  client_.record().waiting_for = "client's Close frame";
  timer_.Set(loop_.Now() + config_.close_timeout);
}

// For a client that did not say goodbye to it.
void WebSocketTunnel::CloseUpstream() {
  if (upstream_told_ || upstream_gone_ || upstream_end_sent_ || closing() ||
      !from_client_.at_frame_boundary()) {
    return;
  }
  upstream_told_ = true;
  char* const frame = loop_.Scratch(kWebSocketControlBytes);
  const auto mask = static_cast<uint32_t>(loop_.random().Next());
  upstream_.SendBody(WriteWebSocketClose(kWebSocketGoingAway, reason_, mask, frame), false);
  metrics_.closes_to_upstream.Add();
}

void WebSocketTunnel::EndUpstream() {
  if (std::exchange(upstream_end_sent_, true) || upstream_gone_) return;
  upstream_.SendBody({}, true);
}

void WebSocketTunnel::SendClientEnd() {
  if (!std::exchange(client_end_sent_, true)) client_.SendBody({}, true);
}

// Goes on as far as what both sides have said allows.
void WebSocketTunnel::Settle() {
  if (state_ == State::kTold && client_done()) {
    state_ = State::kAnswered;
    client_.record().waiting_for = "upstream's Close frame";
    CloseUpstream();
    // A client that has gone waits for nothing.
    const Duration wait = client_ended_ ? kEndWait : config_.close_timeout;
    timer_.Set(loop_.Now() + std::min(wait, config_.close_timeout));
  }
  if (state_ == State::kAnswered && upstream_done()) EndClient();
  // With both of its ends the client's stream is gone, whatever the upstream has still to say.
  if (client_ended_ && (state_ == State::kEnding || client_end_sent_)) Over();
}

// RFC 6455 7.1.1: the server closes the connection first, when both Closes have been exchanged.
void WebSocketTunnel::EndClient() {
  state_ = State::kEnding;
  client_.record().waiting_for = "client to close";
  timer_.Set(loop_.Now() + kEndWait);
  if (!client_ended_) SendClientEnd();
}

// The client is not waited for any more, and has nothing more to hear.
void WebSocketTunnel::LetClientGo() {
  if (!client_ended_) {
    SendClientEnd();
    client_.DiscardRequest();
  }
  Over();
}

void WebSocketTunnel::Lose(std::string_view detail, StreamEnd why) {
  CloseUpstream();
  client_.record().detail = detail;
  ServerStream& client = client_;
  client_end_sent_ = true;  // not as if it were complete
  Over();
  client.Abort(why);
}

void WebSocketTunnel::Over() {
  Stop();
  ServerStream& client = client_;
  const bool owes_end = client_ended_ && !std::exchange(client_end_sent_, true);
  owner_.OnTunnelOver(exchange_over());
  if (owes_end) client.SendBody({}, true);
}

void WebSocketTunnel::Stop() {
  if (std::exchange(over_, true)) return;
  timer_.Stop();
  metrics_.open.Add(-1);
}

void WebSocketTunnel::BecomeOpaque() {
  if (state_ != State::kOpen && state_ != State::kTelling) return;  // it is bounded already
  state_ = State::kOpaque;
  timer_.Stop();
  client_.record().protocol = Protocol::kTunnel;
  client_.record().waiting_for = "either end of the tunnel";
  metrics_.opaque.Add();
}

void WebSocketTunnel::OnCut() {
  switch (state_) {
    case State::kOpaque:
      break;
    case State::kOpen:
    case State::kTelling:
      if (!std::exchange(told_at_cut_, true)) TellAtCut();
      break;
    case State::kTold:
      if (!told_at_cut_) Lose("websocket_close_unanswered", StreamEnd::kClientTimeout);
      break;
    case State::kAnswered:
    case State::kEnding:
      LetClientGo();
      break;
  }
}

void WebSocketTunnel::TellAtCut() {
  if (reason_.empty()) reason_ = "going away";
  CloseUpstream();
  if (client_end_sent_) return;
  if (upstream_closed_) {
    state_ = State::kTelling;
  } else if (from_upstream_.at_frame_boundary()) {
    CloseClient();
  } else {
    return;  // a frame that will never be whole is cut
  }
  if (client_done()) {
    LetClientGo();
  } else {
    SendClientEnd();  // an answer may still come in the codec's last wait
  }
}

// ---- time

void WebSocketTunnel::OnTimer() {
  switch (state_) {
    case State::kOpen:
      Look();
      break;
    case State::kTelling:
      OnTellingTimer();
      break;
    case State::kTold:
      if (client_.congested()) {  // it takes what was sent before; that has a limit of its own
        timer_.Set(loop_.Now() + config_.close_timeout);
      } else {
        Lose("websocket_close_unanswered", StreamEnd::kClientTimeout);
      }
      break;
    case State::kAnswered:
      upstream_ended_ = true;
      Settle();
      break;
    case State::kEnding:
      LetClientGo();
      break;
    case State::kOpaque:
      break;
  }
}

void WebSocketTunnel::OnTellingTimer() {
  const TimePoint now = loop_.Now();
  if (ending()) {
    if (client_closed_ && !client_end_sent_ && from_upstream_.at_frame_boundary()) {
      CloseClient();  // it shall have an answer, if not the upstream's
      upstream_ended_ = true;
      Settle();
    } else {
      Lose("websocket_close_unanswered",
           client_done() ? StreamEnd::kUpstreamFailed : StreamEnd::kClientTimeout);
    }
  } else if (from_upstream_.at_frame_boundary()) {
    CloseClient();
  } else if (boundary_ == WebSocketBoundary::kMessage) {
    boundary_ = WebSocketBoundary::kFrame;
    client_.record().waiting_for = "end of a WebSocket frame";
    timer_.Set(now + config_.close_timeout);
  } else if (client_.congested() || upstream_moved_ + config_.close_timeout > now) {
    timer_.Set(now + config_.close_timeout);  // it moves
  } else {
    Lose("websocket_frame_stalled", StreamEnd::kUpstreamFailed);
  }
}

TimePoint WebSocketTunnel::NextLook() const {
  TimePoint next = kNever;
  const auto limit = [&next](TimePoint since, Duration most) {
    if (most != Duration::zero()) next = std::min(next, since + most);
  };
  limit(begun_, config_.max_duration);
  limit(std::max(client_moved_, upstream_moved_), config_.idle_timeout);
  if (config_.ping_interval != Duration::zero()) {
    if (ping_unanswered_) {
      limit(ping_sent_, config_.ping_timeout);
    } else {
      limit(std::max(client_moved_, ping_sent_), config_.ping_interval);
    }
  }
  return next;
}

// Whether one of the limits is reached. Bytes that move do not touch the timer.
void WebSocketTunnel::Look() {
  const TimePoint now = loop_.Now();
  const auto reached = [now](TimePoint since, Duration most) {
    return most != Duration::zero() && since + most <= now;
  };
  if (reached(begun_, config_.max_duration)) {
    Tell("maximum duration");
    return;
  }
  if (reached(std::max(client_moved_, upstream_moved_), config_.idle_timeout)) {
    Tell("idle");
    return;
  }
  if (ping_unanswered_ && reached(ping_sent_, config_.ping_timeout)) {
    if (!client_.congested()) {
      reason_ = "no pong";
      Lose("websocket_ping_timeout", StreamEnd::kClientTimeout);
      return;
    }
    ping_sent_ = now;  // it has not had it yet; how slowly it may read has a limit of its own
  }
  if (!ping_unanswered_ && reached(std::max(client_moved_, ping_sent_), config_.ping_interval)) {
    Ping();
  }
  timer_.Set(NextLook());
}

// Between two frames only; in the middle of one there is traffic, and it is tried again later.
void WebSocketTunnel::Ping() {
  ping_sent_ = loop_.Now();
  if (ending() || !from_upstream_.at_frame_boundary()) return;
  ping_unanswered_ = true;
  char* const frame = loop_.Scratch(kWebSocketControlBytes);
  client_.SendBody(WriteWebSocketPing({}, {}, frame), false);
}

}  // namespace sluice
