#include "cli/admin_client.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <thread>

namespace sluice {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;
using Kind = AdminError::Kind;

// One connection's worth of admin: reads a request, answers what the test says, closes.
class OneShotServer {
 public:
  OneShotServer() : fd_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in name{};
    name.sin_family = AF_INET;
    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    Listen(reinterpret_cast<sockaddr*>(&name), sizeof name);
    socklen_t size = sizeof name;
    getsockname(fd_, reinterpret_cast<sockaddr*>(&name), &size);
    address_ = "127.0.0.1:" + std::to_string(ntohs(name.sin_port));
  }
  explicit OneShotServer(const std::string& path) : fd_(socket(AF_UNIX, SOCK_STREAM, 0)) {
    sockaddr_un name{};
    name.sun_family = AF_UNIX;
    path.copy(name.sun_path, sizeof name.sun_path - 1);
    Listen(reinterpret_cast<sockaddr*>(&name), sizeof name);
    address_ = "unix:" + path;
  }
  ~OneShotServer() {
    if (thread_.joinable()) thread_.join();
    close(fd_);
  }

  const std::string& address() const { return address_; }

  void Answer(std::string response) {
    thread_ = std::thread([this, response = std::move(response)] {
      const int peer = accept(fd_, nullptr, nullptr);
      char buffer[4096];
      while (request_.find("\r\n\r\n") == std::string::npos) {
        const ssize_t count = recv(peer, buffer, sizeof buffer, 0);
        if (count <= 0) break;
        request_.append(buffer, static_cast<size_t>(count));
      }
      // In two pieces, as a network may.
      const size_t half = response.size() / 2;
      send(peer, response.data(), half, MSG_NOSIGNAL);
      send(peer, response.data() + half, response.size() - half, MSG_NOSIGNAL);
      close(peer);
    });
  }
  const std::string& request() {
    if (thread_.joinable()) thread_.join();
    return request_;
  }

 private:
  void Listen(const sockaddr* name, socklen_t size) {
    EXPECT_EQ(bind(fd_, name, size), 0) << strerror(errno);
    EXPECT_EQ(listen(fd_, 1), 0);
  }

  int fd_;
  std::string address_;
  std::string request_;
  std::thread thread_;
};

constexpr char kOk[] = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello";

TEST(AdminClientTest, AsksAndReadsTheAnswer) {
  OneShotServer server;
  server.Answer(kOk);
  const auto response = CallAdmin(server.address(), "POST", "/drain?trigger=cli");
  ASSERT_TRUE(response.has_value()) << response.error().message;
  EXPECT_EQ(response->status, 200);
  EXPECT_EQ(response->body, "hello");
  EXPECT_THAT(server.request(), testing::StartsWith("POST /drain?trigger=cli HTTP/1.1\r\n"));
  EXPECT_THAT(server.request(), HasSubstr("\r\nHost: localhost\r\n"));
}

TEST(AdminClientTest, SpeaksToAUnixSocket) {
  const std::string path =
      std::filesystem::temp_directory_path() / ("sluice_admin_client." + std::to_string(getpid()));
  {
    OneShotServer server(path);
    server.Answer(kOk);
    const auto response = CallAdmin(server.address(), "GET", "/drain");
    ASSERT_TRUE(response.has_value()) << response.error().message;
    EXPECT_EQ(response->body, "hello");
  }
  std::filesystem::remove(path);
  const auto gone = CallAdmin("unix:" + path, "GET", "/drain");
  ASSERT_FALSE(gone.has_value());
  EXPECT_EQ(gone.error().kind, Kind::kNotThere);
}

TEST(AdminClientTest, NobodyThere) {
  std::string address;
  {
    OneShotServer closed;
    address = closed.address();
  }
  const auto response = CallAdmin(address, "GET", "/drain");
  ASSERT_FALSE(response.has_value());
  EXPECT_EQ(response.error().kind, Kind::kNotThere);
  EXPECT_EQ(response.error().message,
            "no admin at " + address +
                ": Connection refused; is sluice running? name its admin with --admin");
}

TEST(AdminClientTest, SilenceIsBounded) {
  OneShotServer silent;  // accepts into its backlog, never answers
  const auto response = CallAdmin(silent.address(), "GET", "/drain", milliseconds(20));
  ASSERT_FALSE(response.has_value());
  EXPECT_EQ(response.error().kind, Kind::kSilent);
  EXPECT_THAT(response.error().message, HasSubstr("does not answer"));
}

TEST(AdminClientTest, AnAnswerCutShortIsNoAnswer) {
  for (const char* bytes : {"", "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello"}) {
    OneShotServer server;
    server.Answer(bytes);
    const auto response = CallAdmin(server.address(), "GET", "/drain");
    ASSERT_FALSE(response.has_value());
    EXPECT_EQ(response.error().kind, Kind::kNotThere) << response.error().message;
  }
}

TEST(AdminClientTest, SomethingElseOnThatPort) {
  for (const char* bytes :
       {"SSH-2.0-OpenSSH_9.2\r\n", "HTTP/1.1 abc\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n"}) {
    OneShotServer server;
    server.Answer(bytes);
    const auto response = CallAdmin(server.address(), "GET", "/drain");
    ASSERT_FALSE(response.has_value()) << bytes;
    EXPECT_THAT(response.error().message, HasSubstr("does not answer like an admin")) << bytes;
  }
}

TEST(AdminClientTest, AddressesThatAreNone) {
  for (const std::string address : {"", "localhost", "127.0.0.1:", "unix:", "127.0.0.1:http1"}) {
    EXPECT_FALSE(CallAdmin(address, "GET", "/drain").has_value()) << address;
  }
  EXPECT_THAT(CallAdmin("unix:/" + std::string(200, 'x'), "GET", "/").error().message,
              HasSubstr("bytes"));
}

TEST(AdminClientTest, ErrorsAreReadFromTheDocument) {
  EXPECT_EQ(AdminErrorText({409, R"({"error": "no"})"}), "no");
  EXPECT_THAT(AdminErrorText({404, "no such endpoint"}), HasSubstr("404: no such endpoint"));
  EXPECT_THAT(AdminErrorText({500, R"({"error": 7})"}), HasSubstr("500"));
}

}  // namespace
}  // namespace sluice
