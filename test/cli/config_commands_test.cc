// `check` and the configuration that `serve` makes of its arguments.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "cli/check_command.h"
#include "cli/serve_command.h"
#include "lifecycle/exit_code.h"

namespace sluice {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;

constexpr char kGood[] = R"(listeners:
  - address: 127.0.0.1:8080
    cluster: app
clusters:
  - name: app
    endpoints: [127.0.0.1:3000]
)";

class ConfigCommandsTest : public testing::Test {
 protected:
  ~ConfigCommandsTest() override { std::filesystem::remove(path_); }

  std::string Write(const std::string& text) {
    std::ofstream(path_) << text;
    return path_;
  }
  Terminal terminal() { return Terminal{out_, err_}; }

  Result<ServeOptions> Options(const ServeCommand& command) {
    return MakeServeOptions(command, terminal());
  }

  const std::string path_ = std::filesystem::temp_directory_path() /
                            ("sluice_cli_test." + std::to_string(getpid()) + ".yaml");
  std::ostringstream out_, err_;
};

TEST_F(ConfigCommandsTest, CheckSaysWhatIsThere) {
  CheckCommand check;
  check.config_file = Write(kGood);
  EXPECT_EQ(RunCheck(check, terminal()), kExitOk) << err_.str();
  EXPECT_EQ(out_.str(), "ok: " + path_ + ": 1 listener, 1 route, 1 cluster\n");
}

TEST_F(ConfigCommandsTest, CheckRefusesWithThePlace) {
  CheckCommand check;
  check.config_file = Write("listeners:\n  - adress: 127.0.0.1:8080\n");
  EXPECT_EQ(RunCheck(check, terminal()), kExitUsage);
  EXPECT_THAT(err_.str(), HasSubstr("error: " + path_ + ":2:"));
  EXPECT_THAT(err_.str(), HasSubstr("address"));
  EXPECT_EQ(out_.str(), "");
}

TEST_F(ConfigCommandsTest, CheckWithoutTheFile) {
  CheckCommand check;
  check.config_file = "/nonexistent/sluice.yaml";
  EXPECT_EQ(RunCheck(check, terminal()), kExitUsage);
  EXPECT_THAT(err_.str(), HasSubstr("/nonexistent/sluice.yaml"));
}

TEST_F(ConfigCommandsTest, WarningsFailOnlyWhenStrict) {
  CheckCommand check;
  check.config_file = Write(kGood);
  check.overrides = {"drain.deadline=5m"};  // longer than the grace period
  EXPECT_EQ(RunCheck(check, terminal()), kExitOk);
  EXPECT_THAT(err_.str(), HasSubstr("warning: "));
  EXPECT_THAT(out_.str(), HasSubstr("warning"));
  check.strict = true;
  out_.str("");
  EXPECT_EQ(RunCheck(check, terminal()), kExitUsage);
  EXPECT_EQ(out_.str(), "");
}

TEST_F(ConfigCommandsTest, ServeWithoutAnythingHasAnOriginOfItsOwn) {
  const auto options = Options({});
  ASSERT_TRUE(options.has_value()) << options.error().message;
  const Config& config = options->config;
  ASSERT_EQ(config.listeners.size(), 1u);
  EXPECT_EQ(config.listeners[0].address, "127.0.0.1:8080");
  EXPECT_EQ(config.admin.address, "127.0.0.1:9901");
  ASSERT_EQ(config.clusters.size(), 1u);
  EXPECT_EQ(options->embedded_origin_for, config.clusters[0].name);
  EXPECT_EQ(config.log.format, LogFormat::kJson);
}

TEST_F(ConfigCommandsTest, ServeInFrontOfAService) {
  ServeCommand serve;
  serve.to = "http://[::1]:3000";
  serve.listen = "[::1]:8081";
  serve.admin = "unix:/tmp/it's.sock";
  serve.workers = "3";
  const auto options = Options(serve);
  ASSERT_TRUE(options.has_value()) << options.error().message;
  EXPECT_EQ(options->embedded_origin_for, "");
  EXPECT_EQ(options->config.clusters[0].endpoints[0].address, "[::1]:3000");
  EXPECT_EQ(options->config.listeners[0].address, "[::1]:8081");
  EXPECT_EQ(options->config.admin.address, "unix:/tmp/it's.sock");
  EXPECT_EQ(options->config.workers, 3u);
}

TEST_F(ConfigCommandsTest, TheAdminCanBeTurnedOff) {
  ServeCommand serve;
  serve.admin = "off";
  const auto options = Options(serve);
  ASSERT_TRUE(options.has_value()) << options.error().message;
  EXPECT_EQ(options->config.admin.address, "");
}

TEST_F(ConfigCommandsTest, OptionsOverrideTheFileAndSetOverridesBoth) {
  ServeCommand serve;
  serve.config_file = Write(std::string(kGood) + "admin: 127.0.0.1:7001\nworkers: 8\n");
  auto options = Options(serve);
  ASSERT_TRUE(options.has_value()) << options.error().message;
  EXPECT_EQ(options->config.admin.address, "127.0.0.1:7001");
  EXPECT_EQ(options->embedded_origin_for, "");

  serve.listen = "127.0.0.1:0";
  serve.admin = "127.0.0.1:7002";
  serve.workers = "2";
  serve.overrides = {"workers=1", "drain.propagation_delay=0s", "access_log=off"};
  options = Options(serve);
  ASSERT_TRUE(options.has_value()) << options.error().message;
  EXPECT_EQ(options->config.listeners[0].address, "127.0.0.1:0");
  EXPECT_EQ(options->config.admin.address, "127.0.0.1:7002");
  EXPECT_EQ(options->config.workers, 1u);
  EXPECT_EQ(options->config.drain.propagation_delay, seconds(0));
  EXPECT_FALSE(options->config.access_log.enabled);
}

TEST_F(ConfigCommandsTest, APersonIsSpokenToInText) {
  Terminal screen = terminal();
  screen.interactive = true;
  EXPECT_EQ(MakeServeOptions({}, screen)->config.log.format, LogFormat::kText);
  ServeCommand serve;
  serve.overrides = {"log.format=json"};
  EXPECT_EQ(MakeServeOptions(serve, screen)->config.log.format, LogFormat::kJson);
  serve.config_file = Write(kGood);
  serve.overrides.clear();
  EXPECT_EQ(MakeServeOptions(serve, screen)->config.log.format, LogFormat::kJson);
}

TEST_F(ConfigCommandsTest, ServeRefusesWhatIsWrong) {
  ServeCommand serve;
  serve.to = "https://127.0.0.1:1";
  EXPECT_EQ(RunServe(serve, terminal()), kExitUsage);
  EXPECT_THAT(err_.str(), HasSubstr("error: --to https://127.0.0.1:1: TLS"));
  err_.str("");
  serve = {};
  serve.overrides = {"drain.dedline=1s"};
  EXPECT_EQ(RunServe(serve, terminal()), kExitUsage);
  EXPECT_THAT(err_.str(), HasSubstr("deadline"));
  err_.str("");
  serve = {};
  serve.listen = "nowhere";
  EXPECT_EQ(RunServe(serve, terminal()), kExitUsage);
  EXPECT_THAT(err_.str(), HasSubstr("nowhere"));
}

}  // namespace
}  // namespace sluice
