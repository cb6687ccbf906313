// One health check of one endpoint: connects, asks, and says what came of it. On a connection of
// its own, as the next client would find the endpoint.
//
//   kConnecting --> kAsking --> kOver
//         \-- time is up, refused, a connection is all that was asked for --^
//
// One thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/timer_queue.h"
#include "config/cluster_config.h"
#include "config/status_range.h"
#include "http/client_connection.h"
#include "http/h2_client_connection.h"
#include "sluice/loop.h"
#include "sluice/transport.h"

namespace sluice {

// What the checks of a cluster have in common.
struct HealthProbeConfig {
  explicit HealthProbeConfig(const ClusterConfig& cluster);  // which has a health check
  HealthCheckConfig check;
  bool reads_drain_header = true;
  std::vector<StatusRange> statuses;
  std::string_view scheme;  // "http" or "https"
  bool http2_only = false;  // requests, or gRPC, need it; spoken at once where there is no ALPN
};

inline constexpr std::string_view kTimeoutReason = "timeout";
inline constexpr std::string_view kStatusReason = "status";

struct ProbeResult {
  bool passed = false;
  bool draining = false;         // it says so itself
  std::string_view reason = {};  // why it did not pass: a constant, "refused", "timeout", "status"
  int status = 0;                // of the response, over HTTP
};

class HealthProbe final : public Deferred, private ClientConnectionOwner, private ResponseReceiver {
 public:
  // Begins at once. `done` is called once, never from in here, unless the probe is destroyed
  // before; the probe must not be destroyed inside but by Loop::DeleteLater. All but `address` must
  // outlive it.
  HealthProbe(Loop& loop, Dialer& dialer, const HealthProbeConfig& config,
              const std::string& address, std::function<void(const ProbeResult&)> done);
  ~HealthProbe() override;

 private:
  enum class State : uint8_t { kConnecting, kAsking, kOver };

  // ClientConnectionOwner
  void OnConnectionAvailable(ClientConnection&) override {}
  void OnConnectionDraining(ClientConnection&) override {}
  void OnConnectionClosed(ClientConnection&) override {}

  // ResponseReceiver
  void OnInformational(const ResponseHead&) override {}
  void OnResponseHead(ResponseHead& head, bool end_stream) override;
  void OnResponseBody(std::string_view bytes, bool end_stream) override;
  void OnResponseTrailers(const HeaderList& trailers) override;
  void OnRequestWritable() override {}
  void OnUpstreamFailure(const UpstreamFailure& failure) override;

  void OnDialed(std::unique_ptr<Transport> transport, int error);
  void Ask(std::unique_ptr<Transport> transport);
  void Judge(int grpc_status);
  void OnTimeout() { Finish({.reason = kTimeoutReason}); }
  void Finish(const ProbeResult& result);

  Loop& loop_;
  const HealthProbeConfig& config_;
  const std::string address_;
  const std::function<void(const ProbeResult&)> done_;
  Timer timeout_;
  std::unique_ptr<Dialer::Attempt> attempt_;
  H2ClientContext http2_;
  std::unique_ptr<ClientConnection> connection_;
  RequestHead request_;
  std::string body_;       // of a response of gRPC
  uint64_t received_ = 0;  // bytes of body
  ProbeResult result_;     // as far as the head goes
  State state_ = State::kConnecting;
};

}  // namespace sluice
