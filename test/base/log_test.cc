#include "base/log.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <chrono>
#include <limits>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "base/temp_dir.h"

namespace sluice {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::MatchesRegex;
using testing::Not;

class LogTest : public testing::Test {
 protected:
  ~LogTest() override {
    LogOptions options;
    options.json = false;
    std::string error;
    ConfigureLog(options, &error);
  }

  void Configure(bool as_json, Level level = Level::kInfo) {
    LogOptions options;
    options.level = level;
    options.json = as_json;
    options.path = directory_ / "log";
    std::string error;
    ASSERT_TRUE(ConfigureLog(options, &error)) << error;
  }

  std::string Text() const { return directory_.Read("log"); }

  std::vector<json> Lines() const {
    std::vector<json> lines;
    std::istringstream text(Text());
    for (std::string line; std::getline(text, line);) lines.push_back(json::parse(line));
    return lines;
  }

  TempDir directory_;
};

TEST_F(LogTest, WritesOneJsonObjectPerLine) {
  Configure(true);
  LogEvent(Level::kInfo, "phase", {{"phase", "draining"}, {"in_flight", 12}});
  LogEvent(Level::kWarning, "bare");
  const std::vector<json> lines = Lines();
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[0]["level"], "info");
  EXPECT_EQ(lines[0]["event"], "phase");
  EXPECT_EQ(lines[0]["phase"], "draining");
  EXPECT_EQ(lines[0]["in_flight"], 12);
  EXPECT_THAT(lines[0]["time"].get<std::string>(),
              MatchesRegex("[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{3}Z"));
  EXPECT_EQ(lines[1]["level"], "warning");
  EXPECT_EQ(lines[1].size(), 3u);
}

TEST_F(LogTest, KeepsTheOrderOfFields) {
  Configure(true);
  LogEvent(Level::kInfo, "phase", {{"z", 1}, {"a", 2}});
  EXPECT_THAT(Text(), MatchesRegex("\\{\"time\":\"[^\"]*\",\"level\":\"info\",\"event\":\"phase\","
                                   "\"z\":1,\"a\":2\\}\n"));
}

TEST_F(LogTest, WritesEveryTypeOfValue) {
  Configure(true);
  const std::string owned = "owned";
  LogEvent(Level::kInfo, "types",
           {{"string", owned},
            {"view", std::string_view("view")},
            {"yes", true},
            {"no", false},
            {"negative", -5},
            {"large", int64_t{9007199254740993}},
            {"size", size_t{7}},
            {"fraction", 0.25},
            {"nan", std::numeric_limits<double>::quiet_NaN()},
            {"infinite", std::numeric_limits<double>::infinity()}});
  const json line = Lines().at(0);
  EXPECT_EQ(line["string"], "owned");
  EXPECT_EQ(line["view"], "view");
  EXPECT_EQ(line["yes"], true);
  EXPECT_EQ(line["no"], false);
  EXPECT_EQ(line["negative"], -5);
  EXPECT_EQ(line["large"], 9007199254740993);
  EXPECT_EQ(line["size"], 7);
  EXPECT_EQ(line["fraction"], 0.25);
  EXPECT_TRUE(line["nan"].is_null());
  EXPECT_TRUE(line["infinite"].is_null());
}

TEST_F(LogTest, HostileBytesStayInsideTheirString) {
  Configure(true);
  std::string hostile = "a\"},\n{\"event\":\"forged\"}\r\x1b[31m\\";
  hostile.push_back('\0');
  LogEvent(Level::kInfo, "hostile", {{"value", hostile}, {hostile, "key"}, {"bad", "\xff\xc0z"}});
  const std::vector<json> lines = Lines();
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0]["value"], hostile);
  EXPECT_EQ(lines[0][hostile], "key");
  EXPECT_EQ(lines[0]["bad"], "\xef\xbf\xbd\xef\xbf\xbdz");
  EXPECT_EQ(Text().find('\x1b'), std::string::npos);
}

TEST_F(LogTest, PercentSignsAndBracesAreText) {
  Configure(true);
  LogEvent(Level::kInfo, "format", {{"value", "%v {} {0} %s"}});
  EXPECT_EQ(Lines().at(0)["value"], "%v {} {0} %s");
}

TEST_F(LogTest, LeavesOutWhatIsBelowItsLevel) {
  Configure(true, Level::kWarning);
  LogEvent(Level::kDebug, "debug");
  LogEvent(Level::kInfo, "info");
  LogEvent(Level::kWarning, "warning");
  LogEvent(Level::kError, "error");
  LogJson(Level::kInfo, "json", "key", "{}");
  const std::vector<json> lines = Lines();
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[0]["event"], "warning");
  EXPECT_EQ(lines[1]["level"], "error");
  Configure(true, Level::kDebug);
  LogEvent(Level::kDebug, "debug");
  EXPECT_EQ(Lines().at(2)["level"], "debug");
}

TEST_F(LogTest, EmbedsJson) {
  Configure(true);
  LogJson(Level::kInfo, "drain_report", "report", "{\n  \"cut\": {\"http1\": 0}\r\n}");
  const std::vector<json> lines = Lines();
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0]["report"]["cut"]["http1"], 0);
}

TEST_F(LogTest, WritesText) {
  Configure(false);
  LogEvent(Level::kInfo, "phase",
           {{"phase", "draining"}, {"in_flight", 12}, {"why", "two words"}, {"empty", ""}});
  EXPECT_THAT(Text(), MatchesRegex("[-0-9]+T[:.0-9]+Z info    phase phase=draining in_flight=12 "
                                   "why=\"two words\" empty=\"\"\n"));
}

TEST_F(LogTest, TextQuotesWhatCouldBeMistaken) {
  Configure(false);
  LogEvent(Level::kError, "x", {{"a", "b=c"}, {"d", "e\nf"}, {"g", "\"h\""}, {"i", "\x1b[1m"}});
  EXPECT_THAT(Text(), HasSubstr(R"(x a="b=c" d="e\nf" g="\"h\"" i="\u001b[1m")"));
}

TEST_F(LogTest, HasNoColoursInAFile) {
  Configure(false);
  LogEvent(Level::kError, "x");
  EXPECT_THAT(Text(), Not(HasSubstr("\033")));
}

TEST_F(LogTest, ReopensAfterARotation) {
  Configure(true);
  LogEvent(Level::kInfo, "one");
  std::filesystem::rename(directory_ / "log", directory_ / "log.1");
  LogEvent(Level::kInfo, "two");
  ReopenLog();
  LogEvent(Level::kInfo, "three");
  EXPECT_THAT(directory_.Read("log.1"), HasSubstr("two"));
  ASSERT_EQ(Lines().size(), 1u);
  EXPECT_EQ(Lines()[0]["event"], "three");
}

TEST_F(LogTest, StaysAsItWasWhenItCannotBeConfigured) {
  Configure(true);
  LogOptions options;
  options.path = directory_ / "missing/log";
  std::string error;
  EXPECT_FALSE(ConfigureLog(options, &error));
  EXPECT_THAT(error, HasSubstr("missing/log"));
  LogEvent(Level::kInfo, "still");
  EXPECT_EQ(Lines().at(0)["event"], "still");
}

TEST_F(LogTest, CountsLinesThatAreLost) {
  LogOptions options;
  options.path = "/dev/full";
  std::string error;
  ASSERT_TRUE(ConfigureLog(options, &error)) << error;
  const uint64_t before = LogLinesLost();
  LogEvent(Level::kInfo, "lost");
  LogEvent(Level::kInfo, "lost");
  EXPECT_EQ(LogLinesLost() - before, 2u);
}

TEST_F(LogTest, AStuckReaderDoesNotStopTheProcess) {
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  const int saved = dup(STDERR_FILENO);
  const uint64_t before = LogLinesLost();
  dup2(ends[1], STDERR_FILENO);
  LogOptions options;
  std::string error;
  ConfigureLog(options, &error);
  const auto start = std::chrono::steady_clock::now();
  const std::string filler(1000, 'x');
  for (int i = 0; i < 1000; ++i) LogEvent(Level::kInfo, "stuck", {{"filler", filler}});
  const auto took = std::chrono::steady_clock::now() - start;
  dup2(saved, STDERR_FILENO);
  close(saved);
  close(ends[0]);
  close(ends[1]);
  EXPECT_GT(LogLinesLost() - before, 500u);
  EXPECT_LT(took, std::chrono::seconds(5)) << "every line waited, not only the first";
}

// Run under ThreadSanitizer by CI.
TEST_F(LogTest, LinesOfSeveralThreadsStayWhole) {
  Configure(true);
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([thread] {
      for (int i = 0; i < 200; ++i) {
        LogEvent(Level::kInfo, "line", {{"thread", thread}, {"i", i}});
        if (i % 50 == 0) ReopenLog();
      }
    });
  }
  for (int i = 0; i < 20; ++i) Configure(true);
  for (std::thread& thread : threads) thread.join();
  std::vector<int> next(4, 0);
  for (const json& line : Lines()) ASSERT_EQ(line["i"], next[line["thread"].get<size_t>()]++);
  EXPECT_EQ(next, std::vector<int>(4, 200));
}

class LogTerminalTest : public LogTest {
 protected:
  LogTerminalTest() {
    terminal_ = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (terminal_ >= 0 && (grantpt(terminal_) != 0 || unlockpt(terminal_) != 0)) {
      close(terminal_);
      terminal_ = -1;
    }
    unsetenv("NO_COLOR");
  }
  ~LogTerminalTest() override {
    if (terminal_ >= 0) close(terminal_);
    unsetenv("NO_COLOR");
  }

  // What appears on a terminal for one error.
  std::string Show() {
    LogOptions options;
    options.json = false;
    options.path = ptsname(terminal_);
    std::string error;
    EXPECT_TRUE(ConfigureLog(options, &error)) << error;
    LogEvent(Level::kError, "shown");
    std::string text;
    char byte;
    while (text.find('\n') == std::string::npos && read(terminal_, &byte, 1) == 1) text += byte;
    return text;
  }

  int terminal_;
};

TEST_F(LogTerminalTest, HasColoursOnATerminal) {
  if (terminal_ < 0) GTEST_SKIP() << "no pseudo-terminals here";
  EXPECT_THAT(Show(), HasSubstr("\033[31merror  \033[0m shown"));
}

TEST_F(LogTerminalTest, NoColorIsHonoured) {
  if (terminal_ < 0) GTEST_SKIP() << "no pseudo-terminals here";
  setenv("NO_COLOR", "1", 1);
  EXPECT_THAT(Show(), HasSubstr("Z error   shown"));
  setenv("NO_COLOR", "", 1);  // set but empty does not count
  EXPECT_THAT(Show(), HasSubstr("\033[31m"));
}

}  // namespace
}  // namespace sluice
