// Joins one downstream stream to one upstream exchange, with back-pressure both ways, a time limit,
// and replays: one when a reused connection turns out to be dead, a few when the upstream says that
// it has not processed the request.
//
//   kConnecting --connection--> kExchanging --end of response--> kDone
//        ^                          |     \--101, CONNECT--> kTunnel --both ends--> kDone
//        +--------- replay ---------+
//   A WebSocket is a tunnel that can be talked to (websocket_tunnel.h); other responses that a
//   drain ends early are followed to where they may be ended (early_end.h). from any state: the
//   client is gone, the time is over, the upstream failed --> kDone
//
// Recycled by its Proxy. One worker thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include "base/timer_queue.h"
#include "http/client_connection.h"
#include "http/long_lived_streams.h"
#include "proxy/early_end.h"
#include "proxy/failure.h"
#include "proxy/replay_buffer.h"
#include "proxy/route.h"
#include "proxy/websocket_tunnel.h"
#include "sluice/handler.h"
#include "upstream/cluster.h"

namespace sluice {

class Proxy;
struct MovedTunnel;

class ProxiedRequest final : public RequestReceiver,
                             public ResponseReceiver,
                             public ConnectionWaiter,
                             public LongLivedStream,
                             private WebSocketTunnel::Owner {
 public:
  // `proxy` must outlive it.
  explicit ProxiedRequest(Proxy& proxy);

  // Takes the request on its way. Everything given outlives it.
  void Start(ServerStream& stream, const Route& route, Cluster& cluster, bool end_stream);

  // Goes on, when it is thawed, with a tunnel that another process has frozen (in
  // proxied_request_move.cc); a place in the budget of sessions is taken.
  void Adopt(ServerStream& stream, const Route& route, Cluster& cluster, Cluster::Lease lease,
             const MovedTunnel& tunnel, std::unique_ptr<Transport> upstream);

  // LongLivedStream
  ServerStream& stream() override { return *stream_; }
  bool Tell() override;

 private:
  enum class State : uint8_t { kDone, kConnecting, kExchanging, kTunnel };

  // RequestReceiver: from the client
  void OnRequestBody(std::string_view bytes, bool end_stream) override;
  void OnRequestTrailers(const HeaderList& trailers) override;
  void OnResponseWritable() override;
  void OnCut() override;
  std::optional<FrozenTunnel> Freeze() override;
  void Thaw() override;
  void OnReset(StreamEnd why) override;

  // ConnectionWaiter
  void OnConnection(ClientConnection& connection, EndpointPool& endpoint, bool reused) override;
  void OnNoConnection(ConnectFailure failure) override;

  // ResponseReceiver: from the upstream
  void OnInformational(const ResponseHead& head) override;
  void OnResponseHead(ResponseHead& head, bool end_stream) override;
  void OnResponseBody(std::string_view bytes, bool end_stream) override;
  void OnResponseTrailers(const HeaderList& trailers) override;
  void OnRequestWritable() override;
  void OnUpstreamFailure(const UpstreamFailure& failure) override;

  // WebSocketTunnel::Owner
  void OnTunnelOver(bool exchange_over) override;

  void Connect(Replay replay);
  void SendKept(bool keep);
  void BeginTunnel(const ResponseHead& head);
  void FollowBody(const ResponseHead& head);
  void OnTunnelBytes(std::string_view bytes, bool end_stream);
  void OnUpstreamTunnelBytes(std::string_view bytes, bool end_stream);
  void RelayToEnd(std::string_view bytes);
  void EndEarly();
  Replay ReplayAfter(const UpstreamFailure& failure);
  bool TakeFromBudget();
  // What the request has of a body is the tunnel's: a CONNECT, or over HTTP/2 an upgrade.
  bool connects() const {
    const RequestHead& head = stream_->request();
    return head.method == Method::kConnect || !head.upgrade.empty();
  }
  void EndOfRequest();
  void AwaitResponse();
  void RestartTimeout();
  void StopTimeout();
  void OnTimeout();
  void OnDeadline() { Fail(kGrpcDeadline); }
  void ReadGrpcStatus(const HeaderList& fields);
  void Fail(const Failure& failure);
  void ExchangeOver();
  // Leaves both sides, cancels what is still under way upstream.
  void Done();

  Proxy& proxy_;
  ServerStream* stream_ = nullptr;
  const Route* route_ = nullptr;
  Cluster* cluster_ = nullptr;
  Cluster::Lease lease_;
  ClientStream* upstream_ = nullptr;  // in kExchanging and kTunnel
  Timer timeout_;                     // how long the upstream may be silent
  Timer deadline_;                    // of a gRPC request that has one: its end, whatever happens
  ReplayBuffer kept_;
  std::unique_ptr<WebSocketTunnel> websocket_;
  EarlyEnd early_end_;
  std::string_view upstream_path_;  // after the route's rewrites; the log keeps the client's
  std::string_view upstream_authority_;
  TimePoint sent_at_{};
  State state_ = State::kDone;
  bool grpc_ = false;
  bool in_session_budget_ = false;  // a place for a WebSocket is taken
  bool told_ = false;               // by a drain, to end at the next place that allows it
  bool may_be_silent_ = false;      // the upstream, now that a tunnel or a gRPC response has begun
  bool has_body_ = false;
  bool request_ended_ = false;
  bool response_ended_ = false;  // of a tunnel: its upstream direction
  bool on_reused_ = false;
  bool safe_to_repeat_ = false;  // may be processed twice
  bool lost_ = false;            // once, with a connection
  bool in_budget_ = false;       // a replay of the cluster's budget is ours
  uint8_t refusals_ = 0;
};

}  // namespace sluice
