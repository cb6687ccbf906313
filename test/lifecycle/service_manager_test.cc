#include "lifecycle/service_manager.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <string>

namespace sluice {
namespace {

class ServiceManagerTest : public ::testing::Test {
 protected:
  ~ServiceManagerTest() override {
    for (const char* name : {"NOTIFY_SOCKET", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"}) {
      unsetenv(name);
    }
  }

  static Fd Bind(const std::string& path) {
    Fd fd(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), path.size());
    if (path[0] == '@') address.sun_path[0] = '\0';
    const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size());
    EXPECT_EQ(bind(fd.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
    return fd;
  }

  static std::string Received(const Fd& fd) {
    std::array<char, 100> buffer;
    const ssize_t size = recv(fd.get(), buffer.data(), buffer.size(), 0);
    return size < 0 ? "nothing" : std::string(buffer.data(), static_cast<size_t>(size));
  }
};

TEST_F(ServiceManagerTest, NotifiesAtAPathAndInTheAbstractNamespace) {
  const std::string unique = std::to_string(getpid());
  for (const std::string& path : {"/tmp/sluice-notify-" + unique, "@sluice-notify-" + unique}) {
    const Fd manager = Bind(path);
    setenv("NOTIFY_SOCKET", path.c_str(), 1);
    NotifyServiceManager("READY=1");
    EXPECT_EQ(Received(manager), "READY=1") << path;
    unlink(path.c_str());
  }
}

TEST_F(ServiceManagerTest, WithoutAManagerNothingHappens) {
  NotifyServiceManager("READY=1");
  for (const std::string& path : {std::string("/nobody/there"), std::string("vsock:2:3"),
                                  "/" + std::string(200, 'x'), std::string()}) {
    setenv("NOTIFY_SOCKET", path.c_str(), 1);
    NotifyServiceManager("READY=1");
  }
}

TEST_F(ServiceManagerTest, SocketsForAnotherProcessAreNotTaken) {
  setenv("LISTEN_PID", "1", 1);
  setenv("LISTEN_FDS", "2", 1);
  EXPECT_TRUE(TakeActivatedSockets().empty());
  EXPECT_EQ(std::getenv("LISTEN_FDS"), nullptr) << "they are nobody else's";
}

TEST_F(ServiceManagerTest, NonsenseIsNoSockets) {
  setenv("LISTEN_PID", std::to_string(getpid()).c_str(), 1);
  for (const char* count : {"", "-1", "two", "3x"}) {
    setenv("LISTEN_FDS", count, 1);
    EXPECT_TRUE(TakeActivatedSockets().empty()) << count;
    setenv("LISTEN_PID", std::to_string(getpid()).c_str(), 1);
  }
}

}  // namespace
}  // namespace sluice
