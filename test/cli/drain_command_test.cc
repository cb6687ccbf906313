#include "cli/drain_command.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "cli/scripted_admin.h"
#include "lifecycle/exit_code.h"

namespace sluice {
namespace {

using Kind = AdminError::Kind;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr char kLameDuck[] =
    R"({"phase":"lame_duck","in_flight":{"total":2,"by_protocol":{"http1":2}}})";
constexpr char kDraining[] =
    R"({"phase":"draining","in_flight":{"total":1,"by_protocol":{"http1":1}},"cut":{"total":0}})";
constexpr char kFlushing[] =
    R"({"phase":"flushing","in_flight":{"total":0,"by_protocol":{}},"cut":{"total":3}})";

class DrainCommandTest : public testing::Test {
 protected:
  int Run(const DrainCommand& command) {
    return RunDrain(
        command, admin_.Caller(), [this] { ++pauses_; }, Terminal{out_, err_});
  }

  ScriptedAdmin admin_;
  std::ostringstream out_, err_;
  int pauses_ = 0;
};

TEST_F(DrainCommandTest, BeginsAndReturns) {
  admin_.Answer(200, kLameDuck);
  EXPECT_EQ(Run({}), kExitOk);
  EXPECT_THAT(admin_.asked, ElementsAre("POST /drain?trigger=cli"));
  EXPECT_EQ(out_.str(), "lame_duck, 2 (http1 2) in flight\n");
}

TEST_F(DrainCommandTest, Undoes) {
  admin_.Answer(200, R"({"phase":"ready","in_flight":{"total":0}})");
  EXPECT_EQ(Run({.undo = true}), kExitOk);
  EXPECT_THAT(admin_.asked, ElementsAre("DELETE /drain"));
  EXPECT_THAT(out_.str(), HasSubstr("ready"));
}

TEST_F(DrainCommandTest, ARefusalIsPassedOn) {
  admin_.Answer(409, R"({"error": "nothing to undrain: the phase is ready"})");
  EXPECT_EQ(Run({.undo = true}), kExitFailure);
  EXPECT_EQ(err_.str(), "error: nothing to undrain: the phase is ready\n");
}

TEST_F(DrainCommandTest, WithoutAProcessItSaysSo) {
  admin_.Fail(Kind::kNotThere, "no admin at 127.0.0.1:9901: Connection refused");
  EXPECT_EQ(Run({.wait = true}), kExitFailure);
  EXPECT_THAT(err_.str(), HasSubstr("no admin at"));
}

TEST_F(DrainCommandTest, WaitsUntilTheProcessIsGone) {
  admin_.Answer(200, kLameDuck);
  admin_.Answer(200, kLameDuck);
  admin_.Answer(200, kLameDuck);
  admin_.Answer(200, kDraining);
  admin_.Fail(Kind::kNotThere, "gone");
  EXPECT_EQ(Run({.wait = true}), kExitOk);
  EXPECT_EQ(pauses_, 3);
  // One line for each change, not for each look.
  EXPECT_EQ(out_.str(),
            "lame_duck, 2 (http1 2) in flight\n"
            "draining, 1 (http1 1) in flight\n"
            "drained: the process is gone\n");
}

TEST_F(DrainCommandTest, WhatWasCutIsAnExitCode) {
  admin_.Answer(200, kLameDuck);
  admin_.Answer(200, kFlushing);
  admin_.Fail(Kind::kNotThere, "gone");
  EXPECT_EQ(Run({.wait = true}), kExitCut);
  EXPECT_THAT(out_.str(), HasSubstr("3 in flight were cut"));
}

TEST_F(DrainCommandTest, ADrainTakenBackEndsTheWait) {
  admin_.Answer(200, kLameDuck);
  admin_.Answer(200, R"({"phase":"ready","in_flight":{"total":0}})");
  EXPECT_EQ(Run({.wait = true}), kExitFailure);
  EXPECT_THAT(err_.str(), HasSubstr("taken back"));
}

TEST_F(DrainCommandTest, AProcessThatHangsEndsTheWait) {
  admin_.Answer(200, kLameDuck);
  admin_.Fail(Kind::kSilent, "it does not answer");
  admin_.Answer(200, kDraining);  // only busy
  for (int i = 0; i < 5; ++i) admin_.Fail(Kind::kSilent, "it does not answer");
  EXPECT_EQ(Run({.wait = true}), kExitFailure);
  EXPECT_EQ(admin_.asked.size(), 8u);
}

constexpr char kPartDraining[] =
    R"({"phase":"ready","parts":[{"listener":"in","state":"draining","in_flight":9},
        {"route":"a b","state":"draining","seconds":1.5,"in_flight":2,"cut":0}]})";
constexpr char kPartDrained[] =
    R"({"phase":"ready","parts":[{"route":"a b","state":"drained","in_flight":0,"cut":0}]})";

TEST_F(DrainCommandTest, APartIsNamedInTheQuery) {
  admin_.Answer(200, kPartDraining);
  EXPECT_EQ(Run({.scope = "route", .name = "a b"}), kExitOk);
  EXPECT_THAT(admin_.asked, ElementsAre("POST /drain?route=a%20b"));
  EXPECT_EQ(out_.str(), "route a b: draining, 2 in flight\n");
}

TEST_F(DrainCommandTest, APartServesAgain) {
  admin_.Answer(200, R"({"phase":"ready","parts":[]})");
  EXPECT_EQ(Run({.undo = true, .scope = "endpoint", .name = "[::1]:80"}), kExitOk);
  EXPECT_THAT(admin_.asked, ElementsAre("DELETE /drain?endpoint=[::1]:80"));
  EXPECT_EQ(out_.str(), "endpoint [::1]:80: serves again\n");
}

TEST_F(DrainCommandTest, WaitsUntilThePartIsDrained) {
  admin_.Answer(200, kPartDraining);
  admin_.Answer(200, kPartDraining);
  admin_.Fail(Kind::kSilent, "it does not answer");  // only busy
  admin_.Answer(200, kPartDrained);
  EXPECT_EQ(Run({.wait = true, .scope = "route", .name = "a b"}), kExitOk);
  EXPECT_EQ(pauses_, 3);
  EXPECT_EQ(out_.str(), "route a b: draining, 2 in flight\nroute a b: drained\n");
}

TEST_F(DrainCommandTest, WhatWasCutOfAPartIsAnExitCode) {
  admin_.Answer(200, R"({"phase":"ready","parts":[{"listener":"in","state":"drained","cut":4}]})");
  EXPECT_EQ(Run({.wait = true, .scope = "listener", .name = "in"}), kExitCut);
  EXPECT_EQ(out_.str(), "listener in: drained, 4 cut\n");
}

TEST_F(DrainCommandTest, TheWaitForAPartEndsWhenItIsTakenBackOrTheProcessIsGone) {
  admin_.Answer(200, kPartDraining);
  admin_.Answer(200, R"({"phase":"ready","parts":[]})");
  EXPECT_EQ(Run({.wait = true, .scope = "route", .name = "a b"}), kExitFailure);
  EXPECT_THAT(err_.str(), HasSubstr("taken back"));
  admin_.Answer(200, kPartDraining);
  admin_.Fail(Kind::kNotThere, "gone");
  EXPECT_EQ(Run({.wait = true, .scope = "route", .name = "a b"}), kExitFailure);
  EXPECT_THAT(err_.str(), HasSubstr("gone"));
}

TEST_F(DrainCommandTest, ARefusalForAPartIsPassedOn) {
  admin_.Answer(404, R"({"error": "there is no route \"x\""})");
  EXPECT_EQ(Run({.scope = "route", .name = "x"}), kExitFailure);
  EXPECT_EQ(err_.str(), "error: there is no route \"x\"\n");
}

}  // namespace
}  // namespace sluice
