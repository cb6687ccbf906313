#include "lifecycle/service_manager.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <charconv>
#include <cstddef>
#include <cstdlib>
#include <cstring>

namespace sluice {
namespace {

constexpr int kFirstActivated = 3;  // SD_LISTEN_FDS_START
constexpr int kMostActivated = 4096;

// The number in an environment variable; -1: there is none.
int NumberIn(const char* variable) {
  const char* const text = std::getenv(variable);
  if (text == nullptr) return -1;
  int number = -1;
  const char* const end = text + std::strlen(text);
  const auto result = std::from_chars(text, end, number);
  return result.ec == std::errc() && result.ptr == end ? number : -1;
}

}  // namespace

void NotifyServiceManager(std::string_view state) {
  const char* const path = std::getenv("NOTIFY_SOCKET");
  if (path == nullptr || (path[0] != '/' && path[0] != '@')) return;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const size_t length = std::strlen(path);
  if (length >= sizeof(address.sun_path)) return;
  std::memcpy(address.sun_path, path, length);
  if (path[0] == '@') address.sun_path[0] = '\0';  // the abstract namespace
  const Fd fd(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + length);
  sendto(fd.get(), state.data(), state.size(), MSG_NOSIGNAL,
         reinterpret_cast<const sockaddr*>(&address), size);
}

std::vector<ActivatedSocket> TakeActivatedSockets() {
  std::vector<ActivatedSocket> sockets;
  const int count = NumberIn("LISTEN_FDS");
  const bool ours = NumberIn("LISTEN_PID") == getpid();
  const char* const names = std::getenv("LISTEN_FDNAMES");
  std::string_view rest = names != nullptr ? names : "";
  for (int i = 0; ours && i < count && i < kMostActivated; ++i) {
    const size_t colon = rest.find(':');
    const int fd = kFirstActivated + i;
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    sockets.push_back({std::string(rest.substr(0, colon)), Fd(fd)});
    rest = colon == std::string_view::npos ? std::string_view() : rest.substr(colon + 1);
  }
  for (const char* variable : {"LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"}) unsetenv(variable);
  return sockets;
}

}  // namespace sluice
