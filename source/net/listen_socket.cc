#include "net/listen_socket.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "net/socket_address.h"

namespace sluice {
namespace {

tl::unexpected<Error> BindError(const std::string& address, const char* step, int error) {
  std::string message = "cannot listen on " + address + ": " + step + ": " + std::strerror(error);
  if (error == EADDRINUSE) message += "; another process has it, stop that or choose another port";
  if (error == EACCES) message += "; ports below 1024 need CAP_NET_BIND_SERVICE";
  if (error == EADDRNOTAVAIL) message += "; no interface of this machine has that address";
  return Fail(message);
}

// A socket file left behind by a process that died refuses connections; a living one accepts them.
void RemoveStaleSocketFile(const SocketAddress& address) {
  const std::string path = address.UnixPath();
  struct stat info {};
  if (stat(path.c_str(), &info) != 0 || !S_ISSOCK(info.st_mode)) return;
  const Fd probe(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (connect(probe.get(), address.data(), address.length()) != 0 && errno == ECONNREFUSED) {
    unlink(path.c_str());
  }
}

void SetOptions(const Fd& fd, const SocketAddress& address) {
  const int on = 1;
  setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  setsockopt(fd.get(), SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
  // Accepted sockets inherit it, which saves a call for each of them.
  setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  if (address.family() == AF_INET6) {
    setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
  }
}

Result<Fd> BindOne(const SocketAddress& address, const std::string& text, uint32_t backlog) {
  Fd fd(socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return BindError(text, "socket", errno);
  if (address.is_unix()) {
    RemoveStaleSocketFile(address);
  } else {
    SetOptions(fd, address);
  }
  if (bind(fd.get(), address.data(), address.length()) != 0) return BindError(text, "bind", errno);
  if (listen(fd.get(), static_cast<int>(backlog)) != 0) return BindError(text, "listen", errno);
  return fd;
}

// SO_REUSEPORT would let two proxies of one user share a port in silence, each getting half of the
// connections. A first socket without it finds out whether the port is free.
Result<void> CheckPortIsFree(const SocketAddress& address, const std::string& text) {
  const Fd probe(socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int on = 1;
  setsockopt(probe.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (address.family() == AF_INET6) {
    setsockopt(probe.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
  }
  if (bind(probe.get(), address.data(), address.length()) != 0) {
    return BindError(text, "bind", errno);
  }
  return {};
}

// Holds a port, so that `address` names it where it was 0, until others are bound to it by number:
// only those keep it when they are shut (Listener::Shut).
Result<Fd> FindPort(SocketAddress* address, const std::string& text) {
  Fd fd(socket(address->family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return BindError(text, "socket", errno);
  SetOptions(fd, *address);
  if (bind(fd.get(), address->data(), address->length()) != 0) {
    return BindError(text, "bind", errno);
  }
  getsockname(fd.get(), address->data(), address->length_out());
  return fd;
}

}  // namespace

Result<ListenSockets> BindListenSockets(const std::string& text, uint32_t backlog, size_t count) {
  Result<SocketAddress> parsed = SocketAddress::Parse(text);
  if (!parsed) return tl::unexpected(parsed.error());
  SocketAddress address = *parsed;
  Fd finder;
  if (!address.is_unix()) {
    if (auto free = CheckPortIsFree(address, text); !free) return tl::unexpected(free.error());
    auto found = FindPort(&address, text);
    if (!found) return tl::unexpected(found.error());
    finder = std::move(*found);
  }

  ListenSockets sockets;
  for (size_t i = 0; i < count; ++i) {
    if (i > 0 && address.is_unix()) {
      sockets.fds.emplace_back(fcntl(sockets.fds.front().get(), F_DUPFD_CLOEXEC, 0));
      if (!sockets.fds.back().valid()) return BindError(text, "dup", errno);
      continue;
    }
    Result<Fd> fd = BindOne(address, text, backlog);
    if (!fd) return tl::unexpected(fd.error());
    sockets.fds.push_back(std::move(*fd));
  }
  sockets.address = address.ToString();
  return sockets;
}

}  // namespace sluice
