// A listener that refuses connections for a while, on real sockets.
#include "net/listener.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <string>
#include <vector>

#include "base/metrics.h"
#include "net/listen_socket.h"
#include "net/socket_address.h"

namespace sluice {
namespace {

constexpr uint32_t kBacklog = 64;

// Two workers' listeners on one address, on one loop.
class ListenerTest : public testing::TestWithParam<bool> {
 protected:
  ListenerTest() : path_("/tmp/sluice-listener-test-" + std::to_string(getpid())) {
    auto bound = BindListenSockets(IsUnix() ? "unix:" + path_ : "127.0.0.1:0", kBacklog, 2);
    address_ = bound.value().address;
    for (Fd& fd : bound->fds) Add(std::move(fd));
  }
  ~ListenerTest() override {
    listeners_.clear();
    accepted_.clear();
    RunTurn();
    unlink(path_.c_str());
  }

  static bool IsUnix() { return GetParam(); }

  void Add(Fd fd) {
    listeners_.push_back(std::make_unique<Listener>(
        loop_, std::move(fd),
        [this](std::unique_ptr<Transport> transport) { accepted_.push_back(std::move(transport)); },
        metrics_.AddShard().Counter("accept_errors", "test")));
    listeners_.back()->Resume();
  }

  // 0, or the errno of the attempt.
  int Connect() {
    SocketAddress to = SocketAddress::Parse(address_).value();
    Fd fd(socket(to.family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
    const int error = connect(fd.get(), to.data(), to.length()) == 0 ? 0 : errno;
    clients_.push_back(std::move(fd));
    return error;
  }
  void Shut() {
    loop_.Post([this] {
      for (const auto& listener : listeners_) listener->Shut();
      loop_.Stop();
    });
    loop_.Run();
  }
  // True when every listener listens again.
  bool Reopen() {
    std::vector<Fd> replacements(2);
    if (IsUnix()) replacements = std::move(BindListenSockets(address_, kBacklog, 2)->fds);
    bool all = true;
    for (size_t i = 0; i < 2; ++i) {
      all = listeners_[i]->Reopen(std::move(replacements[i]), kBacklog) && all;
    }
    return all;
  }
  // Whatever is ready now is accepted.
  void RunTurn() {
    for (int turn = 0; turn < 3; ++turn) {
      loop_.Post([this] { loop_.Stop(); });
      loop_.Run();
    }
  }

  UvLoop loop_{1};
  Metrics metrics_;
  const std::string path_;
  std::string address_;
  std::vector<std::unique_ptr<Listener>> listeners_;
  std::vector<std::unique_ptr<Transport>> accepted_;
  std::vector<Fd> clients_;
};

TEST_P(ListenerTest, WhatIsQueuedIsAcceptedBeforeConnectionsAreRefused) {
  for (int i = 0; i < 20; ++i) EXPECT_EQ(Connect(), 0);
  Shut();
  EXPECT_EQ(accepted_.size(), 20u);
  for (int i = 0; i < 20; ++i) EXPECT_EQ(Connect(), ECONNREFUSED);
  RunTurn();
  EXPECT_EQ(accepted_.size(), 20u);
  EXPECT_EQ(metrics_.Text().find("accept_errors 1"), std::string::npos);
}

TEST_P(ListenerTest, EveryWorkerListensAgain) {
  for (int round = 0; round < 3; ++round) {
    Shut();
    EXPECT_EQ(Connect(), ECONNREFUSED);
    ASSERT_TRUE(Reopen());
    accepted_.clear();
    for (int i = 0; i < 40; ++i) EXPECT_EQ(Connect(), 0);
    // One of them alone has accepted some, not all, of what the kernel spread over both.
    listeners_[1]->Pause();
    while (accepted_.empty()) RunTurn();
    const size_t first = accepted_.size();
    listeners_[1]->Resume();
    while (accepted_.size() < 40) RunTurn();
    EXPECT_GT(first, 0u);
    EXPECT_EQ(accepted_.size(), 40u);
    clients_.clear();
  }
}

TEST_P(ListenerTest, NobodyElseGetsTheAddress) {
  if (IsUnix()) GTEST_SKIP() << "a socket file can be replaced by whoever may write there";
  Shut();
  SocketAddress to = SocketAddress::Parse(address_).value();
  const Fd thief(socket(to.family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int on = 1;
  setsockopt(thief.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  EXPECT_NE(bind(thief.get(), to.data(), to.length()), 0);
  EXPECT_FALSE(BindListenSockets(address_, kBacklog, 1));
  EXPECT_TRUE(Reopen());
}

TEST_P(ListenerTest, OneThatWasShutCanStop) {
  Shut();
  for (const auto& listener : listeners_) listener->Pause();
  for (const auto& listener : listeners_) listener->Resume();
  RunTurn();
  for (const auto& listener : listeners_) listener->Stop();
  EXPECT_EQ(Connect(), ECONNREFUSED);
}

std::string Name(const testing::TestParamInfo<bool>& info) { return info.param ? "unix" : "tcp"; }

INSTANTIATE_TEST_SUITE_P(Sockets, ListenerTest, testing::Bool(), Name);

}  // namespace
}  // namespace sluice
