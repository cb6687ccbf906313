// Joins one downstream stream to one upstream exchange, with back-pressure both ways, time limits,
// and retries (retries.h), for which it holds what it has sent (replay_buffer.h) or has it given
// back (echoed_upload.h).
//
//   kWaiting --> kConnecting --connection--> kExchanging --end of response---> kDone
//      ^              |                      |    \--101, CONNECT--> kTunnel --^
//      +--- retry ----+--------- retry ------+
//   from any state: the client is gone, the time is over, the upstream failed --> kDone
//
// kWaiting: for the backoff of a retry, or for a fault's delay. A WebSocket is a tunnel that can be
// talked to (websocket_tunnel.h); other responses that a drain ends early are followed to where
// they may be ended (early_end.h).
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
#include "proxy/echoed_upload.h"
#include "proxy/failure.h"
#include "proxy/replay_buffer.h"
#include "proxy/retries.h"
#include "proxy/route.h"
#include "proxy/websocket_tunnel.h"
#include "sluice/handler.h"
#include "upstream/cluster.h"

namespace sluice {

class MirroredRequest;
class Proxy;
struct MovedTunnel;

class ProxiedRequest final : public RequestReceiver,
                             public ResponseReceiver,
                             public ConnectionWaiter,
                             public LongLivedStream,
                             private WebSocketTunnel::Owner,
                             private EchoedUpload::Owner {
 public:
  // `proxy` must outlive it.
  explicit ProxiedRequest(Proxy& proxy);

  // Takes the request on its way, after a fault's `delay`. Everything given outlives it. A place in
  // the limit of the route is taken, if it has one.
  void Start(ServerStream& stream, const Route& route, Cluster& cluster, bool end_stream,
             Duration delay);

  // Goes on, when it is thawed, with a tunnel that another process has frozen (in
  // proxied_request_move.cc); a place in the budget of sessions is taken.
  void Adopt(ServerStream& stream, const Route& route, Cluster& cluster, Cluster::Lease lease,
             const MovedTunnel& tunnel, std::unique_ptr<Transport> upstream);

  // LongLivedStream
  ServerStream& stream() override { return *stream_; }
  bool Tell() override;

 private:
  enum class State : uint8_t { kDone, kWaiting, kConnecting, kExchanging, kTunnel };

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

  // EchoedUpload::Owner
  void OnEcho(std::string_view bytes) override;
  void OnEchoOver() override;
  void OnEchoFailed() override;

  void ChooseBy(const RequestHead& head);
  void Mirror(bool end_stream);
  void FeedMirror(std::string_view bytes, bool end_stream);
  void Connect();
  void SendBody(std::string_view bytes, bool end_stream);
  void SendKept(bool keep);
  void SendClientsRest();
  void BeginTunnel(const ResponseHead& head);
  void FollowBody(const ResponseHead& head);
  void OnTunnelBytes(std::string_view bytes, bool end_stream);
  void OnUpstreamTunnelBytes(std::string_view bytes, bool end_stream);
  void RelayToEnd(std::string_view bytes);
  void EndEarly();
  // Retries: proxied_request_retry.cc.
  std::optional<Duration> MayRetry(RetryCause cause, Duration retry_after);
  bool Retry(RetryCause cause);
  void GoAgain(RetryCause cause, Duration wait);
  bool RetryAfter(const UpstreamFailure& failure);
  bool RetryAfter(const ResponseHead& head, bool end_stream);
  void TakeBack(bool end_stream);
  void Learn(ResponseHead& head, bool end_stream);
  void GiveUpAttempt(bool ended);
  TimePoint LastMoment() const;
  void LimitTry();
  void OnTryTimeout();
  // What the request has of a body is the tunnel's: a CONNECT, or over HTTP/2 an upgrade.
  bool connects() const {
    const RequestHead& head = stream_->request();
    return head.method == Method::kConnect || !head.upgrade.empty();
  }
  bool UpstreamHasAll() const;
  void HoldRequest();
  void LetRequestGoOn();
  void EndOfRequest();
  void AwaitResponse();
  void RestartTimeout();
  void StopTimeout();
  void OnTimeout();
  void OnDeadline() { Fail(kGrpcDeadline); }
  void StickToEndpoint(ResponseHead& head);
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
  Timer timeout_;                     // how long the upstream may be silent, or not read
  Timer deadline_;                    // of a gRPC request that has one: its end, whatever happens
  Timer wait_;                        // in kWaiting
  Timer try_timeout_;                 // of this attempt, once the upstream has the whole request
  Retries retries_;
  ReplayBuffer kept_;
  std::shared_ptr<MirroredRequest> mirror_;  // while it wants more of the body
  std::unique_ptr<EchoedUpload> echo_;       // what comes before anything from the client
  uint64_t sent_bytes_ = 0;                  // of the body, in this attempt
  size_t untaken_at_last_look_ = 0;          // of the request, by the upstream that holds it back
  PickRequest pick_;
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
  bool may_go_again_ = false;      // even when the upstream has all of it
  bool end_sent_ = false;          // the upstream has the end of the request
  bool told_to_continue_ = false;  // the client, by 100
  bool fresh_ = false;             // the next attempt wants a connection that nobody has used
};

}  // namespace sluice
