// One WebSocket session (RFC 6455) between a client and an upstream. Bytes are relayed untouched;
// in each direction a follower knows where frames end, so that the session can be ended in its own
// words:
//
//   kOpen --Tell--> kTelling --the message ends, or message_wait is over and a frame does:
//                              Close to the client--> kTold
//   kTold --the client's Close, which is passed on, or its end--> kAnswered
//   kTold --close_timeout--> lost: Close to the upstream, over
//   kAnswered --the upstream's Close, or its end, or close_timeout: our end to the client-->
//   kEnding kEnding --the client's end, or a bounded wait--> over
//
// A session that either side is closing is left to them, for close_timeout once it was told. One
// whose bytes are not WebSocket (any more) is relayed blindly, kOpaque, and nothing can be said in
// it.
//
// One worker thread. Owned by its ProxiedRequest.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/metrics.h"
#include "base/timer_queue.h"
#include "config/config.h"
#include "http/client_connection.h"
#include "http/websocket_frames.h"
#include "sluice/handler.h"
#include "sluice/loop.h"

namespace sluice {

// Of all sessions of a listener on one worker.
struct WebSocketMetrics {
  WebSocketMetrics(MetricShard& shard, const std::string& listener);
  MetricCell& open;
  MetricCell& closes_to_client;
  MetricCell& closes_to_upstream;
  MetricCell& opaque;
};

class WebSocketTunnel final : public Deferred {
 public:
  class Owner {
   public:
    // The session has ended; the client's stream is done. Unless `exchange_over`, the upstream's
    // exchange has to be left. The tunnel is used no more.
    virtual void OnTunnelOver(bool exchange_over) = 0;

   protected:
    ~Owner() = default;
  };

  // `linger`: how long the client may take to close after both Closes. Everything given must
  // outlive the tunnel, but for `upstream` after OnUpstreamGone.
  WebSocketTunnel(Loop& loop, Owner& owner, ServerStream& client, ClientStream& upstream,
                  const WebSocketConfig& config, bool extensions, WebSocketMetrics& metrics);

  // A session that stands still, for the process that goes on with it.
  struct Frozen {
    WebSocketFollower::State from_client;
    WebSocketFollower::State from_upstream;
    Duration age{};
    Duration client_quiet{};  // since bytes came from it
    Duration upstream_quiet{};
    Duration ping_age{};
    bool ping_unanswered = false;
  };
  // Goes on, when it is thawed, with a session that another process has frozen.
  WebSocketTunnel(Loop& loop, Owner& owner, ServerStream& client, ClientStream& upstream,
                  const WebSocketConfig& config, const Frozen& frozen, WebSocketMetrics& metrics);

  // Nobody is ending the session, and its bytes are understood.
  bool can_move() const { return state_ == State::kOpen && !ending() && !upstream_gone_; }
  // Until Thaw no limit of the session acts.
  Frozen Freeze();
  void Thaw();

  // Bytes from either side, not empty, and its end. May end the session.
  void OnClientBytes(std::string_view bytes);
  void OnClientEnd();
  void OnUpstreamBytes(std::string_view bytes);
  void OnUpstreamEnd();

  // The upstream broke off. True when nothing more was needed of it, which may end the session;
  // false: the client has to be told that its session broke.
  bool OnUpstreamGone();

  // The exchange with the upstream has ended by itself, so that it must not be used any more.
  bool exchange_over() const { return upstream_gone_ || (upstream_ended_ && upstream_end_sent_); }

  // Ends the session politely; `reason`, a constant, is what the Close says. Does nothing when it
  // is ending.
  void Tell(std::string_view reason);

  // The drain's deadline: says to both sides what can be said at once. One that was told before is
  // ended here; any other has a last bounded wait, and is then cut by the codec.
  void OnCut();

  // The session is over for a reason from outside: the owner is done with it. What was given may be
  // gone from here on.
  void Stop();
  bool over() const { return over_; }

 private:
  enum class State : uint8_t { kOpen, kTelling, kTold, kAnswered, kEnding, kOpaque };

  bool closing() const { return client_closed_ || upstream_closed_; }
  bool ending() const { return closing() || client_ended_ || upstream_ended_; }
  bool relays() const { return state_ <= State::kTelling || state_ == State::kOpaque; }
  bool client_done() const { return client_closed_ || client_ended_; }
  bool upstream_done() const { return upstream_closed_ || upstream_ended_; }

  void Relay(std::string_view bytes);
  void RelayToBoundary(std::string_view bytes);
  void EndOfUpstream();
  void LeaveToThem();
  void CloseClient();
  void CloseUpstream();
  void EndUpstream();
  void SendClientEnd();
  void Settle();
  void EndClient();
  void LetClientGo();
  void Lose(std::string_view detail, StreamEnd why);
  void Over();
  void BecomeOpaque();
  void TellAtCut();

  void OnTimer();
  void OnTellingTimer();
  void Look();
  void Ping();
  TimePoint NextLook() const;

  Loop& loop_;
  Owner& owner_;
  ServerStream& client_;
  ClientStream& upstream_;
  const WebSocketConfig& config_;
  WebSocketMetrics& metrics_;
  WebSocketFollower from_client_;
  WebSocketFollower from_upstream_;
  Timer timer_;
  TimePoint begun_;
  TimePoint client_moved_;
  TimePoint upstream_moved_;
  TimePoint ping_sent_{};
  std::string_view reason_;
  State state_ = State::kOpen;
  WebSocketBoundary boundary_ = WebSocketBoundary::kMessage;  // awaited in kTelling
  bool ping_unanswered_ = false;
  bool client_closed_ = false;  // its Close was passed on
  bool client_ended_ = false;
  bool client_end_sent_ = false;
  bool upstream_closed_ = false;
  bool upstream_ended_ = false;
  bool upstream_end_sent_ = false;
  bool upstream_told_ = false;
  bool upstream_gone_ = false;
  bool told_at_cut_ = false;
  bool over_ = false;
};

}  // namespace sluice
