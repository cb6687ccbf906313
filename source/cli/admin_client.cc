#include "cli/admin_client.h"

#include <netdb.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

namespace sluice {
namespace {

using Kind = AdminError::Kind;
using std::chrono::milliseconds;

constexpr size_t kMaxResponse = 64 * 1024 * 1024;

tl::unexpected<AdminError> FailCall(Kind kind, std::string message) {
  return tl::unexpected(AdminError{kind, std::move(message)});
}

class Socket {
 public:
  explicit Socket(int fd) : fd_(fd) {}
  Socket(Socket&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Socket& operator=(Socket&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Socket() {
    if (fd_ >= 0) close(fd_);
  }
  int fd() const { return fd_; }

 private:
  int fd_;
};

tl::unexpected<AdminError> FailErrno(const std::string& address, int error) {
  const std::string what = "no admin at " + address + ": ";
  // A socket with a timeout says EAGAIN, and EINPROGRESS from connect.
  if (error == EAGAIN || error == EINPROGRESS || error == ETIMEDOUT) {
    return FailCall(Kind::kSilent, what + "it does not answer");
  }
  const bool gone = error == ECONNREFUSED || error == ENOENT || error == ECONNRESET ||
                    error == EPIPE || error == ENOTCONN;
  const std::string hint = gone ? "; is sluice running? name its admin with --admin" : "";
  return FailCall(gone ? Kind::kNotThere : Kind::kOther, what + std::strerror(error) + hint);
}

tl::expected<Socket, AdminError> Connect(const std::string& address, const addrinfo& to,
                                         milliseconds patience) {
  Socket socket(::socket(to.ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (socket.fd() < 0) return FailErrno(address, errno);
  timeval limit{};
  limit.tv_sec = patience.count() / 1000;
  limit.tv_usec = (patience.count() % 1000) * 1000;
  setsockopt(socket.fd(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  setsockopt(socket.fd(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  if (connect(socket.fd(), to.ai_addr, to.ai_addrlen) != 0) return FailErrno(address, errno);
  return socket;
}

tl::expected<Socket, AdminError> ConnectUnix(const std::string& address, milliseconds patience) {
  const std::string path = address.substr(std::strlen("unix:"));
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof name.sun_path) {
    return FailCall(Kind::kOther, address + ": the path of a Unix socket has 1 to " +
                                      std::to_string(sizeof name.sun_path - 1) + " bytes");
  }
  path.copy(name.sun_path, path.size());
  addrinfo to{};
  to.ai_family = AF_UNIX;
  to.ai_addr = reinterpret_cast<sockaddr*>(&name);
  to.ai_addrlen = sizeof name;
  return Connect(address, to, patience);
}

tl::expected<Socket, AdminError> ConnectTcp(const std::string& address, milliseconds patience) {
  const size_t colon = address.rfind(':');
  if (colon == std::string::npos || colon + 1 == address.size()) {
    return FailCall(Kind::kOther,
                    address + " is no address of an admin; expected HOST:PORT or unix:/PATH");
  }
  std::string host = address.substr(0, colon);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  }
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const int error = getaddrinfo(host.c_str(), address.c_str() + colon + 1, &hints, &found);
  if (error != 0) return FailCall(Kind::kOther, address + ": " + gai_strerror(error));
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> list(found, freeaddrinfo);

  auto socket = Connect(address, *list, patience);
  for (const addrinfo* next = list->ai_next; !socket && next != nullptr; next = next->ai_next) {
    socket = Connect(address, *next, patience);
  }
  return socket;
}

std::optional<AdminError> Send(const Socket& socket, const std::string& address,
                               std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = send(socket.fd(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) return FailErrno(address, errno).value();
    bytes.remove_prefix(static_cast<size_t>(sent));
  }
  return std::nullopt;
}

tl::expected<std::string, AdminError> ReadAll(const Socket& socket, const std::string& address) {
  std::string bytes;
  char buffer[16 * 1024];
  while (bytes.size() <= kMaxResponse) {
    const ssize_t count = recv(socket.fd(), buffer, sizeof buffer, 0);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return FailErrno(address, errno);
    if (count == 0) return bytes;
    bytes.append(buffer, static_cast<size_t>(count));
  }
  return FailCall(Kind::kOther, address + ": the answer is too large");
}

// The admin answers with Content-Length; the connection ends after it, as was asked.
AdminResult ParseResponse(const std::string& address, const std::string& bytes) {
  if (bytes.empty()) {
    return FailCall(Kind::kNotThere, address + " closed the connection without an answer");
  }
  const auto strange = [&] {
    return FailCall(Kind::kOther, address + " does not answer like an admin of sluice");
  };
  const size_t end = bytes.find("\r\n\r\n");
  if (!bytes.starts_with("HTTP/1.") || end == std::string::npos || end < 12) return strange();
  AdminResponse response;
  std::from_chars(bytes.data() + 9, bytes.data() + 12, response.status);
  if (response.status < 200 || response.status > 599) return strange();
  response.body = bytes.substr(end + 4);

  std::string head = bytes.substr(0, end + 2);
  for (char& c : head) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  constexpr std::string_view kLength = "\r\ncontent-length:";
  const size_t field = head.find(kLength);
  if (field == std::string::npos) return strange();
  const size_t digits = head.find_first_not_of(' ', field + kLength.size());
  uint64_t length = 0;
  std::from_chars(head.data() + digits, head.data() + head.size(), length);
  if (response.body.size() < length) {
    return FailCall(Kind::kNotThere, address + " closed the connection within its answer");
  }
  response.body.resize(length);
  return response;
}

}  // namespace

AdminResult CallAdmin(const std::string& address, std::string_view method, std::string_view path,
                      milliseconds patience) {
  const bool is_unix = address.starts_with("unix:");
  auto socket = is_unix ? ConnectUnix(address, patience) : ConnectTcp(address, patience);
  if (!socket) return tl::unexpected(socket.error());
  // The admin guards itself against names in Host that DNS could point at it; "localhost" is not
  // one, and it is how this process was meant to be reached.
  std::string request(method);
  request.append(" ").append(path).append(
      " HTTP/1.1\r\nHost: localhost\r\nUser-Agent: sluice-cli\r\nConnection: close\r\n"
      "Content-Length: 0\r\n\r\n");
  if (auto error = Send(*socket, address, request)) return tl::unexpected(*std::move(error));
  const auto bytes = ReadAll(*socket, address);
  if (!bytes) return tl::unexpected(bytes.error());
  return ParseResponse(address, *bytes);
}

std::string AdminErrorText(const AdminResponse& response) {
  const auto json = nlohmann::json::parse(response.body, nullptr, /*allow_exceptions=*/false);
  const auto error = json.find("error");
  if (json.is_object() && error != json.end() && error->is_string()) return *error;
  return "the admin answered " + std::to_string(response.status) + ": " + response.body;
}

}  // namespace sluice
