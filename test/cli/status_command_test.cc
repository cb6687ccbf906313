#include "cli/status_command.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "cli/scripted_admin.h"
#include "lifecycle/drain_report.h"
#include "lifecycle/exit_code.h"

namespace sluice {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HasSubstr;
using testing::Not;

// Made by the other side of the conversation, so that the two cannot drift apart.
DrainReport Ready() {
  DrainReport report;
  report.phase = Phase::kReady;
  report.phase_age = std::chrono::minutes(200);
  report.progress.in_flight[static_cast<size_t>(Protocol::kHttp1)] = 2;
  report.progress.in_flight[static_cast<size_t>(Protocol::kTunnel)] = 1;
  report.progress.connections = 40;
  return report;
}

DrainReport Draining() {
  DrainReport report = Ready();
  report.phase = Phase::kDraining;
  report.phase_age = milliseconds(3200);
  report.trigger = DrainTrigger::kSigterm;
  report.duration = milliseconds(8400);
  report.in_flight_at_start[0] = 12;
  report.progress.finished = 9;
  Straggler& straggler = report.progress.stragglers.emplace_back();
  straggler.route = "default/0";
  straggler.peer = "192.0.2.7:555";
  straggler.age = milliseconds(7100);
  straggler.waiting_for = "upstream response";
  return report;
}

TEST(StatusTextTest, Ready) {
  EXPECT_EQ(StatusText(DrainReportJson(Ready()), false),
            "phase        ready, for 3h20m\n"
            "in flight    3 (http1 2, tunnel 1)\n"
            "connections  40\n");
}

TEST(StatusTextTest, Draining) {
  EXPECT_EQ(StatusText(DrainReportJson(Draining()), false),
            "phase        draining, for 3.2s\n"
            "in flight    3 (http1 2, tunnel 1)\n"
            "connections  40\n"
            "drain        begun by sigterm, 8.4s ago\n"
            "at start     12 in flight\n"
            "finished     9\n"
            "cut          0\n"
            "slowest      default/0 from 192.0.2.7:555, 7.1s, waiting for upstream response\n");
}

TEST(StatusTextTest, PartsThatAreDrained) {
  DrainReport report = Ready();
  PartReport drained{PartState::kDrained, std::chrono::minutes(3), {}};
  drained.progress.part = {PartKind::kEndpoint, "10.0.0.7:80"};
  drained.progress.cut[0] = 2;
  PartReport absent{PartState::kDrained, std::chrono::minutes(3), {}, true};
  absent.progress.part = {PartKind::kEndpoint, "10.0.0.8:80"};
  PartReport draining{PartState::kDraining, milliseconds(2100), {}};
  draining.progress.part = {PartKind::kListener, "in"};
  draining.progress.in_flight = 4;
  draining.progress.connections = 7;
  report.parts = {drained, absent, draining};
  EXPECT_THAT(StatusText(DrainReportJson(report), false),
              HasSubstr("part         endpoint 10.0.0.7:80: drained for 3m00s, 2 cut\n"
                        "part         endpoint 10.0.0.8:80: drained for 3m00s, not in DNS now\n"
                        "part         listener in: draining for 2.1s, 4 in flight, 7 "
                        "connections\n"));
}

TEST(StatusTextTest, ColoursOnlyWhenWanted) {
  const std::string document = DrainReportJson(Draining());
  EXPECT_THAT(StatusText(document, true), HasSubstr("\033["));
  EXPECT_THAT(StatusText(document, false), Not(HasSubstr("\033[")));
}

TEST(StatusTextTest, OldNumbersAreMarked) {
  DrainReport report = Ready();
  report.stale = true;
  EXPECT_THAT(StatusText(DrainReportJson(report), false), HasSubstr("may be old"));
}

TEST(StatusTextTest, ADocumentOfAnotherShapeDoesNotBreakIt) {
  for (const char* document :
       {"", "[]", "null", "{", R"({"phase":7,"in_flight":[],"trigger":"x","cut":3})",
        R"({"in_flight":{"total":"many","by_protocol":[1]},"trigger":"x","stragglers":[7]})",
        R"({"parts":[7,{"route":7},{}]})", R"({"parts":{"route":"a"}})"}) {
    EXPECT_THAT(StatusText(document, false), HasSubstr("phase")) << document;
    EXPECT_THAT(StatusLine(document), HasSubstr("in flight")) << document;
    EXPECT_EQ(CutCount(document), 0u) << document;
  }
}

TEST(StatusTextTest, LineHasWhatWasCut) {
  DrainReport report = Draining();
  EXPECT_EQ(StatusLine(DrainReportJson(report)), "draining, 3 (http1 2, tunnel 1) in flight");
  report.cut[0][0] = 2;
  EXPECT_THAT(StatusLine(DrainReportJson(report)), HasSubstr(", 2 cut"));
  EXPECT_EQ(CutCount(DrainReportJson(report)), 2u);
}

TEST(HumanDurationTest, AsMuchAsIsWorthReading) {
  EXPECT_EQ(HumanDuration(0), "0ms");
  EXPECT_EQ(HumanDuration(0.85), "850ms");
  EXPECT_EQ(HumanDuration(0.9999), "1.0s");
  EXPECT_EQ(HumanDuration(4.24), "4.2s");
  EXPECT_EQ(HumanDuration(59.97), "1m00s");
  EXPECT_EQ(HumanDuration(200), "3m20s");
  EXPECT_EQ(HumanDuration(7500), "2h05m");
  EXPECT_EQ(HumanDuration(1047600), "12d3h");
}

class StatusCommandTest : public testing::Test {
 protected:
  int Run(const StatusCommand& command) {
    return RunStatus(command, admin_.Caller(), Terminal{out_, err_});
  }
  ScriptedAdmin admin_;
  std::ostringstream out_, err_;
};

TEST_F(StatusCommandTest, PrintsTheTextOrTheDocument) {
  const std::string document = DrainReportJson(Ready());
  admin_.Answer(200, document);
  EXPECT_EQ(Run({}), kExitOk);
  EXPECT_EQ(out_.str(), StatusText(document, false));
  out_.str("");
  admin_.Answer(200, document);
  EXPECT_EQ(Run({.json = true}), kExitOk);
  EXPECT_EQ(out_.str(), document);
  EXPECT_THAT(admin_.asked, testing::Each("GET /drain"));
}

TEST_F(StatusCommandTest, SaysWhenNobodyIsThere) {
  admin_.Fail(AdminError::Kind::kNotThere, "no admin at 127.0.0.1:9901");
  EXPECT_EQ(Run({}), kExitFailure);
  EXPECT_EQ(err_.str(), "error: no admin at 127.0.0.1:9901\n");
  EXPECT_EQ(out_.str(), "");
}

}  // namespace
}  // namespace sluice
