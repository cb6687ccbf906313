#include "lifecycle/signals.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <uv.h>

#include <csignal>
#include <vector>

namespace sluice {
namespace {

using testing::ElementsAre;

class SignalsTest : public testing::Test {
 protected:
  SignalsTest() {
    uv_loop_init(&loop_);
    // A loop without anything alive does not even look at its signals.
    uv_async_init(&loop_, &alive_, nullptr);
    auto installed = Signals::Install(
        &loop_, {.stop = [this](DrainTrigger trigger) { stops_.push_back(trigger); },
                 .reopen_logs = [this] { ++reopened_; },
                 .restart = [this] { ++restarts_; },
                 .reload = [this] { ++reloads_; }});
    EXPECT_TRUE(installed.has_value());
    signals_ = std::move(*installed);
  }
  ~SignalsTest() override {
    signals_.reset();
    uv_close(reinterpret_cast<uv_handle_t*>(&alive_), nullptr);
    uv_run(&loop_, UV_RUN_DEFAULT);
    EXPECT_EQ(uv_loop_close(&loop_), 0);
    std::signal(SIGPIPE, SIG_DFL);
  }

  // What was raised is in libuv's pipe already: one turn without waiting delivers it.
  void Turn() { uv_run(&loop_, UV_RUN_NOWAIT); }

  uv_loop_t loop_;
  uv_async_t alive_;
  std::unique_ptr<Signals> signals_;
  std::vector<DrainTrigger> stops_;
  int reopened_ = 0;
  int restarts_ = 0;
  int reloads_ = 0;
};

TEST_F(SignalsTest, EachSignalHasItsMeaning) {
  std::raise(SIGTERM);
  std::raise(SIGINT);
  std::raise(SIGUSR1);
  std::raise(SIGUSR2);
  Turn();
  EXPECT_THAT(stops_, ElementsAre(DrainTrigger::kSigterm, DrainTrigger::kSigint));
  EXPECT_EQ(reopened_, 1);
  EXPECT_EQ(restarts_, 1);
}

TEST_F(SignalsTest, TheSecondOfTwoIsNotLost) {
  std::raise(SIGTERM);
  std::raise(SIGTERM);
  Turn();
  EXPECT_THAT(stops_, ElementsAre(DrainTrigger::kSigterm, DrainTrigger::kSigterm));
}

TEST_F(SignalsTest, AHundredAreAHundred) {
  for (int i = 0; i < 100; ++i) std::raise(SIGTERM);
  Turn();
  EXPECT_EQ(stops_.size(), 100u);
}

TEST_F(SignalsTest, HangUpAsksForAReloadAndABrokenPipeForNothing) {
  std::raise(SIGHUP);
  std::raise(SIGPIPE);
  Turn();
  EXPECT_EQ(reloads_, 1);
  EXPECT_TRUE(stops_.empty());
  EXPECT_EQ(reopened_, 0);
}

TEST_F(SignalsTest, TheWatchDoesNotKeepTheLoopAlive) {
  EXPECT_TRUE(uv_loop_alive(&loop_));
  uv_unref(reinterpret_cast<uv_handle_t*>(&alive_));
  EXPECT_FALSE(uv_loop_alive(&loop_));
}

}  // namespace
}  // namespace sluice
