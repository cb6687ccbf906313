#include "server/inherited_sockets.h"

#include <unistd.h>

#include <utility>

#include "base/log.h"
#include "net/listen_socket.h"
#include "net/socket_address.h"

namespace sluice {
namespace {

constexpr std::string_view kAdminName = "admin";

// "[::]:80" and "[0::0]:80" are one address.
std::string Canonical(std::string_view address) {
  const auto parsed = SocketAddress::Parse(std::string(address));
  return parsed ? parsed->ToString() : std::string(address);
}

}  // namespace

void InheritedSockets::Add(std::vector<HandOverSocket> sockets, std::vector<Fd> fds) {
  for (size_t i = 0; i < sockets.size(); ++i) {
    // What it is bound to is asked of the kernel, not of the other process.
    auto bound = BoundAddress(fds[i].get());
    if (!bound) {
      LogEvent(Level::kError, "inherited_socket_unusable",
               {{"listener", sockets[i].listener}, {"error", bound.error().message}});
      continue;
    }
    sockets[i].bound = std::move(*bound);
    entries_.push_back({std::move(sockets[i]), false, std::move(fds[i])});
  }
}

void InheritedSockets::Add(std::vector<ActivatedSocket> sockets) {
  for (ActivatedSocket& socket : sockets) {
    auto bound = BoundAddress(socket.fd.get());
    if (!bound) {
      LogEvent(Level::kError, "activated_socket_unusable",
               {{"name", socket.name}, {"error", bound.error().message}});
      continue;
    }
    const auto kind =
        socket.name == kAdminName ? HandOverSocket::Kind::kAdmin : HandOverSocket::Kind::kListener;
    entries_.push_back(
        {{kind, std::move(socket.name), {}, std::move(*bound)}, true, std::move(socket.fd)});
  }
}

bool InheritedSockets::Fits(const Entry& entry, HandOverSocket::Kind kind, std::string_view name,
                            std::string_view address) {
  if (entry.activated) {
    // The address is what tells them apart; a name is enough where the unit has the say.
    return entry.socket.bound == Canonical(address) ||
           (entry.socket.kind == kind && !entry.socket.listener.empty() &&
            entry.socket.listener == name);
  }
  if (entry.socket.kind != kind) return false;
  // Port 0 is another port for each listener that has it.
  const bool same_listener = entry.socket.listener == name && entry.socket.configured == address;
  return same_listener || entry.socket.bound == Canonical(address);
}

std::vector<Fd> InheritedSockets::Take(HandOverSocket::Kind kind, std::string_view name,
                                       std::string_view address) {
  std::vector<Fd> taken;
  std::erase_if(entries_, [&](Entry& entry) {
    if (!Fits(entry, kind, name, address)) return false;
    taken.push_back(std::move(entry.fd));
    return true;
  });
  return taken;
}

void InheritedSockets::CloseRest() {
  for (const Entry& entry : entries_) {
    LogEvent(Level::kInfo, "inherited_socket_closed",
             {{"listener", entry.socket.listener}, {"address", entry.socket.bound}});
    constexpr std::string_view kUnix = "unix:";
    if (!entry.activated && entry.socket.bound.starts_with(kUnix)) {
      unlink(entry.socket.bound.c_str() + kUnix.size());
    }
  }
  entries_.clear();
}

}  // namespace sluice
