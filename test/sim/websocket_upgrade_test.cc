// The opening of a WebSocket through the proxy, from either protocol to either: an upgrade over
// HTTP/1.1 (RFC 6455 4), an extended CONNECT over HTTP/2 (RFC 8441), and what comes of it: a tunnel
// with two ends, or a response that is none.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <tuple>

#include "support/proxy_sim.h"

namespace sluice {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::IsEmpty;

// RFC 6455 1.3.
constexpr char kKey[] = "dGhlIHNhbXBsZSBub25jZQ==";
constexpr char kAccept[] = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

constexpr char kOffer[] = "Connection: Upgrade\r\nUpgrade: websocket\r\n";

std::string Handshake(const std::string& key = kKey, const std::string& version = "13") {
  return std::string(kOffer) + "Sec-WebSocket-Key: " + key +
         "\r\nSec-WebSocket-Version: " + version + "\r\n";
}

// A client that opens one WebSocket, in the words of its protocol.
class Visitor {
 public:
  virtual ~Visitor() = default;
  virtual void Open(const std::string& target) = 0;
  virtual void Say(const std::string& bytes) = 0;
  virtual void Finish() = 0;
  virtual void Reset() = 0;

  virtual int status() const = 0;  // of the head, as it is on the wire; 0 before
  virtual std::string field(std::string_view name) const = 0;
  virtual std::string heard() const = 0;
  virtual bool ended() const = 0;   // the other direction, in order
  virtual bool broken() const = 0;  // or not in order
  virtual std::string complaint() const = 0;
};

class Http1Visitor final : public Visitor {
 public:
  explicit Http1Visitor(ProxySim& sim) : client_(sim.Connect()) {}
  void Open(const std::string& target) override { client_->Request("GET", target, Handshake()); }
  void Say(const std::string& bytes) override { client_->Send(bytes); }
  void Finish() override { client_->HalfClose(); }
  void Reset() override { client_->Reset(); }

  int status() const override {
    return client_->responses().empty() ? 0 : client_->responses().front().status;
  }
  std::string field(std::string_view name) const override {
    return std::string(client_->responses().front().Header(name));
  }
  std::string heard() const override {
    return status() == 0 ? "" : client_->tunnel() + client_->responses().front().body;
  }
  bool ended() const override {
    return client_->state() == SimClient::State::kEnded ||
           (status() != 101 && client_->answered() == 1);
  }
  bool broken() const override { return client_->state() == SimClient::State::kFailed; }
  std::string complaint() const override { return client_->complaint(); }

 private:
  std::unique_ptr<SimClient> client_;
};

class Http2Visitor final : public Visitor {
 public:
  explicit Http2Visitor(ProxySim& sim) : client_(sim.ConnectH2()) {}
  void Open(const std::string& target) override { id_ = client_->WebSocket(target); }
  void Say(const std::string& bytes) override { client_->SendBytes(id_, bytes); }
  void Finish() override { client_->Finish(id_); }
  void Reset() override { client_->ResetStream(id_); }

  int status() const override { return in().status; }
  std::string field(std::string_view name) const override { return std::string(in().Header(name)); }
  std::string heard() const override { return in().body; }
  bool ended() const override { return in().complete; }
  bool broken() const override {
    return !in().complete && client_->stream(id_).reset_by_peer.has_value();
  }
  std::string complaint() const override { return client_->complaint(); }

 private:
  const SimMessage& in() const { return client_->stream(id_).in; }

  std::unique_ptr<SimH2Client> client_;
  uint32_t id_ = 0;
};

enum class Http : uint8_t { k1, k2 };

class WebSocketUpgradeTest : public ::testing::Test {
 protected:
  void Build(Http downstream, Http upstream, ProxySimOptions options = {}) {
    visitor_.reset();  // before its simulation
    if (upstream == Http::k2) options.cluster.protocol = UpstreamProtocol::kHttp2;
    sim_ = std::make_unique<ProxySim>(1, options);
    sim_->h2_origin.options.http2.extended_connect = true;
    if (downstream == Http::k2) {
      visitor_ = std::make_unique<Http2Visitor>(*sim_);
    } else {
      visitor_ = std::make_unique<Http1Visitor>(*sim_);
    }
  }

  void TearDown() override {
    EXPECT_EQ(visitor_->complaint(), "");
    EXPECT_THAT(sim_->origin.complaints(), IsEmpty());
    EXPECT_THAT(sim_->h2_origin.complaints(), IsEmpty());
    sim_->loop.RunFor(seconds(10));
    EXPECT_EQ(sim_->Progress().in_flight_total(), 0u) << "something of it is left";
  }

  // Opens it, and waits for the head of the answer.
  int Open(const std::string& target) {
    visitor_->Open(target);
    EXPECT_TRUE(sim_->Until([&] { return visitor_->status() != 0; }));
    return visitor_->status();
  }
  bool Hears(const std::string& bytes) {
    return sim_->Until([&] { return visitor_->heard() == bytes; });
  }
  bool Ends() {
    return sim_->Until([&] { return visitor_->ended() || visitor_->broken(); }) &&
           visitor_->ended();
  }
  const SimLogEntry& Logged() {
    EXPECT_TRUE(sim_->Until([&] { return !sim_->log.empty(); }));
    return sim_->log.back();
  }
  const SimMessage& SeenUpstream() {
    return sim_->origin.seen().empty() ? sim_->h2_origin.seen().back().request
                                       : sim_->origin.seen().back().request;
  }

  std::unique_ptr<ProxySim> sim_;
  std::unique_ptr<Visitor> visitor_;
};

// ---- whichever protocols they are

class AnyUpgradeTest : public WebSocketUpgradeTest,
                       public ::testing::WithParamInterface<std::tuple<Http, Http>> {
 protected:
  void SetUp() override { Build(downstream(), upstream()); }
  Http downstream() const { return std::get<0>(GetParam()); }
  Http upstream() const { return std::get<1>(GetParam()); }
  // What says yes on the wire to the client.
  int accepted() const { return downstream() == Http::k1 ? 101 : 200; }
};

std::string PairName(const ::testing::TestParamInfo<std::tuple<Http, Http>>& pair) {
  const auto name = [](Http http) { return http == Http::k1 ? "1" : "2"; };
  return std::string("Http") + name(std::get<0>(pair.param)) + "ToHttp" +
         name(std::get<1>(pair.param));
}

INSTANTIATE_TEST_SUITE_P(Pairs, AnyUpgradeTest,
                         ::testing::Combine(::testing::Values(Http::k1, Http::k2),
                                            ::testing::Values(Http::k1, Http::k2)),
                         PairName);

TEST_P(AnyUpgradeTest, BecomesATunnelThatTheClientEnds) {
  ASSERT_EQ(Open("/upgrade"), accepted());
  EXPECT_EQ(visitor_->field("sec-websocket-accept"), downstream() == Http::k1 ? kAccept : "");
  EXPECT_EQ(visitor_->field("upgrade"), downstream() == Http::k1 ? "websocket" : "");
  EXPECT_EQ(visitor_->field("content-length"), "");
  EXPECT_EQ(visitor_->field("transfer-encoding"), "");
  visitor_->Say("hello");
  ASSERT_TRUE(Hears("hello"));
  // What would mean something to either protocol means nothing here.
  visitor_->Say(std::string("\0\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n", 27));
  ASSERT_TRUE(Hears("hello" + std::string("\0\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n", 27)));
  visitor_->Finish();
  EXPECT_TRUE(Ends());
  EXPECT_EQ(Logged().record.status, accepted());
  EXPECT_EQ(Logged().record.end, StreamEnd::kComplete);
  EXPECT_EQ(Logged().method, "GET");
}

TEST_P(AnyUpgradeTest, TheUpstreamSeesOneInItsOwnWords) {
  ASSERT_EQ(Open("/upgrade?a=b"), accepted());
  const SimMessage& seen = SeenUpstream();
  EXPECT_EQ(seen.target, "/upgrade?a=b");
  EXPECT_EQ(seen.Header("sec-websocket-version"), "13");
  EXPECT_EQ(seen.HeaderCount("sec-websocket-version"), 1u);
  EXPECT_EQ(seen.Header("content-length"), "");
  if (upstream() == Http::k1) {
    EXPECT_EQ(seen.method, "GET");
    EXPECT_EQ(seen.Header("upgrade"), "websocket");
    EXPECT_EQ(seen.Header("sec-websocket-key").size(), 24u);
    EXPECT_EQ(seen.Header("sec-websocket-key") == kKey, downstream() == Http::k1);
    EXPECT_EQ(seen.Header("transfer-encoding"), "");
  } else {
    EXPECT_EQ(seen.method, "CONNECT");
    EXPECT_EQ(seen.Header(":protocol"), "websocket");
    EXPECT_EQ(seen.Header(":authority"), "sim.test");
    EXPECT_EQ(seen.Header("sec-websocket-key"), "");
  }
  visitor_->Finish();
  EXPECT_TRUE(Ends());
}

TEST_P(AnyUpgradeTest, WhatTheClientSendsAheadBelongsToTheTunnel) {
  visitor_->Open("/upgrade");
  visitor_->Say("ahead");
  EXPECT_TRUE(Hears("ahead"));
  visitor_->Say(", behind");
  EXPECT_TRUE(Hears("ahead, behind"));
  visitor_->Finish();
  EXPECT_TRUE(Ends());
}

TEST_P(AnyUpgradeTest, AClientThatEndsBeforeTheAnswerIsAnswered) {
  visitor_->Open("/upgrade");
  visitor_->Say("all");
  visitor_->Finish();
  EXPECT_TRUE(Ends());
  EXPECT_EQ(visitor_->status(), accepted());
  EXPECT_EQ(visitor_->heard(), "all");
}

TEST_P(AnyUpgradeTest, TheUpstreamMayEndItsDirectionFirst) {
  ASSERT_EQ(Open("/upgrade?ends=1"), accepted());
  EXPECT_TRUE(Ends());
  EXPECT_EQ(sim_->Progress().in_flight_total(), 1u) << "the other direction is open";
  visitor_->Say("more");
  visitor_->Finish();
  EXPECT_EQ(Logged().record.end, StreamEnd::kComplete);
  EXPECT_EQ(Logged().record.bytes_in, 4u);
}

TEST_P(AnyUpgradeTest, ARefusalIsAnOrdinaryResponse) {
  visitor_->Open("/forbidden");
  if (downstream() == Http::k2) visitor_->Say("not wanted");
  EXPECT_TRUE(Ends());
  EXPECT_EQ(visitor_->status(), 403);
  EXPECT_EQ(visitor_->field("x-origin"), "sim");
  EXPECT_EQ(visitor_->heard(), SimBody(0, 16));
  EXPECT_EQ(Logged().record.status, 403);
  EXPECT_EQ(Logged().record.bytes_in, 0u);
}

TEST_P(AnyUpgradeTest, AClientThatResetsItTakesTheUpstreamAlong) {
  ASSERT_EQ(Open("/upgrade"), accepted());
  visitor_->Say("x");
  ASSERT_TRUE(Hears("x"));
  visitor_->Reset();
  EXPECT_EQ(Logged().record.end, StreamEnd::kClientGone);
  EXPECT_TRUE(sim_->Until([&] {
    return upstream() == Http::k1 ? sim_->origin.open_connections() == 0
                                  : sim_->h2_origin.seen().back().cancelled;
  }));
}

TEST_P(AnyUpgradeTest, AnUpstreamThatBreaksItIsSeenToHave) {
  ASSERT_EQ(Open("/upgrade"), accepted());
  visitor_->Say("x");
  ASSERT_TRUE(Hears("x"));
  sim_->origin.ResetAll();
  sim_->h2_origin.ResetAll();
  EXPECT_EQ(Logged().record.end, StreamEnd::kUpstreamFailed);
  if (downstream() == Http::k2) {
    EXPECT_TRUE(sim_->Until([&] { return visitor_->broken(); }));
  }
}

TEST_P(AnyUpgradeTest, AnUpstreamThatDoesNotAnswerHasTheRoutesTime) {
  std::unique_ptr<Transport> silent;
  const auto take = [&](std::unique_ptr<Transport> transport) { silent = std::move(transport); };
  sim_->network.At("origin").accept = sim_->network.At("h2.origin").accept = take;
  EXPECT_EQ(Open("/upgrade"), 504);
  EXPECT_EQ(Logged().record.detail, "route_timeout");
  EXPECT_TRUE(Ends());
}

// Both directions towards the client have ended by then, and only the upstream is left.
TEST_P(AnyUpgradeTest, ACutThatFindsTheClientsDirectionEnded) {
  const auto slow = [] { return PipeFaults{.min_delay = seconds(1), .max_delay = seconds(1)}; };
  sim_->network.At("origin").faults = sim_->network.At("h2.origin").faults = slow;
  ASSERT_EQ(Open("/upgrade"), accepted());
  visitor_->Finish();
  sim_->loop.RunFor(milliseconds(10));
  sim_->BeginDrain();
  sim_->BeginDrain();
  EXPECT_TRUE(sim_->UntilExited());
  EXPECT_EQ(sim_->Progress().in_flight_total(), 0u);
  EXPECT_EQ(sim_->upstream_connections(), 0u);
}

// ---- where the two differ

TEST_F(WebSocketUpgradeTest, AnUpstreamThatDoesNotTakeExtendedConnect) {
  for (const Http downstream : {Http::k1, Http::k2}) {
    Build(downstream, Http::k2);
    sim_->h2_origin.options.http2.extended_connect = false;
    EXPECT_EQ(Open("/upgrade"), 502);
    EXPECT_EQ(Logged().record.detail, "upstream_without_websocket");
    EXPECT_EQ(sim_->h2_origin.connections(), 1u);
    EXPECT_THAT(sim_->h2_origin.seen(), IsEmpty());
    // The connection is as good as before, and what it cannot do is known by now.
    std::unique_ptr<SimH2Client> other = sim_->ConnectH2();
    const uint32_t websocket = other->WebSocket("/upgrade");
    const uint32_t plain = other->Request("GET", "/fast");
    EXPECT_TRUE(sim_->Until([&] { return other->answered() == 2; }));
    EXPECT_EQ(other->stream(websocket).in.status, 502);
    EXPECT_EQ(other->stream(plain).in.status, 200);
    EXPECT_EQ(sim_->h2_origin.connections(), 1u);
    visitor_->Finish();
  }
}

TEST_F(WebSocketUpgradeTest, AnHttp1UpstreamThatAnswersAnotherKey) {
  Build(Http::k2, Http::k1);
  EXPECT_EQ(Open("/upgrade?wrong=1"), 502);
  EXPECT_EQ(Logged().record.detail, "websocket_accept_mismatch");
  EXPECT_TRUE(Ends());
}

TEST_F(WebSocketUpgradeTest, WhetherAnHttp1UpstreamAnswersTheKeyOfAnHttp1ClientIsTheClientsToSee) {
  Build(Http::k1, Http::k1);
  EXPECT_EQ(Open("/upgrade?wrong=1"), 101);
  EXPECT_NE(visitor_->field("sec-websocket-accept"), "");
  EXPECT_NE(visitor_->field("sec-websocket-accept"), kAccept);
  visitor_->Finish();
  EXPECT_TRUE(Ends());
}

// A success that is no 101 must not look like one (RFC 8441 5).
TEST_F(WebSocketUpgradeTest, AnUpstreamThatIgnoresTheUpgrade) {
  for (const char* target : {"/fast", "/chunked?bytes=9", "/no-content"}) {
    Build(Http::k2, Http::k1);
    EXPECT_EQ(Open(target), 502) << target;
    EXPECT_TRUE(Ends());
    EXPECT_EQ(Logged().record.status, 502);
    EXPECT_EQ(Logged().record.detail, "upgrade_ignored");
    Build(Http::k1, Http::k1);
    EXPECT_EQ(Open(target) / 100, 2) << target;
    EXPECT_TRUE(Ends());
  }
}

TEST_F(WebSocketUpgradeTest, ForAnHttp2UpstreamTheKeyIsLookedAtHere) {
  struct Case {
    std::string fields;
    int status;
  };
  const std::string offer = kOffer;
  const Case cases[] = {
      {offer + "Sec-WebSocket-Version: 13\r\n", 400},
      {Handshake("c2hvcnQ="), 400},
      {Handshake("dGhlIHNhbXBsZSBub25jZQ!="), 400},
      {Handshake() + "Sec-WebSocket-Key: " + kKey + "\r\n", 400},
      {Handshake(kKey, "8"), 426},
      {offer + "Sec-WebSocket-Key: " + kKey + "\r\n", 426},
      {offer, 426},
  };
  for (const Case& one : cases) {
    Build(Http::k1, Http::k2);
    std::unique_ptr<SimClient> client = sim_->Connect();
    client->Request("GET", "/upgrade", one.fields);
    ASSERT_TRUE(sim_->Until([&] { return client->answered() == 1; })) << one.fields;
    const SimMessage& answer = client->responses().front();
    EXPECT_EQ(answer.status, one.status) << one.fields;
    EXPECT_EQ(answer.Header("sec-websocket-version"), one.status == 426 ? "13" : "");
    EXPECT_THAT(sim_->h2_origin.seen(), IsEmpty());
    client->Request("GET", "/fast");
    EXPECT_TRUE(sim_->Until([&] { return client->answered() == 2; })) << "the connection goes on";
    // The other end of HTTP/1.1 judges by itself.
    client.reset();
    Build(Http::k1, Http::k1);
    client = sim_->Connect();
    client->Request("GET", "/upgrade", one.fields);
    ASSERT_TRUE(sim_->Until([&] { return client->responses().size() == 1; }));
    EXPECT_EQ(client->responses().front().status, 101);
    client->Close();
    sim_->loop.RunFor(seconds(1));  // so that the tunnel is gone before its simulation
  }
}

TEST_F(WebSocketUpgradeTest, OtherProtocolsAreNotOfferedToHttp2) {
  Build(Http::k1, Http::k2);
  std::unique_ptr<SimClient> client = sim_->Connect();
  client->Request("GET", "/fast", "Connection: Upgrade\r\nUpgrade: echo\r\n");
  client->Request("POST", "/fast", kOffer);
  ASSERT_TRUE(sim_->Until([&] { return client->answered() == 2; }));
  for (const SimMessage& answer : client->responses()) EXPECT_EQ(answer.status, 200);
  for (const SimH2Origin::Seen& seen : sim_->h2_origin.seen()) {
    EXPECT_EQ(seen.request.Header(":protocol"), "");
  }
}

// ---- clients that break the rules

class HostileUpgradeTest : public ::testing::Test {
 protected:
  static SimFields Head(SimFields more = {}) {
    SimFields head = {{":method", "CONNECT"},
                      {":protocol", "websocket"},
                      {":scheme", "http"},
                      {":authority", "sim.test"},
                      {":path", "/upgrade"}};
    head.insert(head.end(), more.begin(), more.end());
    return head;
  }
  static SimFields With(const std::string& name, const std::string& value) {
    SimFields head = Head();
    for (auto& field : head) {
      if (field.first == name) field.second = value;
    }
    return head;
  }

  // The stream of a request with this head.
  const SimH2Stream& Send(const SimFields& head, bool end_stream = false) {
    SimH2Stream& stream = client_->session().Open(head, end_stream);
    EXPECT_TRUE(sim_.Until([&] { return stream.in.complete || stream.reset_by_peer; }));
    return stream;
  }
  void ExpectMalformed(const SimFields& head, bool end_stream = false) {
    const SimH2Stream& stream = Send(head, end_stream);
    EXPECT_EQ(stream.reset_by_peer, h2::kProtocolError);
    EXPECT_FALSE(stream.has_head);
    ExpectAlive();
  }
  void ExpectAlive() {
    const uint32_t id = client_->Request("GET", "/fast");
    EXPECT_TRUE(sim_.Until([&] { return client_->stream(id).in.complete; }));
    EXPECT_EQ(client_->stream(id).in.status, 200);
    EXPECT_EQ(sim_.origin.times_seen("/fast"), sim_.origin.seen().size()) << "nothing else passed";
  }

  ProxySim sim_;
  std::unique_ptr<SimH2Client> client_ = sim_.ConnectH2();
};

TEST_F(HostileUpgradeTest, ItIsAnnounced) {
  ASSERT_TRUE(sim_.Until([&] { return client_->session().got_settings(); }));
  EXPECT_TRUE(client_->session().peer_takes_extended_connect());
}

TEST_F(HostileUpgradeTest, WhatIsMalformed) {
  ExpectMalformed(With(":method", "GET"));
  ExpectMalformed(With(":method", "GET"), /*end_stream=*/true);
  ExpectMalformed(With(":method", "connect"));
  ExpectMalformed({{":method", "CONNECT"},
                   {":protocol", "websocket"},
                   {":protocol", "websocket"},
                   {":scheme", "http"},
                   {":authority", "sim.test"},
                   {":path", "/upgrade"}});
  ExpectMalformed(With(":protocol", ""));
  ExpectMalformed(Head({{":protocol", "websocket"}}));
  ExpectMalformed({{":method", "CONNECT"}, {":protocol", "websocket"}, {":authority", "sim.test"}});
  ExpectMalformed(Head(), /*end_stream=*/true);
  ExpectMalformed(Head({{"content-length", "0"}}));
  ExpectMalformed(Head({{"content-length", "5"}}));
  ExpectMalformed(Head({{"host", "other.test"}}));
  ExpectMalformed(Head({{"upgrade", "websocket"}}));
  ExpectMalformed(Head({{"connection", "upgrade"}}));
  ExpectMalformed(Head({{"transfer-encoding", "chunked"}}));
}

TEST_F(HostileUpgradeTest, WhatHttp1WouldReadDifferently) {
  ExpectMalformed(With(":path", "/ HTTP/1.1"));
  ExpectMalformed(With(":path", "/\r\nX: y"));
  ExpectMalformed(With(":path", "*"));
  ExpectMalformed(With(":path", "sim.test:80"));
  ExpectMalformed(With(":scheme", "wss"));
  ExpectMalformed(With(":authority", "user@sim.test"));
  ExpectMalformed(With(":authority", "a\r\nb"));
  ExpectMalformed(Head({{"x", "a\r\nSec-WebSocket-Key: b"}}));
}

TEST_F(HostileUpgradeTest, AnotherProtocolIsRefused) {
  for (const char* protocol : {"connect-udp", "webtransport", "h2c", "websocket, h2c"}) {
    EXPECT_EQ(Send(With(":protocol", protocol)).in.status, 501) << protocol;
    EXPECT_EQ(sim_.log.back().record.detail, "connect_protocol");
  }
  ExpectAlive();
}

TEST_F(HostileUpgradeTest, ItsPathIsNormalisedAsAnyOther) {
  EXPECT_EQ(Send(With(":path", "/a/..%2fupgrade")).in.status, 400);
  EXPECT_EQ(sim_.log.back().record.detail, "ambiguous_path");
}

// RFC 9113 8.5: nothing but DATA.
TEST_F(HostileUpgradeTest, TrailersAreNoEndOfATunnel) {
  for (const bool opened : {false, true}) {
    SimH2Stream& stream = client_->session().Open(Head(), false);
    if (opened) {
      ASSERT_TRUE(sim_.Until([&] { return stream.has_head; }));
    }
    client_->session().FinishWithTrailers(stream, {{"x", "y"}});
    EXPECT_TRUE(sim_.Until([&] { return stream.reset_by_peer.has_value(); }));
    EXPECT_EQ(stream.reset_by_peer, h2::kProtocolError);
    EXPECT_EQ(sim_.Progress().in_flight_total(), 0u);
  }
}

// The keys of HTTP/1.1 have no place here, and what a client makes of them goes no further.
TEST_F(HostileUpgradeTest, AKeyOfTheClientsIsNotUsed) {
  SimH2Stream& stream = client_->session().Open(
      Head({{"sec-websocket-key", kKey}, {"sec-websocket-key", "x"}}), false);
  ASSERT_TRUE(sim_.Until([&] { return stream.has_head; }));
  EXPECT_EQ(stream.in.status, 200);
  const SimMessage& seen = sim_.origin.seen().back().request;
  EXPECT_EQ(seen.HeaderCount("sec-websocket-key"), 1u);
  EXPECT_NE(seen.Header("sec-websocket-key"), kKey);
  client_->Finish(stream.id);
  EXPECT_TRUE(sim_.Until([&] { return stream.in.complete; }));
}

// What asks for a WebSocket is no gRPC call: a status of one would be a 200, which says yes.
TEST_F(HostileUpgradeTest, ItIsNotTakenForGrpc) {
  sim_.network.At("origin").accept = nullptr;
  const SimH2Stream& stream = Send(Head({{"content-type", "application/grpc"}}));
  EXPECT_EQ(stream.in.status, 503);
  EXPECT_EQ(stream.in.Header("grpc-status"), "");
}

// It waits at the client's side, within the window of the stream.
TEST_F(HostileUpgradeTest, WhatIsSentAheadIsBounded) {
  sim_.network.At("origin").black_hole = true;
  SimH2Stream& stream = client_->session().Open(Head(), false);
  client_->SendBody(stream.id, 1'000'000);
  sim_.loop.RunFor(milliseconds(100));
  EXPECT_GT(stream.body_left, 500'000u);
  EXPECT_TRUE(sim_.Until([&] { return stream.in.complete; }));
  EXPECT_EQ(stream.in.status, 504);
}

}  // namespace
}  // namespace sluice
