// Single checks of an endpoint that speaks HTTP/2 or gRPC, or does not answer as it should.
#include "upstream/health_probe.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "support/alpn_dialer.h"
#include "support/script_origin.h"
#include "support/sim_h2_origin.h"
#include "support/sim_h2_session.h"
#include "support/sim_loop.h"
#include "support/sim_network.h"

namespace sluice {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// A server that does what a test tells it to with a request that is whole.
class H2Server {
 public:
  class Connection final : private TransportEvents {
   public:
    Connection(H2Server& server, std::unique_ptr<Transport> transport)
        : transport_(std::move(transport)),
          session(
              SimH2Session::Role::kServer, {}, server.loop_,
              [this, &server](std::string bytes) {
                transport_->Write(server.loop_.Lend(std::move(bytes)));
              },
              [this] { return transport_->congested(); }) {
      session.on_end = [this, &server](SimH2Stream& stream) {
        server.seen = stream.in;
        server.on_request(*this, stream);
      };
      transport_->SetEvents(this);
      session.Start();
    }

    // An answer of gRPC, with an OK behind it.
    void Answer(SimH2Stream& stream, const std::string& body) {
      session.SendHead(stream, {{":status", "200"}, {"content-type", "application/grpc"}}, false);
      session.SendBytes(stream, body);
      session.FinishWithTrailers(stream, {{"grpc-status", "0"}});
    }

   private:
    void OnData(std::string_view bytes) override { session.Feed(bytes); }
    void OnEof() override { transport_->Close(); }
    void OnWritable() override { session.Pump(); }
    void OnError(int) override {}

    std::unique_ptr<Transport> transport_;

   public:
    SimH2Session session;
  };

  H2Server(SimLoop& loop, SimNetwork& network, const std::string& address) : loop_(loop) {
    network.At(address).accept = [this](std::unique_ptr<Transport> transport) {
      connections_.push_back(std::make_unique<Connection>(*this, std::move(transport)));
    };
  }

  std::function<void(Connection&, SimH2Stream&)> on_request = [](Connection&, SimH2Stream&) {};
  SimMessage seen;  // the last request

 private:
  SimLoop& loop_;
  std::deque<std::unique_ptr<Connection>> connections_;
};

std::string Framed(const std::string& message) {
  std::string size(4, '\0');
  size[3] = static_cast<char>(message.size());
  return std::string(1, '\0') + size + message;
}

const std::string kServing = Framed("\x08\x01");

class HealthProbeTest : public ::testing::Test {
 protected:
  HealthProbeTest() {
    cluster.health_check.emplace();
    check().timeout = milliseconds(500);
  }
  HealthCheckConfig& check() { return *cluster.health_check; }

  // What comes of one check: "passed", "draining", or why it did not pass.
  std::string Probe() { return Probe(network); }
  std::string Probe(Dialer& dialer) {
    const HealthProbeConfig config(cluster);
    std::optional<ProbeResult> result;
    HealthProbe probe(loop, dialer, config, "a", [&](const ProbeResult& told) {
      EXPECT_FALSE(result) << "told twice";
      result = told;
    });
    EXPECT_FALSE(result) << "told from inside";
    loop.RunFor(seconds(1));
    EXPECT_EQ(network.open_at_client("a"), 0u) << "the connection is left open";
    if (!result) return "nothing";
    if (!result->passed) return std::string(result->reason);
    return result->draining ? "draining" : "passed";
  }
  std::string ProbeGrpc(const std::string& body) {
    check().kind = HealthCheckKind::kGrpc;
    H2Server server(loop, network, "a");
    server.on_request = [&](H2Server::Connection& connection, SimH2Stream& stream) {
      connection.Answer(stream, body);
    };
    return Probe();
  }
  // Of an answer that is a head and nothing else.
  std::string ProbeGrpcHead(const SimFields& head) {
    check().kind = HealthCheckKind::kGrpc;
    H2Server server(loop, network, "a");
    server.on_request = [&](H2Server::Connection& connection, SimH2Stream& stream) {
      connection.session.SendHead(stream, head, true);
    };
    return Probe();
  }

  SimLoop loop{1};
  SimNetwork network{loop};
  ClusterConfig cluster;
};

// ---- over gRPC

TEST_F(HealthProbeTest, AsksAsTheHealthProtocolOfGrpcSays) {
  check().kind = HealthCheckKind::kGrpc;
  check().service = "pkg.Svc";
  H2Server server(loop, network, "a");
  server.on_request = [](H2Server::Connection& connection, SimH2Stream& stream) {
    connection.Answer(stream, kServing);
    EXPECT_EQ(connection.session.complaint(), "");
  };
  EXPECT_EQ(Probe(), "passed");
  EXPECT_EQ(server.seen.method, "POST");
  EXPECT_EQ(server.seen.target, "/grpc.health.v1.Health/Check");
  EXPECT_EQ(server.seen.Header(":scheme"), "http");
  EXPECT_EQ(server.seen.Header("content-type"), "application/grpc");
  EXPECT_EQ(server.seen.Header("te"), "trailers");
  EXPECT_EQ(server.seen.Header("user-agent"), "sluice-health-check");
  EXPECT_EQ(server.seen.body, Framed("\x0a\x07pkg.Svc"));
}

TEST_F(HealthProbeTest, OnlyServingPassesOverGrpc) {
  EXPECT_EQ(ProbeGrpc(kServing), "passed");
  EXPECT_EQ(ProbeGrpc(Framed("\x08\x02")), "not serving");
  EXPECT_EQ(ProbeGrpc(Framed("\x08\x03")), "service unknown");
  EXPECT_EQ(ProbeGrpc(Framed("")), "serving status unknown");
}

TEST_F(HealthProbeTest, AnErrorOfGrpcDoesNotPass) {
  constexpr const char* kUnimplemented = "12";
  EXPECT_EQ(ProbeGrpcHead({{":status", "200"},
                           {"content-type", "application/grpc"},
                           {"grpc-status", kUnimplemented}}),
            "grpc-status");
  EXPECT_EQ(ProbeGrpcHead({{":status", "200"}}), "grpc-status") << "there is none";
  EXPECT_EQ(ProbeGrpcHead({{":status", "200"}, {"grpc-status", "0"}}), "malformed answer");
  EXPECT_EQ(ProbeGrpcHead({{":status", "404"}, {"grpc-status", "0"}}), "status");
}

TEST_F(HealthProbeTest, WhatIsNotOneMessageOfGrpcDoesNotPass) {
  EXPECT_EQ(ProbeGrpc(""), "malformed answer");
  EXPECT_EQ(ProbeGrpc(kServing.substr(0, 6)), "malformed answer") << "cut short";
  EXPECT_EQ(ProbeGrpc(kServing + "x"), "malformed answer");
  EXPECT_EQ(ProbeGrpc("\x01" + kServing.substr(1)), "malformed answer") << "compressed";
  EXPECT_EQ(ProbeGrpc(std::string(10'000, '\xff')), "malformed answer") << "without end";
}

TEST_F(HealthProbeTest, AServerOfGrpcMaySayThatItDrains) {
  check().kind = HealthCheckKind::kGrpc;
  H2Server server(loop, network, "a");
  server.on_request = [](H2Server::Connection& connection, SimH2Stream& stream) {
    connection.session.SendHead(stream, {{":status", "200"}, {"x-sluice-drain", "True"}}, false);
    connection.session.SendBytes(stream, kServing);
    connection.session.FinishWithTrailers(stream, {{"grpc-status", "0"}});
  };
  EXPECT_EQ(Probe(), "draining");
}

TEST_F(HealthProbeTest, AnAnswerInPiecesIsTheSameAnswer) {
  network.At("a").faults = [] {
    PipeFaults faults;
    faults.max_chunk = 1;
    faults.max_delay = milliseconds(1) / 4;
    return faults;
  };
  EXPECT_EQ(ProbeGrpc(kServing), "passed");
  EXPECT_EQ(ProbeGrpc(Framed("\x08\x02")), "not serving");
}

// ---- over HTTP/2

TEST_F(HealthProbeTest, AnAnswerCountsThoughGoawayComesFirst) {
  check().kind = HealthCheckKind::kGrpc;
  H2Server server(loop, network, "a");
  server.on_request = [](H2Server::Connection& connection, SimH2Stream& stream) {
    connection.session.Goaway(stream.id, h2::kNoError);
    connection.Answer(stream, kServing);
  };
  EXPECT_EQ(Probe(), "passed");
}

TEST_F(HealthProbeTest, AGoawayThatRefusesTheRequestIsNoAnswer) {
  check().kind = HealthCheckKind::kGrpc;
  H2Server server(loop, network, "a");
  server.on_request = [](H2Server::Connection& connection, SimH2Stream&) {
    connection.session.Goaway(0, h2::kNoError);
  };
  EXPECT_EQ(Probe(), "broke off");
}

TEST_F(HealthProbeTest, OverHttp2TheStatusIsTheAnswerToo) {
  cluster.protocol = UpstreamProtocol::kHttp2;
  const SimH2Origin origin(loop, network, "a");
  const auto probe = [this](const std::string& path) {
    check().path = path;
    return Probe();
  };
  EXPECT_EQ(probe("/fast"), "passed");
  EXPECT_EQ(probe("/no-content"), "passed");
  EXPECT_EQ(probe("/hints"), "passed");
  EXPECT_EQ(probe("/chunked?bytes=100&trailers=1"), "passed");
  EXPECT_EQ(probe("/forbidden"), "status");
  EXPECT_EQ(probe("/big?bytes=100000000"), "passed") << "without an end to wait for";
  EXPECT_EQ(probe("/trickle?bytes=1000&chunk=1&ms=10"), "timeout");
  EXPECT_EQ(probe("/hold"), "timeout");
  EXPECT_EQ(probe("/rst?error=2"), "broke off");
  EXPECT_EQ(probe("/drop-mid?bytes=1000&at=10"), "broke off");
  EXPECT_EQ(probe("/garbage"), "broke off");
}

TEST_F(HealthProbeTest, WhatTlsAgreesOnIsSpoken) {
  cluster.protocol = UpstreamProtocol::kAuto;
  const SimH2Origin origin(loop, network, "a");
  check().path = "/fast";
  AlpnDialer dialer(network, "h2");
  EXPECT_EQ(Probe(dialer), "passed");
  EXPECT_EQ(origin.seen().size(), 1u);
}

TEST_F(HealthProbeTest, WithoutHttp2AnEndpointIsOfNoUseWhereNothingElseIsSpoken) {
  ScriptOrigin origin(loop, network, "a");
  AlpnDialer dialer(network, "http/1.1");
  cluster.protocol = UpstreamProtocol::kAuto;
  EXPECT_EQ(Probe(dialer), "passed");
  cluster.protocol = UpstreamProtocol::kHttp2;
  EXPECT_EQ(Probe(dialer), "no HTTP/2") << "its requests would all fail";
  cluster.protocol = UpstreamProtocol::kAuto;
  check().kind = HealthCheckKind::kGrpc;
  EXPECT_EQ(Probe(dialer), "no HTTP/2");
  check().kind = HealthCheckKind::kTcp;
  EXPECT_EQ(Probe(dialer), "passed") << "a connection is all that is asked for";
}

// ---- no connection

TEST_F(HealthProbeTest, SaysWhyThereIsNoConnection) {
  const auto probe = [this](int error) {
    network.At("a").error = error;
    return Probe();
  };
  EXPECT_EQ(probe(ECONNREFUSED), "refused");
  EXPECT_EQ(probe(ENOENT), "refused") << "no such socket";
  EXPECT_EQ(probe(EPROTO), "TLS failed");
  EXPECT_EQ(probe(ECONNRESET), "broke off");
  EXPECT_EQ(probe(ETIMEDOUT), "timeout");
  EXPECT_EQ(probe(EHOSTUNREACH), "unreachable");
  EXPECT_EQ(probe(ENETUNREACH), "unreachable");
}

}  // namespace
}  // namespace sluice
