// The drain matrix for HTTP/2 and gRPC towards clients: what a connection was doing when the drain
// began, by how the drain ended, for either protocol towards the upstream.
//
//                            finishes   deadline   second     undrain   client never
//                            in time               signal               ACKs the PING
//   idle, begun or not          .          .          .          .          .
//   in its preface              .          .          .          .          .
//   head partly sent            .          .          .          .          .
//   waiting for upstream        .          .          .          .          .
//   mid-response                .          .          .          .          .
//   mid-upload                  .          .          .          .          .
//   several streams             .          .          .          .          .
//   slow reader of a stream     .          .          .          .          .
//   gRPC: waiting, between messages, inside of one, bidirectional
//
// In every cell: a GOAWAY with 2^31-1, a PING, one GOAWAY with the id of the last stream, never a
// third (docs/drain.md, section 3).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <ostream>
#include <string>
#include <tuple>
#include <vector>

#include "support/proxy_sim.h"

namespace sluice {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr uint64_t kBig = 4'000'000;

// What a row's steps are given: the proxy, one client of it, and words for what they do.
struct Stage {
  Stage(const ProxySimOptions& options, const SimH2Options& http2)
      : sim(1, options), client(sim.ConnectH2(http2)) {}

  ProxySim sim;
  std::unique_ptr<SimH2Client> client;

  void ClientSends(const std::string& target) { client->Request("GET", target); }
  void UpstreamHolds(size_t count = 1) {
    ASSERT_TRUE(sim.Until([&] { return sim.held() == count; })) << client->complaint();
  }
  void UpstreamAnswers() { sim.Release(); }
  void TimePasses(Duration span) { sim.loop.RunFor(span); }
  void ClientHas(size_t responses) {
    ASSERT_TRUE(sim.Until([&] { return client->answered() == responses; }))
        << client->answered() << " answered; " << client->complaint();
  }
  const SimH2Stream& Stream(uint32_t id) const { return client->stream(id); }
  const SimH2Stream& Last() const { return client->session().streams().rbegin()->second; }
  uint32_t last_id() const { return client->session().streams().empty() ? 0 : Last().id; }
};

// What the client saw of a stream that was cut.
enum class CutSeen : uint8_t {
  kNothing,       // there was nothing to cut
  k503,           // a complete answer that says: not here, and try again
  kReset,         // RST_STREAM behind a part of the response, and no END_STREAM
  kTrailersOnly,  // gRPC: a head with grpc-status 14, and the end
  kTrailers,      // gRPC: trailers with grpc-status 14 behind a part of the response
  kEndedOnly,     // nothing that could be answered: the connection ends
};

struct Row {
  const char* name;
  std::function<void(Stage&)> begin;   // up to the moment of the drain
  std::function<void(Stage&)> finish;  // what the client and the upstream do to finish the work
  size_t complete;                     // responses the client has when all went well
  CutSeen cut;
  size_t cuts = 1;                       // streams cut at the deadline
  Protocol protocol = Protocol::kHttp2;  // counted as
  bool needs_http2 = false;              // towards the upstream
};

void PrintTo(const Row& row, std::ostream* out) { *out << row.name; }

void Nothing(Stage&) {}
void Answers(Stage& stage) { stage.UpstreamAnswers(); }
void UntilBody(Stage& stage, uint64_t bytes) {
  ASSERT_TRUE(stage.sim.Until([&] { return stage.Last().in.body_bytes == bytes; }));
}

const Row kRows[] = {
    {"idle",
     [](Stage& stage) {
       stage.ClientSends("/fast");
       stage.ClientHas(1);
     },
     Nothing, 1, CutSeen::kNothing},
    {"idle_without_a_request",
     [](Stage& stage) {
       ASSERT_TRUE(stage.sim.Until([&] { return stage.client->session().got_settings(); }));
     },
     Nothing, 0, CutSeen::kNothing},
    {"head_partly_sent",
     [](Stage& stage) {
       // A HEADERS frame without END_HEADERS: ":method: GET" of the static table.
       ASSERT_TRUE(stage.sim.Until([&] { return stage.client->session().got_settings(); }));
       stage.client->session().OpenPartly({{":method", "GET"},
                                           {":scheme", "http"},
                                           {":authority", "sim.test"},
                                           {":path", "/fast"}});
       stage.TimePasses(milliseconds(10));
     },
     [](Stage& stage) { stage.client->session().FinishPartly(); }, 1, CutSeen::kEndedOnly},
    {"waiting_for_upstream",
     [](Stage& stage) {
       stage.ClientSends("/hold");
       stage.UpstreamHolds();
     },
     Answers, 1, CutSeen::k503},
    {"mid_response_with_length",
     [](Stage& stage) {
       stage.ClientSends("/hold-mid?bytes=1000&at=400");
       stage.UpstreamHolds();
       UntilBody(stage, 400);
     },
     Answers, 1, CutSeen::kReset},
    {"mid_response_without_length",
     [](Stage& stage) {
       stage.ClientSends("/hold-mid?bytes=1000&at=400&chunked=1");
       stage.UpstreamHolds();
       UntilBody(stage, 400);
     },
     Answers, 1, CutSeen::kReset},
    {"mid_upload",
     [](Stage& stage) {
       stage.client->Upload("/upload", 10, 10, {}, 4);
       stage.TimePasses(milliseconds(10));
     },
     [](Stage& stage) {
       stage.client->SendBody(1, 6);
       stage.client->Finish(1);
     },
     1, CutSeen::k503},
    {"several_streams",
     [](Stage& stage) {
       stage.ClientSends("/fast");
       for (int i = 0; i < 3; ++i) stage.ClientSends("/hold");
       stage.UpstreamHolds(3);
       stage.ClientHas(1);
     },
     Answers, 4, CutSeen::k503, 3},
    {"slow_reader_of_a_stream",
     [](Stage& stage) {
       stage.ClientSends("/big?bytes=" + std::to_string(kBig));
       stage.client->HoldWindow(1);
       UntilBody(stage, h2::kDefaultWindow);
       stage.TimePasses(seconds(1));
     },
     [](Stage& stage) { stage.client->ReadAgain(1); }, 1, CutSeen::kReset},
    {"grpc_waiting_for_upstream",
     [](Stage& stage) {
       stage.client->Grpc("/grpc-hold");
       stage.UpstreamHolds();
     },
     Answers, 1, CutSeen::kTrailersOnly, 1, Protocol::kGrpc, true},
    {"grpc_between_messages",
     [](Stage& stage) {
       stage.client->Grpc("/grpc-hold-mid?bytes=100&at=50");
       stage.UpstreamHolds();
       UntilBody(stage, 50);
     },
     Answers, 1, CutSeen::kTrailers, 1, Protocol::kGrpc, true},
    {"grpc_inside_of_a_message",
     [](Stage& stage) {
       stage.client->Grpc("/grpc-hold-mid?bytes=100&at=60");
       stage.UpstreamHolds();
       UntilBody(stage, 60);
     },
     Answers, 1, CutSeen::kReset, 1, Protocol::kGrpc, true},
    {"grpc_bidirectional",
     [](Stage& stage) {
       stage.client->Grpc("/grpc-echo", 3, false);
       UntilBody(stage, 3 * kSimGrpcMessage);
     },
     [](Stage& stage) { stage.client->Finish(1); }, 1, CutSeen::kTrailers, 1, Protocol::kGrpc,
     true},
};

using Cell = std::tuple<Row, UpstreamProtocol>;

class H2DrainMatrix : public ::testing::TestWithParam<Cell> {
 protected:
  static ProxySimOptions Options(UpstreamProtocol upstream) {
    ProxySimOptions options;
    options.drain.propagation_delay = seconds(5);
    options.drain.jitter = {};
    options.drain.deadline = seconds(20);
    // Beyond the deadline, so that it is the drain that ends what is slow.
    options.timeouts = {seconds(100), seconds(100), seconds(100), seconds(100)};
    options.route_timeout = seconds(100);
    options.cluster.protocol = upstream;
    return options;
  }

  void Begin(const SimH2Options& http2 = {}) {
    stage = std::make_unique<Stage>(Options(std::get<1>(GetParam())), http2);
    row.begin(*stage);
  }

  void ToDraining() {
    stage->sim.BeginDrain();
    ASSERT_TRUE(stage->sim.UntilPhase(Phase::kDraining));
    began = stage->sim.loop.Now();
  }

  // Nothing is left, and the machine was told so once for each time it asked.
  void ExpectNothingLeft() {
    EXPECT_EQ(stage->sim.connections.connection_count(), 0u);
    EXPECT_EQ(stage->sim.Progress().in_flight_total(), 0u);
    EXPECT_EQ(stage->sim.network.open_at_server("proxy"), 0u);
    EXPECT_EQ(stage->sim.drains_done(), stage->sim.drains_begun());
    EXPECT_GE(stage->sim.drains_begun(), 1u);
    EXPECT_EQ(stage->sim.Progress().told, 1u);
    EXPECT_EQ(stage->sim.upstream_connections(), 0u);
    EXPECT_THAT(stage->sim.h2_origin.complaints(), ::testing::IsEmpty());
    EXPECT_EQ(stage->client->complaint(), "");
    EXPECT_EQ(stage->client->error(), 0) << "an orderly end, not a reset";
    EXPECT_TRUE(stage->client->ended());
  }

  // GOAWAY 2^31-1, PING, GOAWAY with the id of the last stream.
  void ExpectGoodbyes(uint32_t last_stream) {
    const std::vector<SimH2Goaway>& goaways = stage->client->goaways();
    ASSERT_EQ(goaways.size(), 2u);
    EXPECT_EQ(goaways[0].last_stream, h2::kMaxStreamId);
    EXPECT_EQ(goaways[1].last_stream, last_stream);
    for (const SimH2Goaway& goaway : goaways) EXPECT_EQ(goaway.error, h2::kNoError);
    EXPECT_EQ(stage->client->session().pings(), 1u);
    EXPECT_EQ(stage->client->session().goaways_before_ping(), 1u)
        << "the ACK must mean that the GOAWAY was read";
  }

  void ExpectAllAnswered() {
    EXPECT_EQ(stage->client->answered(), row.complete);
    for (const auto& [id, stream] : stage->client->session().streams()) {
      EXPECT_TRUE(stream.in.complete);
      EXPECT_EQ(stream.in.status, 200);
      EXPECT_TRUE(stream.in.body_as_expected);
    }
  }

  void ExpectCutSeen(CutReason reason) {
    const uint64_t cut = row.cut == CutSeen::kNothing ? 0 : row.cuts;
    const DrainProgress progress = stage->sim.Progress();
    EXPECT_EQ(progress.cut_total(), cut);
    EXPECT_EQ(progress.cut[static_cast<size_t>(row.protocol)], cut);
    EXPECT_EQ(progress.stragglers.size(), cut);
    EXPECT_EQ(stage->sim.controller.exit_code() == 0, cut == 0);
    uint64_t logged = 0;
    for (const SimLogEntry& one : stage->sim.log) {
      logged += one.record.end == StreamEnd::kCut ? 1 : 0;
    }
    EXPECT_EQ(logged, cut) << CutReasonName(reason);
    size_t seen = 0;
    for (const auto& [id, stream] : stage->client->session().streams()) {
      if (stream.in.complete && stream.in.status == 200 && row.protocol != Protocol::kGrpc)
        continue;
      ++seen;
      ExpectCutSeen(stream);
    }
    EXPECT_EQ(seen, cut);
  }

  void ExpectCutSeen(const SimH2Stream& stream) {
    SCOPED_TRACE("stream " + std::to_string(stream.id));
    const SimMessage& in = stream.in;
    EXPECT_TRUE(in.body_as_expected || in.status == 503);
    switch (row.cut) {
      case CutSeen::kNothing:
        ADD_FAILURE() << "there was nothing to cut";
        break;
      case CutSeen::k503:
        EXPECT_TRUE(in.complete);
        EXPECT_EQ(in.status, 503);
        EXPECT_NE(in.Header("retry-after"), "");
        break;
      case CutSeen::kReset:
        EXPECT_EQ(in.status, 200);
        EXPECT_FALSE(in.complete) << "a truncated response was ended as if it were whole";
        EXPECT_TRUE(stream.reset_by_peer.has_value());
        EXPECT_NE(stream.reset_by_peer, h2::kNoError);
        break;
      case CutSeen::kTrailersOnly:
        EXPECT_TRUE(stream.trailers_only);
        EXPECT_EQ(in.status, 200);
        EXPECT_EQ(in.Header("grpc-status"), "14");
        EXPECT_EQ(in.Header("grpc-message"), "draining");
        break;
      case CutSeen::kTrailers:
        EXPECT_TRUE(in.complete);
        EXPECT_FALSE(stream.trailers_only);
        ASSERT_FALSE(in.trailers.empty());
        EXPECT_EQ(in.trailers[0], std::pair(std::string("grpc-status"), std::string("14")));
        EXPECT_EQ(in.trailers.back(),
                  std::pair(std::string("grpc-message"), std::string("draining")));
        break;
      case CutSeen::kEndedOnly:
        EXPECT_FALSE(in.complete && in.status < 400);
        break;
    }
  }

  const Row& row = std::get<0>(GetParam());
  std::unique_ptr<Stage> stage;
  TimePoint began{};
};

TEST_P(H2DrainMatrix, FinishesInTime) {
  Begin();
  ToDraining();
  row.finish(*stage);
  ASSERT_TRUE(stage->sim.UntilExited());
  ExpectAllAnswered();
  ExpectNothingLeft();
  ExpectGoodbyes(stage->last_id());
  EXPECT_EQ(stage->sim.Progress().cut_total(), 0u);
  EXPECT_EQ(stage->sim.controller.exit_code(), 0);
  // The moment it is true, not the deadline: what remains is the linger.
  EXPECT_LE(stage->sim.loop.Now() - began, seconds(2));
  EXPECT_LE(stage->client->goaways()[1].at - began, milliseconds(10)) << "the ACK was there";
}

TEST_P(H2DrainMatrix, StreamsThatArriveBeforeTheAckAreServed) {
  Begin({.ack_pings = false});
  ToDraining();
  if (row.cut == CutSeen::kEndedOnly) row.finish(*stage);  // nothing else can come before it
  const uint32_t late = stage->client->Request("GET", "/fast?late");
  ASSERT_TRUE(stage->sim.Until([&] { return stage->Stream(late).in.complete; }));
  EXPECT_EQ(stage->Stream(late).in.status, 200);
  EXPECT_EQ(stage->client->goaways().size(), 1u);
  stage->client->session().AckPings();
  stage->TimePasses(milliseconds(10));
  EXPECT_EQ(stage->client->goaways().size(), 2u);
  // This one came too late, and knows that nobody looked at it.
  const uint32_t ignored = stage->client->Request("GET", "/fast?ignored");
  if (row.cut != CutSeen::kEndedOnly) row.finish(*stage);
  ASSERT_TRUE(stage->sim.UntilExited());
  ExpectGoodbyes(late);
  EXPECT_FALSE(stage->Stream(ignored).has_head);
  EXPECT_EQ(stage->client->answered(), row.complete + 1);
  EXPECT_EQ(stage->client->complaint(), "");
  EXPECT_EQ(stage->client->error(), 0);
  EXPECT_EQ(stage->sim.Progress().cut_total(), 0u);
  EXPECT_EQ(stage->sim.log.size(), row.complete + 1) << "a request that was refused is not counted";
}

TEST_P(H2DrainMatrix, AClientThatNeverAcksIsToldByATimer) {
  Begin({.ack_pings = false});
  ToDraining();
  row.finish(*stage);
  ASSERT_TRUE(stage->sim.UntilExited());
  ExpectAllAnswered();
  ExpectNothingLeft();
  ExpectGoodbyes(stage->last_id());
  EXPECT_EQ(stage->sim.Progress().cut_total(), 0u);
  EXPECT_GE(stage->client->goaways()[1].at - began, milliseconds(900));
  EXPECT_LE(stage->sim.loop.Now() - began, seconds(4));
}

TEST_P(H2DrainMatrix, AClientThatNeverAcksSettingsIsServed) {
  Begin({.ack_settings = false});
  ToDraining();
  row.finish(*stage);
  ASSERT_TRUE(stage->sim.UntilExited());
  ExpectAllAnswered();
  ExpectNothingLeft();
  ExpectGoodbyes(stage->last_id());
}

TEST_P(H2DrainMatrix, Deadline) {
  Begin();
  ToDraining();
  ASSERT_TRUE(stage->sim.UntilExited());
  ExpectCutSeen(CutReason::kDeadline);
  ExpectNothingLeft();
  ExpectGoodbyes(stage->last_id());
  const Duration took = stage->sim.loop.Now() - began;
  if (row.cut == CutSeen::kNothing) {
    EXPECT_LE(took, seconds(2));
  } else {
    EXPECT_GE(took, seconds(20) - seconds(2)) << "cut before its time";
    EXPECT_LE(took, seconds(23));
  }
}

TEST_P(H2DrainMatrix, SecondSignal) {
  Begin();
  ToDraining();
  stage->sim.BeginDrain();
  ASSERT_TRUE(stage->sim.UntilExited());
  ExpectCutSeen(CutReason::kSecondSignal);
  ExpectNothingLeft();
  ExpectGoodbyes(stage->last_id());
  EXPECT_LE(stage->sim.loop.Now() - began, seconds(3));
}

TEST_P(H2DrainMatrix, SecondSignalWhileLameDuck) {
  Begin();
  stage->sim.BeginDrain();
  ASSERT_TRUE(stage->sim.UntilPhase(Phase::kLameDuck));
  began = stage->sim.loop.Now();
  stage->sim.BeginDrain();
  ASSERT_TRUE(stage->sim.UntilExited());
  ExpectCutSeen(CutReason::kSecondSignal);
  ExpectNothingLeft();
  EXPECT_LE(stage->sim.loop.Now() - began, seconds(3));
  // There may be no time for the first; whatever was said, the last word has the real id.
  ASSERT_GE(stage->client->goaways().size(), 1u);
  EXPECT_LE(stage->client->goaways().size(), 2u);
  EXPECT_EQ(stage->client->goaways().back().last_stream, stage->last_id());
}

TEST_P(H2DrainMatrix, Undrain) {
  Begin();
  stage->sim.BeginDrain();
  ASSERT_TRUE(stage->sim.UntilPhase(Phase::kLameDuck));
  ASSERT_TRUE(stage->sim.Undrain().has_value());
  row.finish(*stage);
  stage->ClientHas(row.complete);
  ExpectAllAnswered();
  EXPECT_TRUE(stage->client->goaways().empty());
  const uint32_t after = stage->client->Request("GET", "/fast?after");
  ASSERT_TRUE(stage->sim.Until([&] { return stage->Stream(after).in.complete; }));
  EXPECT_TRUE(stage->client->goaways().empty());
  EXPECT_FALSE(stage->client->ended());
  // And it is refused once the draining has begun.
  ToDraining();
  EXPECT_FALSE(stage->sim.Undrain().has_value());
  ASSERT_TRUE(stage->sim.UntilExited());
  ExpectGoodbyes(after);
}

TEST_P(H2DrainMatrix, LameDuckTellsWhoeverIsAnswered) {
  Begin();
  stage->sim.BeginDrain();
  ASSERT_TRUE(stage->sim.UntilPhase(Phase::kLameDuck));
  if (row.cut == CutSeen::kEndedOnly) row.finish(*stage);
  const uint32_t asked = stage->client->Request("GET", "/fast?lame");
  ASSERT_TRUE(stage->sim.Until([&] { return stage->Stream(asked).in.complete; }));
  stage->TimePasses(milliseconds(10));
  ExpectGoodbyes(asked);
  if (row.cut != CutSeen::kEndedOnly) row.finish(*stage);
  ASSERT_TRUE(stage->sim.UntilExited());
  EXPECT_EQ(stage->client->answered(), row.complete + 1);
  EXPECT_EQ(stage->client->complaint(), "");
  EXPECT_EQ(stage->client->error(), 0);
  ExpectGoodbyes(asked);
}

std::string NameOf(const ::testing::TestParamInfo<Cell>& info) {
  return std::string(std::get<0>(info.param).name) +
         (std::get<1>(info.param) == UpstreamProtocol::kHttp2 ? "_to_http2" : "_to_http1");
}

std::vector<Cell> Cells() {
  std::vector<Cell> cells;
  for (const Row& row : kRows) {
    if (!row.needs_http2) cells.emplace_back(row, UpstreamProtocol::kHttp1);
    cells.emplace_back(row, UpstreamProtocol::kHttp2);
  }
  return cells;
}

INSTANTIATE_TEST_SUITE_P(Rows, H2DrainMatrix, ::testing::ValuesIn(Cells()), NameOf);

}  // namespace
}  // namespace sluice
