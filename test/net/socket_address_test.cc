#include "net/socket_address.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

TEST(SocketAddressTest, RoundTripsWhatPeopleWrite) {
  for (const char* text : {"127.0.0.1:8080", "0.0.0.0:0", "[::1]:443", "[2001:db8::7]:65535",
                           "unix:/run/sluice.sock"}) {
    const auto address = SocketAddress::Parse(text);
    ASSERT_TRUE(address) << text << ": " << address.error().message;
    EXPECT_EQ(address->ToString(), text);
  }
}

TEST(SocketAddressTest, LocalhostIsTheLoopback) {
  EXPECT_EQ(SocketAddress::Parse("localhost:80")->ToString(), "127.0.0.1:80");
}

TEST(SocketAddressTest, RefusesWhatIsNoAddressAndNamesIt) {
  for (const char* text :
       {"", "8080", ":80", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1",
        "127.0.0.1:80 ", "example.com:80", "[::1]", "::1:80", "[127.0.0.1]:80", "unix:"}) {
    const auto address = SocketAddress::Parse(text);
    EXPECT_FALSE(address) << text << " was taken as " << address->ToString();
  }
  EXPECT_NE(SocketAddress::Parse("example.com:80").error().message.find("example.com:80"),
            std::string::npos);
}

TEST(SocketAddressTest, RefusesAUnixPathThatTheKernelWouldCut) {
  EXPECT_TRUE(SocketAddress::Parse("unix:" + std::string(107, 'x')));
  EXPECT_FALSE(SocketAddress::Parse("unix:" + std::string(108, 'x')));
}

}  // namespace
}  // namespace sluice
