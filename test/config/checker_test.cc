// Promises that a valid configuration cannot keep.
#include "config/checker.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "config/load.h"

namespace sluice {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

std::vector<std::string> Warnings(const std::vector<std::string>& overrides) {
  return CheckConfig(Load(kBase, overrides));
}

TEST(Checker, SaysNothingOfTheDefaults) { EXPECT_THAT(Warnings({}), IsEmpty()); }

TEST(Checker, PhasesThatDoNotFitTheGracePeriod) {
  EXPECT_THAT(Warnings({"drain.grace_period=29500ms"}), IsEmpty()) << "exactly enough";
  EXPECT_THAT(
      Warnings({"drain.grace_period=29499ms"}),
      ElementsAre("drain: propagation_delay (5s) + jitter (500ms) + deadline (20s) + "
                  "stopping_background (1s) + flushing (2s) + releasing (1s) = 29500ms is more "
                  "than grace_period (29499ms): the process would be killed before it is done; "
                  "shorten them, or raise drain.grace_period together with what the orchestrator "
                  "allows (terminationGracePeriodSeconds, TimeoutStopSec)"));
}

TEST(Checker, TimesThatOutlastTheDeadline) {
  EXPECT_THAT(Warnings({"drain.spread=20s"}), IsEmpty());
  EXPECT_THAT(Warnings({"drain.spread=21s"}),
              ElementsAre(StartsWith("drain.spread (21s) is longer than drain.deadline (20s)")));
  EXPECT_THAT(Warnings({"drain.idle_grace=21s"}),
              ElementsAre(StartsWith("drain.idle_grace (21s)")));
  EXPECT_THAT(Warnings({"drain.linger=21s"}), ElementsAre(StartsWith("drain.linger (21s)")));
}

TEST(Checker, AGradualDrainWithoutTime) {
  EXPECT_THAT(Warnings({"drain.strategy=gradual"}), IsEmpty());
  EXPECT_THAT(Warnings({"drain.strategy=gradual", "drain.propagation_delay=0s"}),
              ElementsAre(StartsWith("drain.strategy (gradual)")));
}

TEST(Checker, RouteTimeouts) {
  const auto of = [&](const std::string& timeout, const std::string& other = "workers=1") {
    const std::string text =
        "listeners: [{name: front, address: '127.0.0.1:8080', routes: [{cluster: app, timeout: " +
        timeout + "}]}]\nclusters: [{name: app, endpoints: ['127.0.0.1:3000']}]\n";
    return CheckConfig(Load(text, {other}));
  };
  EXPECT_THAT(of("20s"), IsEmpty());
  EXPECT_THAT(of("21s"),
              ElementsAre(StartsWith("listeners.front: route default/0: timeout (21s) is "
                                     "longer than drain.deadline (20s)")));
  EXPECT_THAT(of("0s"), ElementsAre(HasSubstr("timeout (0s) means none")));
  EXPECT_THAT(of("2s", "clusters.app.connect_timeout=2s"),
              ElementsAre(HasSubstr("is not longer than clusters.app.connect_timeout (2s)")));
}

TEST(Checker, NoPropagationDelayWhereClientsComeFromAfar) {
  const std::string none = "drain.propagation_delay=0s";
  EXPECT_THAT(Warnings({none}), IsEmpty()) << "on the loopback";
  EXPECT_THAT(Warnings({none, "listeners.front.address=0.0.0.0:80"}),
              ElementsAre(StartsWith("drain.propagation_delay (0s) with the inbound listener "
                                     "listeners.front (0.0.0.0:80)")));
  EXPECT_THAT(Warnings({none, "listeners.0.address=10.0.0.1:80", "listeners.0.direction=outbound"}),
              IsEmpty());
  EXPECT_THAT(Warnings({none, "listeners.front.address=unix:/a"}), IsEmpty());
}

TEST(Checker, ListenerTimeoutsAndLimits) {
  EXPECT_THAT(Warnings({"listeners.front.timeouts.header=0s"}),
              ElementsAre(AllOf(HasSubstr("listeners.front.timeouts.header (0s)"),
                                HasSubstr("slowloris"))));
  EXPECT_THAT(Warnings({"listeners.front.timeouts.idle=0s"}), ElementsAre(HasSubstr("for ever")));
  EXPECT_THAT(Warnings({"listeners.front.timeouts.body=0s"}),
              ElementsAre(HasSubstr("stops sending its request")));
  EXPECT_THAT(Warnings({"listeners.front.timeouts.body=31s"}),
              ElementsAre(HasSubstr("is longer than drain.grace_period (30s)")));
  EXPECT_THAT(Warnings({"listeners.front.timeouts.write=31s"}),
              ElementsAre(HasSubstr("stops taking its response")));
  EXPECT_THAT(Warnings({"listeners.front.limits.uri_bytes=65KiB"}),
              ElementsAre(HasSubstr("limits.uri_bytes (66560) is more than header_bytes (65536)")));
  EXPECT_THAT(Warnings({"listeners.front.limits.connections=11", "max_connections=10"}),
              ElementsAre(HasSubstr("is more than max_connections (10)")));
}

TEST(Checker, AnAdminThatOthersCanReach) {
  EXPECT_THAT(Warnings({"admin=off"}), IsEmpty());
  EXPECT_THAT(Warnings({"admin=unix:/a"}), IsEmpty());
  EXPECT_THAT(Warnings({"admin=0.0.0.0:9901"}), ElementsAre(HasSubstr("on every interface")));
  EXPECT_THAT(Warnings({"admin=10.0.0.1:9901"}),
              ElementsAre(StartsWith("admin.address (10.0.0.1:9901) is reachable from other")));
}

TEST(Checker, UpstreamConnections) {
  EXPECT_THAT(Warnings({"clusters.app.idle_timeout=74s"}), IsEmpty());
  EXPECT_THAT(Warnings({"clusters.app.idle_timeout=75s"}),
              ElementsAre(HasSubstr("not shorter than what most servers allow (1m15s)")));
  EXPECT_THAT(Warnings({"clusters.app.idle_timeout=0s"}), ElementsAre(HasSubstr("for ever")));
  EXPECT_THAT(Warnings({"clusters.app.idle_timeout=75s", "clusters.app.upstream_idle_timeout=2m"}),
              IsEmpty());
  EXPECT_THAT(Warnings({"clusters.app.upstream_idle_timeout=30s"}),
              ElementsAre(HasSubstr("clusters.app.idle_timeout (30s) is not shorter than "
                                    "upstream_idle_timeout (30s)")));
  EXPECT_THAT(Warnings({"clusters.app.max_idle=0"}),
              ElementsAre(StartsWith("clusters.app.max_idle (0)")));
}

TEST(Checker, ASelfDrainThatNothingBringsAbout) {
  EXPECT_THAT(Warnings({"self_drain=drain"}),
              ElementsAre(StartsWith("self_drain.action does nothing, because no cluster is")));
  EXPECT_THAT(Warnings({"self_drain=drain", "clusters.0.health_check={kind: tcp}",
                        "clusters.0.critical=true"}),
              IsEmpty());
}

TEST(Checker, RoutesThatGoNowhereOrInCircles) {
  EXPECT_THAT(Warnings({"clusters.1={name: spare, endpoints: ['127.0.0.1:1']}"}),
              ElementsAre(StartsWith("clusters.spare is used by no route")));
  EXPECT_THAT(Warnings({"clusters.app.endpoints=['127.0.0.1:8080']"}),
              ElementsAre(HasSubstr("is the listener front of this process")));
  EXPECT_THAT(Warnings({"clusters.app.endpoints=['127.0.0.1:9901']"}),
              ElementsAre(HasSubstr("is admin.address")));
  const Config config = Load(
      "listeners: [{name: l, address: '127.0.0.1:1', routes: [\n"
      "{match: {prefix: /, methods: GET}, cluster: a}, {cluster: a}, {name: late, cluster: a}]}]\n"
      "clusters: [{name: a, endpoints: ['127.0.0.1:2']}]\n");
  EXPECT_THAT(
      CheckConfig(config),
      ElementsAre("listeners.l: route late is never reached: default/1 before it takes every "
                  "request; put it before that one, or remove it"));
}

}  // namespace
}  // namespace sluice
