// A WebSocketTunnel between a FakeStream and an upstream that only records, for tests that say what
// either side does and when:
//
//   TunnelSim sim;
//   sim.FromUpstream(test::Frame(WebSocketSender::kServer, test::Opcode::kText, "hello"));
//   sim.Tell();
//   sim.FromClient(test::CloseFrame(WebSocketSender::kClient, 1001));
//
// What must hold whatever happens is checked after each step: whole frames only and nothing after a
// Close in either direction, bytes of the other side untouched before it, and no tunnel that
// outlives the client's stream.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "base/metrics.h"
#include "proxy/websocket_tunnel.h"
#include "support/fake_stream.h"
#include "support/sim_loop.h"
#include "support/websocket_reader.h"

namespace sluice {

struct TunnelSimOptions {
  WebSocketConfig config;
  bool extensions = false;
};

class TunnelSim final : private Handler, private RequestReceiver, private WebSocketTunnel::Owner {
 public:
  using Options = TunnelSimOptions;

  explicit TunnelSim(const Options& options = {})
      : options_(options),
        stream_(loop_, "GET", "/chat"),
        to_client_(WebSocketSender::kServer, options.extensions),
        to_upstream_(WebSocketSender::kClient, options.extensions) {
    loop_.Dispatch([this] { stream_.Deliver(*this); });
  }

  ~TunnelSim() override {
    if (!stream_.over()) stream_.Reset();
    loop_.RunFor(Duration{});
  }

  // --- What happens.

  void FromClient(std::string bytes) {
    client_said_ += bytes;
    Step([&] { stream_.SendRequestBody(loop_.Lend(std::move(bytes)), false); });
  }
  void ClientEnds() {
    Step([&] { stream_.SendRequestBody({}, true); });
  }
  void ClientResets() {
    Step([&] { stream_.Reset(); });
  }
  void FromUpstream(std::string bytes) {
    if (!upstream_usable()) return;
    upstream_said_ += bytes;
    Step([&] { tunnel_->OnUpstreamBytes(loop_.Lend(std::move(bytes))); });
  }
  void UpstreamEnds() {
    if (!upstream_usable()) return;
    upstream_.response_ended = true;
    Step([&] { tunnel_->OnUpstreamEnd(); });
  }
  // It breaks off; what the proxy would do for a tunnel that needs it is done here.
  void UpstreamBreaks() {
    if (!upstream_usable()) return;
    upstream_.gone = true;
    Step([&] {
      if (tunnel_->OnUpstreamGone()) return;
      broken_ = over_ = true;
      tunnel_->Stop();
      stream_.Abort(StreamEnd::kUpstreamFailed);
    });
  }
  void Tell(std::string_view reason = "going away") {
    if (over()) return;
    Step([&] { tunnel_->Tell(reason); });
  }
  // The deadline as H1ServerCodec has it: who has not ended its response by then is cut.
  void Cut() {
    Step([&] {
      stream_.Cut();
      if (!stream_.over() && !stream_.ended()) stream_.Reset(StreamEnd::kCut);
    });
  }
  // The end of the codec's last wait.
  void CutAgain() {
    Step([&] {
      stream_.Cut();
      if (!stream_.over()) stream_.Reset(StreamEnd::kCut);
    });
  }
  void Wait(Duration span) {
    loop_.RunFor(span);
    Check();
  }
  void ClientStopsReading() { stream_.StopReadingAfter(0); }

  // --- What came of it.

  const std::string& client_got() const { return stream_.body(); }
  const std::string& upstream_got() const { return upstream_.got; }
  const std::string& client_said() const { return client_said_; }
  const std::string& upstream_said() const { return upstream_said_; }
  const test::WebSocketReader& to_client() const { return to_client_; }
  const test::WebSocketReader& to_upstream() const { return to_upstream_; }
  uint16_t client_close() const { return to_client_.close() ? to_client_.close()->code : 0; }
  uint16_t upstream_close() const { return to_upstream_.close() ? to_upstream_.close()->code : 0; }
  FakeStream& stream() { return stream_; }
  bool client_ended() const { return stream_.ended(); }  // our end to it
  bool upstream_ended() const { return upstream_.ended; }
  bool upstream_left() const { return upstream_.left; }
  bool over() const { return over_; }
  bool complete() const {
    return stream_.ended() && stream_.over() && !stream_.aborted() && !was_reset_;
  }
  bool broken() const { return broken_; }
  Protocol protocol() { return stream_.record().protocol; }

  int64_t closes_to_client() const { return metrics_.closes_to_client.value(); }
  int64_t closes_to_upstream() const { return metrics_.closes_to_upstream.value(); }
  int64_t opaque() const { return metrics_.opaque.value(); }
  int64_t open() const { return metrics_.open.value(); }

 private:
  struct Upstream final : ClientStream {
    void SendBody(std::string_view bytes, bool end_stream) override {
      EXPECT_FALSE(ended) << "bytes after the end of the request";
      EXPECT_FALSE(gone) << "bytes to an upstream that is gone";
      EXPECT_FALSE(left) << "bytes after the upstream was left";
      got += bytes;
      ended = end_stream;
    }
    void SendTrailers(const HeaderList&) override { ADD_FAILURE() << "trailers in a tunnel"; }
    bool congested() const override { return false; }
    size_t untaken_bytes() const override { return 0; }
    void PauseResponse() override {}
    void SetReceiver(ResponseReceiver&) override {}
    void ResumeResponse() override {}
    void Cancel() override { ADD_FAILURE() << "a tunnel is left, not cancelled"; }
    void Leave() override { left = true; }

    std::string got;
    bool ended = false;
    bool response_ended = false;
    bool gone = false;
    bool left = false;
  };

  bool upstream_usable() const { return !over_ && !upstream_.gone && !upstream_.response_ended; }

  void Step(const std::function<void()>& what) {
    loop_.Dispatch(what);
    Check();
  }

  void Check() {
    to_client_.Feed(std::string_view(stream_.body()).substr(checked_client_));
    to_upstream_.Feed(std::string_view(upstream_.got).substr(checked_upstream_));
    checked_client_ = stream_.body().size();
    checked_upstream_ = upstream_.got.size();
    if (stream_.record().protocol == Protocol::kWebSocket) {
      EXPECT_EQ(to_client_.error(), "");
      EXPECT_EQ(to_upstream_.error(), "");
    }
    // Our Close to a client is head, code and reason; that to an upstream has a mask, too.
    const size_t to_client = closes_to_client() == 0 ? 0 : 4 + to_client_.close()->reason.size();
    const size_t to_upstream =
        closes_to_upstream() == 0 ? 0 : 8 + to_upstream_.close()->reason.size();
    if (options_.config.ping_interval == Duration::zero()) {  // a Ping would stand in between
      EXPECT_TRUE(IsPrefix(stream_.body(), to_client, upstream_said_));
    }
    EXPECT_TRUE(IsPrefix(upstream_.got, to_upstream, client_said_));
    EXPECT_TRUE(over_ || !stream_.over()) << "the tunnel outlives its stream";
    EXPECT_TRUE(!over_ || stream_.over()) << "the stream is left without an end";
  }

  // Without its last `ours` bytes, `got` is how `said` begins.
  static bool IsPrefix(std::string_view got, size_t ours, std::string_view said) {
    return said.starts_with(got.substr(0, got.size() - ours));
  }

  void OnRequest(ServerStream& stream, bool) override {
    stream.SetReceiver(this);
    stream.record().protocol = Protocol::kWebSocket;
    ResponseHead head;
    head.status = 101;
    head.upgrade = "websocket";
    stream.SendHead(head, false);
    tunnel_ = std::make_unique<WebSocketTunnel>(loop_, static_cast<WebSocketTunnel::Owner&>(*this),
                                                stream, upstream_, options_.config,
                                                options_.extensions, metrics_);
  }

  void OnRequestBody(std::string_view bytes, bool end_stream) override {
    WebSocketTunnel& tunnel = *tunnel_;
    if (!bytes.empty()) tunnel.OnClientBytes(bytes);
    if (end_stream && !tunnel.over()) tunnel.OnClientEnd();
  }
  void OnRequestTrailers(const HeaderList&) override {}
  void OnResponseWritable() override {}
  void OnCut() override { tunnel_->OnCut(); }
  void OnReset(StreamEnd) override {
    over_ = was_reset_ = true;
    upstream_.left = true;
    tunnel_->Stop();
  }
  void OnTunnelOver(bool exchange_over) override {
    EXPECT_FALSE(over_) << "over twice";
    over_ = true;
    if (!exchange_over) upstream_.Leave();
  }

  const Options options_;
  SimLoop loop_;
  Metrics metric_shards_;
  MetricShard& shard_{metric_shards_.AddShard()};
  WebSocketMetrics metrics_{shard_, "test"};
  FakeStream stream_;
  Upstream upstream_;
  std::unique_ptr<WebSocketTunnel> tunnel_;
  test::WebSocketReader to_client_;
  test::WebSocketReader to_upstream_;
  std::string client_said_;
  std::string upstream_said_;
  size_t checked_client_ = 0;
  size_t checked_upstream_ = 0;
  bool over_ = false;
  bool broken_ = false;
  bool was_reset_ = false;
};

}  // namespace sluice
