// The drain matrix: what a connection was doing when the drain began, by how the drain ended.
//
//                     finishes   deadline   second     undrain
//                     in time               signal
//   idle                 .          .          .          .
//   head partly sent     .          .          .          .
//   waiting for upstream .          .          .          .
//   mid-response         .          .          .          .
//   mid-upload           .          .          .          .
//   pipelined            .          .          .          .
//   slow reader          .          .          .          .
//   tunnel               .          .          .          .
//
// Each row says what the client sends, how the work would finish, and what the client must see in
// either case; each column is one way for the drain to go (docs/drain.md, section 3).
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "support/proxy_sim.h"

namespace sluice {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr uint64_t kBig = 4'000'000;

// What a row's steps are given: the proxy, one client of it, and words for what they do.
struct Stage {
  explicit Stage(const ProxySimOptions& options) : sim(1, options), client(sim.Connect()) {}

  ProxySim sim;
  std::unique_ptr<SimClient> client;

  void ClientSends(const std::string& method, const std::string& target,
                   std::string_view fields = {}) {
    client->Request(method, target, fields);
  }
  void UpstreamHolds(size_t count = 1) {
    ASSERT_TRUE(sim.Until([&] { return sim.origin.held() == count; }));
  }
  void UpstreamAnswers() { sim.origin.Release(); }
  void TimePasses(Duration span) { sim.loop.RunFor(span); }
  void ClientHas(size_t responses) {
    ASSERT_TRUE(sim.Until([&] { return client->answered() == responses; }))
        << client->answered() << " answered; " << client->complaint();
  }
  const SimMessage& Response(size_t index) const { return client->responses().at(index); }
  size_t responses() const { return client->responses().size(); }
};

// What the client saw of the last response, when its request was cut.
enum class CutSeen : uint8_t {
  kNothing,    // there was nothing to cut
  k503,        // a complete answer that says: not here, and try again
  kBrokenOff,  // a response that is visibly incomplete
  kTunnelEnded,
};

struct Row {
  const char* name;
  std::function<void(Stage&)> begin;   // up to the moment of the drain
  std::function<void(Stage&)> finish;  // what the client and the upstream do to finish the work
  size_t complete;                     // responses the client has when all went well
  bool head_sent;  // before the drain, so that the last response could not advise closing
  CutSeen cut;
  Protocol protocol = Protocol::kHttp1;  // counted as
};

void PrintTo(const Row& row, std::ostream* out) { *out << row.name; }

const Row kRows[] = {
    {"idle",
     [](Stage& stage) {
       stage.ClientSends("GET", "/fast");
       stage.ClientHas(1);
     },
     [](Stage&) {}, 1, true, CutSeen::kNothing},
    {"head_partly_sent",
     [](Stage& stage) {
       stage.client->Begin("GET", "/fast", "GET /fast HTTP/1.1\r\nHos");
       stage.TimePasses(milliseconds(10));
     },
     [](Stage& stage) { stage.client->Send("t: sim.test\r\n\r\n"); }, 1, false, CutSeen::k503},
    {"waiting_for_upstream",
     [](Stage& stage) {
       stage.ClientSends("GET", "/hold");
       stage.UpstreamHolds();
     },
     [](Stage& stage) { stage.UpstreamAnswers(); }, 1, false, CutSeen::k503},
    {"mid_response_with_length",
     [](Stage& stage) {
       stage.ClientSends("GET", "/hold-mid?bytes=1000&at=400");
       stage.UpstreamHolds();
       stage.TimePasses(milliseconds(10));
       ASSERT_EQ(stage.Response(0).body_bytes, 400u);
     },
     [](Stage& stage) { stage.UpstreamAnswers(); }, 1, true, CutSeen::kBrokenOff},
    {"mid_response_chunked",
     [](Stage& stage) {
       stage.ClientSends("GET", "/hold-mid?bytes=1000&at=400&chunked=1");
       stage.UpstreamHolds();
       stage.TimePasses(milliseconds(10));
       ASSERT_EQ(stage.Response(0).body_bytes, 400u);
     },
     [](Stage& stage) { stage.UpstreamAnswers(); }, 1, true, CutSeen::kBrokenOff},
    {"mid_upload",
     [](Stage& stage) {
       stage.client->Begin(
           "POST", "/upload",
           "POST /upload HTTP/1.1\r\nHost: sim.test\r\nContent-Length: 10\r\n\r\n" + SimBody(0, 4));
       stage.TimePasses(milliseconds(10));
     },
     [](Stage& stage) { stage.client->Send(SimBody(4, 6)); }, 1, false, CutSeen::k503},
    {"pipelined",
     [](Stage& stage) {
       stage.ClientSends("GET", "/hold");
       stage.ClientSends("GET", "/fast?second");
       stage.ClientSends("GET", "/fast?third");
       stage.UpstreamHolds();
     },
     [](Stage& stage) { stage.UpstreamAnswers(); }, 3, false, CutSeen::k503},
    {"slow_reader",
     [](Stage& stage) {
       stage.ClientSends("GET", "/big?bytes=" + std::to_string(kBig));
       ASSERT_TRUE(stage.sim.Until([&] { return stage.responses() == 1; }));
       stage.client->PauseReading();
       stage.TimePasses(seconds(1));
       ASSERT_LT(stage.Response(0).body_bytes, kBig);
     },
     [](Stage& stage) { stage.client->ResumeReading(); }, 1, true, CutSeen::kBrokenOff},
    {"tunnel",
     [](Stage& stage) {
       stage.ClientSends("GET", "/upgrade", "Connection: upgrade\r\nUpgrade: echo\r\n");
       stage.ClientHas(1);
       stage.client->Send("hello");
       ASSERT_TRUE(stage.sim.Until([&] { return stage.client->tunnel() == "hello"; }));
     },
     [](Stage& stage) { stage.client->HalfClose(); }, 1, true, CutSeen::kTunnelEnded,
     Protocol::kTunnel},
    {"tunnel_that_the_upstream_ends",
     [](Stage& stage) {
       stage.ClientSends("GET", "/upgrade", "Connection: upgrade\r\nUpgrade: echo\r\n");
       stage.ClientHas(1);
       stage.client->Send("hello");
       ASSERT_TRUE(stage.sim.Until([&] { return stage.client->tunnel() == "hello"; }));
     },
     [](Stage& stage) {
       stage.sim.origin.CloseAll();
       ASSERT_TRUE(stage.sim.Until([&] { return stage.client->ended(); }));
       stage.client->HalfClose();
     },
     1, true, CutSeen::kTunnelEnded, Protocol::kTunnel},
};

class DrainMatrix : public ::testing::TestWithParam<Row> {
 protected:
  static ProxySimOptions Options() {
    ProxySimOptions options;
    options.drain.propagation_delay = seconds(5);
    options.drain.jitter = {};
    options.drain.deadline = seconds(20);
    // Beyond the deadline, so that it is the drain that ends what is slow.
    options.timeouts = {seconds(100), seconds(100), seconds(100), seconds(100)};
    options.route_timeout = seconds(100);
    return options;
  }

  void ToDraining() {
    stage.sim.BeginDrain();
    ASSERT_TRUE(stage.sim.UntilPhase(Phase::kDraining));
    began = stage.sim.loop.Now();
  }

  // Nothing is left, and the machine was told so once for each time it asked.
  void ExpectNothingLeft() {
    EXPECT_EQ(stage.sim.connections.connection_count(), 0u);
    EXPECT_EQ(stage.sim.Progress().in_flight_total(), 0u);
    EXPECT_EQ(stage.sim.network.open_at_server("proxy"), 0u);
    EXPECT_EQ(stage.sim.drains_done(), stage.sim.drains_begun());
    EXPECT_GE(stage.sim.drains_begun(), 1u);
    EXPECT_EQ(stage.sim.Progress().told, 1u);
    EXPECT_EQ(stage.sim.network.open_at_client("origin"), 0u);
    EXPECT_EQ(stage.client->complaint(), "");
  }

  void ExpectAllAnswered() {
    EXPECT_EQ(stage.client->answered(), row.complete);
    for (const SimMessage& response : stage.client->responses()) {
      EXPECT_TRUE(response.complete);
      EXPECT_TRUE(response.status == 200 || response.status == 101) << response.status;
      EXPECT_TRUE(response.body_as_expected);
    }
    EXPECT_EQ(stage.client->error(), 0) << "an orderly end, not a reset";
  }

  void ExpectCutSeen(CutReason reason) {
    const uint64_t cut = row.cut == CutSeen::kNothing ? 0 : 1;
    const DrainProgress progress = stage.sim.Progress();
    EXPECT_EQ(progress.cut_total(), cut);
    EXPECT_EQ(progress.cut[static_cast<size_t>(row.protocol)], cut);
    EXPECT_EQ(progress.stragglers.size(), cut);
    EXPECT_EQ(stage.sim.controller.exit_code() == 0, cut == 0);
    if (cut == 1) {
      EXPECT_EQ(stage.sim.log.back().record.end, StreamEnd::kCut)
          << CutReasonName(reason) << ": " << StreamEndName(stage.sim.log.back().record.end);
    }
    switch (row.cut) {
      case CutSeen::kNothing:
        EXPECT_EQ(stage.client->answered(), row.complete);
        break;
      case CutSeen::k503:
        ASSERT_EQ(stage.responses(), 1u);
        EXPECT_TRUE(stage.Response(0).complete);
        EXPECT_EQ(stage.Response(0).status, 503);
        EXPECT_NE(stage.Response(0).Header("retry-after"), "");
        EXPECT_TRUE(stage.Response(0).close);
        EXPECT_EQ(stage.client->error(), 0);
        break;
      case CutSeen::kBrokenOff:
        ASSERT_EQ(stage.responses(), 1u);
        EXPECT_EQ(stage.Response(0).status, 200);
        EXPECT_FALSE(stage.Response(0).complete);
        EXPECT_TRUE(stage.Response(0).body_as_expected);
        break;
      case CutSeen::kTunnelEnded:
        EXPECT_EQ(stage.client->tunnel(), "hello");
        EXPECT_TRUE(stage.client->ended());
        break;
    }
  }

  const Row& row = GetParam();
  Stage stage{Options()};
  TimePoint began{};
};

TEST_P(DrainMatrix, FinishesInTime) {
  row.begin(stage);
  ToDraining();
  row.finish(stage);
  ASSERT_TRUE(stage.sim.UntilExited());
  ExpectAllAnswered();
  ExpectNothingLeft();
  EXPECT_EQ(stage.sim.Progress().cut_total(), 0u);
  EXPECT_EQ(stage.sim.controller.exit_code(), 0);
  EXPECT_TRUE(stage.client->ended());
  EXPECT_EQ(stage.client->told_to_close(), !row.head_sent);
  if (!row.head_sent) {
    EXPECT_EQ(stage.client->last_response(), row.complete - 1);
  }
  // The moment it is true, not the deadline: what remains is the idle grace and the linger.
  EXPECT_LE(stage.sim.loop.Now() - began, seconds(2));
}

TEST_P(DrainMatrix, Deadline) {
  row.begin(stage);
  ToDraining();
  ASSERT_TRUE(stage.sim.UntilExited());
  ExpectCutSeen(CutReason::kDeadline);
  ExpectNothingLeft();
  const Duration took = stage.sim.loop.Now() - began;
  if (row.cut == CutSeen::kNothing) {
    EXPECT_LE(took, seconds(2));
  } else {
    EXPECT_GE(took, seconds(20) - seconds(2)) << "cut before its time";
    EXPECT_LE(took, seconds(23));
  }
}

TEST_P(DrainMatrix, SecondSignal) {
  row.begin(stage);
  ToDraining();
  stage.sim.BeginDrain();
  ASSERT_TRUE(stage.sim.UntilExited());
  ExpectCutSeen(CutReason::kSecondSignal);
  ExpectNothingLeft();
  EXPECT_LE(stage.sim.loop.Now() - began, seconds(3));
}

TEST_P(DrainMatrix, SecondSignalWhileLameDuck) {
  row.begin(stage);
  stage.sim.BeginDrain();
  ASSERT_TRUE(stage.sim.UntilPhase(Phase::kLameDuck));
  began = stage.sim.loop.Now();
  stage.sim.BeginDrain();
  ASSERT_TRUE(stage.sim.UntilExited());
  ExpectCutSeen(CutReason::kSecondSignal);
  ExpectNothingLeft();
  EXPECT_LE(stage.sim.loop.Now() - began, seconds(3));
}

TEST_P(DrainMatrix, Undrain) {
  row.begin(stage);
  stage.sim.BeginDrain();
  ASSERT_TRUE(stage.sim.UntilPhase(Phase::kLameDuck));
  ASSERT_TRUE(stage.sim.Undrain().has_value());
  row.finish(stage);
  stage.ClientHas(row.complete);
  ExpectAllAnswered();
  EXPECT_FALSE(stage.client->told_to_close());
  if (row.protocol == Protocol::kHttp1) {
    EXPECT_FALSE(stage.client->ended());
    stage.ClientSends("GET", "/fast?after");
    stage.ClientHas(row.complete + 1);
    EXPECT_FALSE(stage.client->told_to_close());
  }
  EXPECT_EQ(stage.sim.Progress().cut_total(), 0u);
  // And it is refused once the draining has begun.
  ToDraining();
  EXPECT_FALSE(stage.sim.Undrain().has_value());
}

INSTANTIATE_TEST_SUITE_P(Rows, DrainMatrix, ::testing::ValuesIn(kRows),
                         [](const auto& row) { return row.param.name; });

}  // namespace
}  // namespace sluice
