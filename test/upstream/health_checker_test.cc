// Health checks of endpoints that do as they are told, over a simulated network and clock.
#include "upstream/health_checker.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/metrics.h"
#include "support/script_origin.h"
#include "support/sim_h2_origin.h"
#include "support/sim_loop.h"
#include "support/sim_network.h"
#include "upstream/grpc_health.h"

namespace sluice {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::IsEmpty;
using Connection = ScriptOrigin::Connection;

class HealthCheckerTest : public ::testing::Test {
 protected:
  HealthCheckerTest() {
    cluster.name = "app";
    HealthCheckConfig& config = cluster.health_check.emplace();
    config.interval = seconds(5);
    config.unhealthy_interval = seconds(1);
    config.jitter_percent = 0;
    config.timeout = milliseconds(500);
  }
  HealthCheckConfig& check() { return *cluster.health_check; }

  void Start() {
    probe = std::make_unique<HealthProbeConfig>(cluster);
    checker = std::make_unique<HealthChecker>(
        HealthChecker::Surroundings{loop, network, *probe, counters}, "a",
        [this](const EndpointHealth& health) {
          changes.push_back(!health.healthy   ? "unhealthy"
                            : health.draining ? "draining"
                                              : "healthy");
          if (on_change) on_change();
        });
  }
  // The first check, and what came of it.
  std::string First() {
    Start();
    loop.RunFor(milliseconds(600));
    return changes.empty() ? "nothing" : changes.front();
  }
  void Answer(const std::string& status, const std::string& fields = {}) {
    origin.on_message = [=](Connection& connection) { connection.Respond(status, fields); };
  }

  SimLoop loop{1};
  SimNetwork network{loop};
  ScriptOrigin origin{loop, network, "a"};
  Metrics metrics;
  MetricShard& shard = metrics.AddShard();
  HealthCheckMetrics counters{"app", shard};
  ClusterConfig cluster;
  std::unique_ptr<HealthProbeConfig> probe;
  std::unique_ptr<HealthChecker> checker;
  std::vector<std::string> changes;
  std::function<void()> on_change;
};

TEST_F(HealthCheckerTest, AsksWhatIsConfigured) {
  check().path = "/healthz";
  check().host = "app.test";
  std::string seen;
  origin.on_message = [&](Connection& connection) {
    seen = connection.request().method + " " + connection.request().target + " " +
           std::string(connection.request().Header("host")) + " " +
           std::string(connection.request().Header("user-agent"));
    connection.Respond("200 OK");
  };
  EXPECT_EQ(First(), "healthy");
  EXPECT_EQ(seen, "GET /healthz app.test sluice-health-check");
}

TEST_F(HealthCheckerTest, TheFirstResultCountsAtOnce) {
  Answer("500 Oops");
  EXPECT_EQ(First(), "unhealthy");
  EXPECT_EQ(checker->reason(), "status 500");
}

TEST_F(HealthCheckerTest, ThenItTakesAsManyInARowAsTheThresholds) {
  Answer("200 OK");
  ASSERT_EQ(First(), "healthy");
  Answer("503 Service Unavailable");
  loop.RunFor(seconds(5));
  EXPECT_EQ(counters.failed.value(), 1);
  loop.RunFor(seconds(1));
  EXPECT_THAT(changes, ElementsAre("healthy")) << "two failures are not three";
  loop.RunFor(seconds(1));
  EXPECT_THAT(changes, ElementsAre("healthy", "unhealthy"));
  Answer("200 OK");
  loop.RunFor(milliseconds(1100));
  EXPECT_THAT(changes, ElementsAre("healthy", "unhealthy")) << "one pass is not two";
  loop.RunFor(seconds(1));
  EXPECT_THAT(changes, ElementsAre("healthy", "unhealthy", "healthy"));
}

TEST_F(HealthCheckerTest, ASingleFailureIsForgotten) {
  int times = 0;
  origin.on_message = [&](Connection& connection) {
    connection.Respond(++times % 3 == 0 ? "200 OK" : "500 Oops");
  };
  times = 2;
  ASSERT_EQ(First(), "healthy");
  loop.RunFor(seconds(60));
  EXPECT_THAT(changes, ElementsAre("healthy")) << "never three in a row";
}

TEST_F(HealthCheckerTest, OtherStatusesMayPass) {
  check().statuses = {"200-299", "401"};
  Answer("401 Unauthorized");
  EXPECT_EQ(First(), "healthy");
}

TEST_F(HealthCheckerTest, EveryWayToFailHasItsReason) {
  const auto reason = [this] {
    changes.clear();
    First();
    EXPECT_THAT(changes, ElementsAre("unhealthy"));
    return std::string(checker->reason());
  };
  origin.Stop();
  EXPECT_EQ(reason(), "refused");
  origin.Listen();
  network.At("a").black_hole = true;
  EXPECT_EQ(reason(), "timeout");
  network.At("a").black_hole = false;
  origin.on_message = [](Connection&) {};
  EXPECT_EQ(reason(), "timeout");
  origin.on_message = [](Connection& connection) { connection.Reset(); };
  EXPECT_EQ(reason(), "broke off");
  origin.on_message = [](Connection& connection) { connection.Write("SSH-2.0\r\n\r\n"); };
  EXPECT_EQ(reason(), "broke off");
  origin.on_message = [](Connection& connection) {
    connection.Write("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
  };
  EXPECT_EQ(reason(), "timeout");
}

TEST_F(HealthCheckerTest, ABodyWithoutEndIsNotWaitedFor) {
  origin.on_message = [](Connection& connection) {
    connection.Write("HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n" +
                     std::string(200'000, 'x'));
  };
  EXPECT_EQ(First(), "healthy");
}

TEST_F(HealthCheckerTest, EveryCheckIsOnAConnectionOfItsOwn) {
  Answer("200 OK");
  First();
  loop.RunFor(seconds(20));
  EXPECT_EQ(network.made("a"), 5u);
  EXPECT_EQ(network.open_at_client("a"), 0u);
}

TEST_F(HealthCheckerTest, AConnectionIsEnoughForTcp) {
  check().kind = HealthCheckKind::kTcp;
  EXPECT_EQ(First(), "healthy");
  EXPECT_EQ(origin.heads(), 0u);
}

TEST_F(HealthCheckerTest, AnEndpointMaySayThatItDrains) {
  Answer("200 OK", "X-Sluice-Drain: TRUE\r\n");
  ASSERT_EQ(First(), "draining");
  Answer("200 OK");
  loop.RunFor(seconds(6));
  EXPECT_THAT(changes, ElementsAre("draining", "healthy"));
}

TEST_F(HealthCheckerTest, WhoKnowsOtherwiseThatItDrainsIsToldOfTheNextPass) {
  Answer("200 OK");
  ASSERT_EQ(First(), "healthy");
  loop.Dispatch([&] { checker->ReportNextPass(); });
  loop.RunFor(milliseconds(1100));
  EXPECT_THAT(changes, ElementsAre("healthy", "healthy"));
  loop.RunFor(seconds(20));
  EXPECT_THAT(changes, ElementsAre("healthy", "healthy"));
}

TEST_F(HealthCheckerTest, AnOpenPortSaysNothingAboutADrain) {
  check().kind = HealthCheckKind::kTcp;
  ASSERT_EQ(First(), "healthy");
  loop.Dispatch([&] { checker->ReportNextPass(); });
  loop.RunFor(seconds(60));
  EXPECT_THAT(changes, ElementsAre("healthy"));
}

TEST_F(HealthCheckerTest, TheHeaderMayBeSwitchedOff) {
  cluster.upstream_drain.header = false;
  Answer("200 OK", "X-Sluice-Drain: true\r\n");
  EXPECT_EQ(First(), "healthy");
}

TEST_F(HealthCheckerTest, ChecksAreSpread) {
  check().jitter_percent = 50;
  Answer("200 OK");
  First();
  const int64_t before = counters.passed.value();
  loop.RunFor(seconds(500));
  const int64_t checks = counters.passed.value() - before;
  EXPECT_GT(checks, 500 / 7.5);
  EXPECT_LT(checks, 500 / 5) << "the jitter comes on top";
}

TEST_F(HealthCheckerTest, NoCheckIsEarlyAndNoneLaterThanTheJitter) {
  check().interval = seconds(1);
  check().jitter_percent = 20;
  const HealthProbeConfig config(cluster);
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    SimLoop own(seed);
    SimNetwork net(own);
    ScriptOrigin answering(own, net, "a");
    std::vector<TimePoint> times;
    answering.on_message = [&](Connection& connection) {
      times.push_back(own.Now());
      connection.Respond("200 OK");
    };
    const TimePoint start = own.Now();
    HealthChecker one({own, net, config, counters}, "a", [](const EndpointHealth&) {});
    own.RunFor(seconds(10));
    ASSERT_GE(times.size(), 9u) << "seed " << seed;
    EXPECT_LE(times.front() - start, milliseconds(50)) << "seed " << seed;
    std::set<Duration> gaps;
    for (size_t i = 1; i < times.size(); ++i) {
      const Duration gap = times[i] - times[i - 1];
      EXPECT_GE(gap, milliseconds(1000)) << "seed " << seed;
      EXPECT_LE(gap, milliseconds(1200)) << "seed " << seed;
      gaps.insert(gap);
    }
    EXPECT_GT(gaps.size(), 1u) << "seed " << seed << ": always the same";
  }
}

TEST_F(HealthCheckerTest, AThousandAreNotAskedInOneInstant) {
  constexpr size_t kMany = 1000;
  const HealthProbeConfig config(cluster);
  std::map<int64_t, size_t> asked;  // by millisecond
  std::vector<std::unique_ptr<ScriptOrigin>> origins;
  std::vector<std::unique_ptr<HealthChecker>> checkers;
  size_t healthy = 0;
  for (size_t i = 0; i < kMany; ++i) {
    const std::string address = "e" + std::to_string(i);
    origins.push_back(std::make_unique<ScriptOrigin>(loop, network, address));
    origins.back()->on_message = [&](Connection& connection) {
      ++asked[loop.Now().time_since_epoch() / milliseconds(1)];
      connection.Respond("200 OK");
    };
    checkers.push_back(std::make_unique<HealthChecker>(
        HealthChecker::Surroundings{loop, network, config, counters}, address,
        [&](const EndpointHealth& health) { healthy += health.healthy ? 1 : 0; }));
  }
  loop.RunFor(milliseconds(100));
  EXPECT_EQ(healthy, kMany);
  for (const auto& [time, count] : asked) EXPECT_LT(count, kMany / 10) << "in one millisecond";
  // In the middle of the next checks.
  loop.RunFor(milliseconds(4925));
  loop.Dispatch([&] { checkers.clear(); });
  EXPECT_TRUE(loop.RunUntilIdle(seconds(1))) << "something is left of them";
}

TEST_F(HealthCheckerTest, OneMayEndTheOthersWhenItTells) {
  const HealthProbeConfig config(cluster);
  std::vector<std::unique_ptr<HealthChecker>> checkers;
  size_t told = 0;
  for (int i = 0; i < 10; ++i) {
    checkers.push_back(std::make_unique<HealthChecker>(
        HealthChecker::Surroundings{loop, network, config, counters}, "a",
        [&](const EndpointHealth&) {
          ++told;
          checkers.clear();
        }));
  }
  loop.RunFor(seconds(20));
  EXPECT_EQ(told, 1u);
  EXPECT_EQ(network.open_at_client("a"), 0u);
}

TEST_F(HealthCheckerTest, ACheckThatBeganBeforeKnowsNothingOfTheDrain) {
  Answer("200 OK");
  ASSERT_EQ(First(), "healthy");
  // The next answer takes 200 ms, in which another learns that it drains.
  origin.on_message = [&](Connection& connection) {
    loop.After(milliseconds(200), [&connection] { connection.Respond("200 OK"); });
  };
  ASSERT_TRUE(loop.RunUntil([&] { return origin.messages() == 2; }, seconds(6)));
  loop.Dispatch([&] { checker->ReportNextPass(); });
  Answer("200 OK", "X-Sluice-Drain: true\r\n");
  loop.RunFor(milliseconds(500));
  EXPECT_THAT(changes, ElementsAre("healthy")) << "by the one that was under way";
  loop.RunFor(seconds(1));
  EXPECT_THAT(changes, ElementsAre("healthy", "draining"));
}

TEST_F(HealthCheckerTest, CountsWhatComesOfChecks) {
  Answer("200 OK");
  First();
  EXPECT_EQ(counters.passed.value(), 1);
  Answer("500 Oops");
  loop.RunFor(seconds(5));
  EXPECT_EQ(counters.failed.value(), 1);
  origin.on_message = [](Connection&) {};
  loop.RunFor(milliseconds(1600));
  EXPECT_EQ(counters.timed_out.value(), 1);
  EXPECT_EQ(counters.passed.value(), 1);
  EXPECT_EQ(counters.failed.value(), 1);
}

TEST_F(HealthCheckerTest, MayBeDestroyedWhenItTells) {
  Answer("200 OK");
  on_change = [this] { checker.reset(); };
  EXPECT_EQ(First(), "healthy");
  loop.RunFor(seconds(20));
  EXPECT_EQ(network.made("a"), 1u);
}

TEST_F(HealthCheckerTest, MayBeDestroyedAtAnyTime) {
  origin.on_message = [](Connection&) {};
  for (int i = 0; i < 30; ++i) {
    Start();
    loop.RunFor(milliseconds(i * 2));
    loop.Dispatch([&] { checker.reset(); });
    loop.RunFor(seconds(2));
  }
  EXPECT_THAT(changes, IsEmpty());
  EXPECT_EQ(network.open_at_client("a"), 0u);
}

TEST_F(HealthCheckerTest, Http2IsAskedWhereItIsSpoken) {
  cluster.protocol = UpstreamProtocol::kHttp2;
  SimH2Origin h2(loop, network, "a");
  check().path = "/fast";
  EXPECT_EQ(First(), "healthy");
  ASSERT_EQ(h2.seen().size(), 1u);
}

TEST_F(HealthCheckerTest, AnHttp1ServerDoesNotSpeakGrpc) {
  check().kind = HealthCheckKind::kGrpc;
  EXPECT_EQ(First(), "unhealthy");
}

// ---- the messages of grpc.health.v1

std::string Framed(const std::string& message) {
  std::string size(4, '\0');
  size[3] = static_cast<char>(message.size());
  return std::string(1, '\0') + size + message;
}

TEST(GrpcHealth, WritesTheRequest) {
  EXPECT_EQ(EncodeHealthCheckRequest(""), Framed(""));
  EXPECT_EQ(EncodeHealthCheckRequest("pkg.Svc"), Framed("\x0a\x07pkg.Svc"));
  EXPECT_EQ(EncodeHealthCheckRequest(std::string(200, 'x')).substr(5, 3), "\x0a\xc8\x01");
}

TEST(GrpcHealth, ReadsTheResponse) {
  EXPECT_EQ(DecodeHealthCheckResponse(Framed("\x08\x01")), ServingStatus::kServing);
  EXPECT_EQ(DecodeHealthCheckResponse(Framed("\x08\x02")), ServingStatus::kNotServing);
  EXPECT_EQ(DecodeHealthCheckResponse(Framed("\x08\x03")), ServingStatus::kServiceUnknown);
  EXPECT_EQ(DecodeHealthCheckResponse(Framed("")), ServingStatus::kUnknown);
  EXPECT_EQ(DecodeHealthCheckResponse(Framed("\x08\x63")), ServingStatus::kUnknown);
  EXPECT_EQ(DecodeHealthCheckResponse(Framed("\x12\x03zzz\x08\x01")), ServingStatus::kServing)
      << "a field that nobody knows is skipped";
}

TEST(GrpcHealth, RefusesWhatIsNoMessage) {
  for (const std::string& body :
       {std::string(), std::string("\x00\x00\x00\x00", 4), std::string("\x01\x00\x00\x00\x00", 5),
        Framed("\x08\x01") + "x", Framed("\x08\x01").substr(0, 6), Framed("\x08"),
        Framed("\x12\x7fx"), Framed("\x0b"), Framed(std::string(11, '\xff'))}) {
    EXPECT_EQ(DecodeHealthCheckResponse(body), ServingStatus::kMalformed);
  }
}

}  // namespace
}  // namespace sluice
