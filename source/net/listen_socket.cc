#include "net/listen_socket.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <set>
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

Result<Fd> BindOne(const SocketAddress& address, const std::string& text) {
  Fd fd(socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return BindError(text, "socket", errno);
  if (address.is_unix()) {
    RemoveStaleSocketFile(address);
  } else {
    SetOptions(fd, address);
  }
  if (bind(fd.get(), address.data(), address.length()) != 0) return BindError(text, "bind", errno);
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

Result<std::string> BoundAddress(int fd) {
  int type = 0;
  socklen_t size = sizeof(type);
  if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) != 0 || type != SOCK_STREAM) {
    return Fail("it is no stream socket");
  }
  SocketAddress address;
  if (getsockname(fd, address.data(), address.length_out()) != 0) {
    return Fail(std::string("getsockname: ") + std::strerror(errno));
  }
  return address.ToString();
}

Result<SharedListenSockets> AdoptListenSockets(std::vector<Fd> sockets, const std::string& text,
                                               uint32_t backlog, size_t count) {
  SharedListenSockets shared;
  std::set<ino_t> known;
  std::vector<Fd> distinct;
  for (Fd& socket : sockets) {
    struct stat info {};
    // Descriptors of one socket, as the workers of a Unix listener have them, are one.
    if (fstat(socket.get(), &info) == 0 && !known.insert(info.st_ino).second) continue;
    auto bound = BoundAddress(socket.get());
    if (!bound) return Fail("cannot take over " + text + ": " + bound.error().message);
    if (!distinct.empty() && *bound != shared.address) {
      return Fail("cannot take over " + text + ": a socket is bound to " + *bound +
                  ", another to " + shared.address);
    }
    shared.address = std::move(*bound);
    fcntl(socket.get(), F_SETFL, fcntl(socket.get(), F_GETFL) | O_NONBLOCK);
    // Also wakes one that was shut, and sets the backlog of the present configuration.
    if (listen(socket.get(), static_cast<int>(backlog)) != 0) {
      return BindError(text, "listen on an inherited socket", errno);
    }
    distinct.push_back(std::move(socket));
  }
  shared.by_worker.resize(count);
  for (size_t i = 0; i < count; ++i) {
    if (i < distinct.size()) continue;
    // A socket of its own, where they are of the kind that shares a port; otherwise one of theirs.
    const auto address = SocketAddress::Parse(shared.address);
    if (address && !address->is_unix()) {
      // Not listening: it would get its share of the connections before anybody accepts them, and
      // if the other process goes on, they would be lost with it.
      if (auto fd = BindOne(*address, shared.address)) {
        shared.by_worker[i].push_back(std::move(*fd));
        continue;
      }
    }
    shared.by_worker[i].emplace_back(
        fcntl(distinct[i % distinct.size()].get(), F_DUPFD_CLOEXEC, 0));
    if (!shared.by_worker[i].back().valid()) return BindError(text, "dup", errno);
  }
  for (size_t i = 0; i < distinct.size(); ++i) {
    shared.by_worker[i % count].push_back(std::move(distinct[i]));
  }
  return shared;
}

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
    Result<Fd> fd = BindOne(address, text);
    if (!fd) return tl::unexpected(fd.error());
    if (listen(fd->get(), static_cast<int>(backlog)) != 0) return BindError(text, "listen", errno);
    sockets.fds.push_back(std::move(*fd));
  }
  sockets.address = address.ToString();
  return sockets;
}

}  // namespace sluice
