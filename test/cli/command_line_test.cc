#include "cli/command_line.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "lifecycle/exit_code.h"
#include "sluice/version.h"

namespace sluice {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class CommandLineTest : public testing::Test {
 protected:
  tl::expected<Command, int> Parse(std::vector<const char*> arguments) {
    arguments.insert(arguments.begin(), "sluice");
    return ParseCommandLine(static_cast<int>(arguments.size()), arguments.data(),
                            Terminal{out_, err_});
  }
  template <typename T>
  T Parsed(std::vector<const char*> arguments) {
    const auto command = Parse(std::move(arguments));
    EXPECT_TRUE(command.has_value()) << err_.str();
    return command ? std::get<T>(*command) : T();
  }
  std::string Refused(std::vector<const char*> arguments) {
    const auto command = Parse(std::move(arguments));
    EXPECT_EQ(command.has_value() ? kExitOk : command.error(), kExitUsage);
    EXPECT_EQ(out_.str(), "");
    return err_.str();
  }

  std::ostringstream out_, err_;
};

TEST_F(CommandLineTest, ServeWithoutAnything) {
  const auto serve = Parsed<ServeCommand>({"serve"});
  EXPECT_EQ(serve.config_file, "");
  EXPECT_EQ(serve.to, "");
  EXPECT_TRUE(serve.overrides.empty());
}

TEST_F(CommandLineTest, ServeWithEverything) {
  const auto serve = Parsed<ServeCommand>(
      {"serve", "--to", "http://127.0.0.1:3000", "--listen", "[::1]:80", "--admin=unix:/run/a.sock",
       "--workers", "4", "--set", "drain.deadline=1s", "--set", "log.level=debug"});
  EXPECT_EQ(serve.to, "http://127.0.0.1:3000");
  EXPECT_EQ(serve.listen, "[::1]:80");
  EXPECT_EQ(serve.admin, "unix:/run/a.sock");
  EXPECT_EQ(serve.workers, "4");
  EXPECT_THAT(serve.overrides, ElementsAre("drain.deadline=1s", "log.level=debug"));
}

TEST_F(CommandLineTest, OverridesKeepTheirBracketsAndCommas) {
  const auto serve = Parsed<ServeCommand>(
      {"serve", "--set", "clusters.0.endpoints=[127.0.0.1:1, 127.0.0.1:2]", "--set", "a.b=[c]"});
  EXPECT_THAT(serve.overrides,
              ElementsAre("clusters.0.endpoints=[127.0.0.1:1, 127.0.0.1:2]", "a.b=[c]"));
}

TEST_F(CommandLineTest, AFileAndAServiceExcludeEachOther) {
  EXPECT_THAT(Refused({"serve", "-c", "a.yaml", "--to", "http://127.0.0.1:1"}),
              HasSubstr("--config excludes --to"));
}

TEST_F(CommandLineTest, CheckNeedsAFile) {
  EXPECT_THAT(Refused({"check"}), HasSubstr("--config is required"));
  const auto check = Parsed<CheckCommand>({"check", "-c", "a.yaml", "--strict", "--set", "x=1"});
  EXPECT_EQ(check.config_file, "a.yaml");
  EXPECT_TRUE(check.strict);
  EXPECT_THAT(check.overrides, ElementsAre("x=1"));
}

TEST_F(CommandLineTest, DrainAndStatus) {
  EXPECT_EQ(Parsed<DrainCommand>({"drain"}).admin, "127.0.0.1:9901");
  EXPECT_TRUE(Parsed<DrainCommand>({"drain", "--wait"}).wait);
  EXPECT_TRUE(Parsed<DrainCommand>({"drain", "--undo"}).undo);
  EXPECT_EQ(Parsed<DrainCommand>({"drain", "--admin", "unix:/a"}).admin, "unix:/a");
  for (const std::string scope : {"listener", "route", "cluster", "endpoint"}) {
    const std::string option = "--" + scope;
    const auto drain = Parsed<DrainCommand>({"drain", option.c_str(), "x", "--undo"});
    EXPECT_EQ(drain.scope, scope);
    EXPECT_EQ(drain.name, "x");
    EXPECT_TRUE(drain.undo);
  }
  EXPECT_NE(Refused({"drain", "--listener", "a", "--route", "b"}), "");
  EXPECT_NE(Refused({"drain", "--route", "a", "--route", "b"}), "");
  EXPECT_TRUE(Parsed<StatusCommand>({"status", "--json"}).json);
  EXPECT_THAT(Refused({"drain", "--wait", "--undo"}), HasSubstr("excludes"));
}

TEST_F(CommandLineTest, MistakesAreNamed) {
  EXPECT_THAT(Refused({}), HasSubstr("a command is missing: serve"));
  EXPECT_THAT(Refused({"serv"}), HasSubstr("serv"));
  EXPECT_THAT(Refused({"serve", "--lissen", "x"}), HasSubstr("--lissen"));
  EXPECT_THAT(err_.str(), HasSubstr("try: sluice --help"));
}

TEST_F(CommandLineTest, HelpNamesCommandsAndExitCodes) {
  const auto help = Parse({"--help"});
  ASSERT_FALSE(help.has_value());
  EXPECT_EQ(help.error(), kExitOk);
  for (const char* word :
       {"serve", "check", "drain", "status", "--version", "Exit codes", "Ctrl-C"}) {
    EXPECT_THAT(out_.str(), HasSubstr(word));
  }
  EXPECT_EQ(err_.str(), "");
}

TEST_F(CommandLineTest, EachCommandHasHelp) {
  for (const char* command : {"serve", "check", "drain", "status"}) {
    out_.str("");
    const auto help = Parse({command, "--help"});
    ASSERT_FALSE(help.has_value());
    EXPECT_EQ(help.error(), kExitOk);
    EXPECT_THAT(out_.str(), HasSubstr(command));
  }
}

TEST_F(CommandLineTest, Version) {
  const auto version = Parse({"--version"});
  ASSERT_FALSE(version.has_value());
  EXPECT_EQ(version.error(), kExitOk);
  EXPECT_EQ(out_.str(), std::string("sluice ") + kVersion + " (" + kRevision + ")\n");
}

}  // namespace
}  // namespace sluice
