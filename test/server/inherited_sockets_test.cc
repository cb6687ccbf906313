#include "server/inherited_sockets.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "net/listen_socket.h"

namespace sluice {
namespace {

using Kind = HandOverSocket::Kind;

struct Bound {
  Fd fd;
  std::string address;
};

Bound Listen(const std::string& address = "127.0.0.1:0") {
  auto sockets = BindListenSockets(address, 16, 1);
  EXPECT_TRUE(sockets.has_value()) << sockets.error().message;
  return {std::move(sockets->fds.front()), sockets->address};
}

std::vector<Fd> One(Fd fd) {
  std::vector<Fd> fds;
  fds.push_back(std::move(fd));
  return fds;
}

class InheritedSocketsTest : public ::testing::Test {
 protected:
  // From the process before; returns where it is bound.
  std::string Add(Kind kind, const std::string& name, const std::string& configured) {
    Bound bound = Listen(configured);
    sockets_.Add({{kind, name, configured, "what the other process says is not believed"}},
                 One(std::move(bound.fd)));
    return bound.address;
  }

  InheritedSockets sockets_;
};

TEST_F(InheritedSocketsTest, AreFoundByTheAddressTheyAreBoundTo) {
  const std::string address = Add(Kind::kListener, "old name", "127.0.0.1:0");
  EXPECT_TRUE(sockets_.Take(Kind::kListener, "new name", "127.0.0.1:1").empty());
  EXPECT_EQ(sockets_.Take(Kind::kListener, "new name", address).size(), 1u);
  EXPECT_TRUE(sockets_.Take(Kind::kListener, "new name", address).empty()) << "taken once";
}

TEST_F(InheritedSocketsTest, OnPortZeroTheNameTellsThemApart) {
  const std::string a = Add(Kind::kListener, "a", "127.0.0.1:0");
  const std::string b = Add(Kind::kListener, "b", "127.0.0.1:0");
  const auto taken = sockets_.Take(Kind::kListener, "b", "127.0.0.1:0");
  ASSERT_EQ(taken.size(), 1u);
  EXPECT_EQ(*BoundAddress(taken.front().get()), b);
  EXPECT_TRUE(sockets_.Take(Kind::kListener, "c", "127.0.0.1:0").empty()) << "another port";
}

TEST_F(InheritedSocketsTest, TheAdminsIsNoListeners) {
  const std::string address = Add(Kind::kAdmin, "admin", "127.0.0.1:0");
  EXPECT_TRUE(sockets_.Take(Kind::kListener, "admin", address).empty());
  EXPECT_EQ(sockets_.Take(Kind::kAdmin, "admin", address).size(), 1u);
}

TEST_F(InheritedSocketsTest, ADescriptorThatIsNoSocketIsLeftOut) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const Fd writer(ends[1]);
  sockets_.Add({{Kind::kListener, "web", "127.0.0.1:0", ""}}, One(Fd(ends[0])));
  EXPECT_TRUE(sockets_.Take(Kind::kListener, "web", "127.0.0.1:0").empty());
}

TEST_F(InheritedSocketsTest, ActivatedOnesAreFoundByNameOrByAddress) {
  Bound named = Listen();
  Bound unnamed = Listen();
  std::vector<ActivatedSocket> activated;
  activated.push_back({"web", std::move(named.fd)});
  activated.push_back({"", std::move(unnamed.fd)});
  sockets_.Add(std::move(activated));
  EXPECT_EQ(sockets_.Take(Kind::kListener, "web", "0.0.0.0:80").size(), 1u);
  EXPECT_TRUE(sockets_.Take(Kind::kListener, "", "0.0.0.0:80").empty());
  EXPECT_EQ(sockets_.Take(Kind::kListener, "other", unnamed.address).size(), 1u);
}

TEST_F(InheritedSocketsTest, WhatNobodyTakesIsClosedAndItsFileRemoved) {
  const std::string path = "/tmp/sluice-inherited-" + std::to_string(getpid());
  const std::string address = Add(Kind::kListener, "web", "127.0.0.1:0");
  Add(Kind::kListener, "local", "unix:" + path);
  EXPECT_EQ(access(path.c_str(), F_OK), 0);
  sockets_.CloseRest();
  EXPECT_NE(access(path.c_str(), F_OK), 0);
  EXPECT_TRUE(BindListenSockets(address, 16, 1).has_value()) << "the port is free";
}

// ---- who gets which

TEST(AdoptListenSocketsTest, EachHasAnOwnerWhateverTheNumberOfWorkers) {
  for (const size_t had : {1u, 2u, 5u}) {
    for (const size_t have : {1u, 2u, 5u}) {
      auto bound = BindListenSockets("127.0.0.1:0", 16, had);
      ASSERT_TRUE(bound.has_value());
      const std::string address = bound->address;
      const auto shared = AdoptListenSockets(std::move(bound->fds), address, 16, have);
      ASSERT_TRUE(shared.has_value()) << shared.error().message;
      EXPECT_EQ(shared->address, address);
      ASSERT_EQ(shared->by_worker.size(), have);
      size_t sockets = 0;
      for (const auto& of_worker : shared->by_worker) {
        EXPECT_FALSE(of_worker.empty());
        sockets += of_worker.size();
      }
      EXPECT_EQ(sockets, std::max(had, have)) << had << " to " << have;
    }
  }
}

TEST(AdoptListenSocketsTest, AUnixSocketIsSharedByAll) {
  const std::string path = "/tmp/sluice-adopted-" + std::to_string(getpid());
  auto bound = BindListenSockets("unix:" + path, 16, 3);
  ASSERT_TRUE(bound.has_value());
  const auto shared = AdoptListenSockets(std::move(bound->fds), "unix:" + path, 16, 2);
  ASSERT_TRUE(shared.has_value()) << shared.error().message;
  EXPECT_EQ(shared->by_worker[0].size(), 1u);
  EXPECT_EQ(shared->by_worker[1].size(), 1u);
  unlink(path.c_str());
}

TEST(AdoptListenSocketsTest, SocketsOfTwoAddressesAreRefused) {
  std::vector<Fd> fds;
  fds.push_back(Listen().fd);
  fds.push_back(Listen().fd);
  EXPECT_FALSE(AdoptListenSockets(std::move(fds), "127.0.0.1:0", 16, 2).has_value());
}

}  // namespace
}  // namespace sluice
