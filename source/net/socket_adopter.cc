#include "net/socket_adopter.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <utility>

#include "net/fd.h"
#include "net/socket_transport.h"

namespace sluice {

std::unique_ptr<Transport> SocketAdopter::Adopt(int descriptor, const std::string& peer) {
  int type = 0;
  socklen_t length = sizeof(type);
  if (getsockopt(descriptor, SOL_SOCKET, SO_TYPE, &type, &length) != 0) return nullptr;
  if (type != SOCK_STREAM) return nullptr;
  Fd fd(fcntl(descriptor, F_DUPFD_CLOEXEC, 0));
  // The flag belongs to what both processes share, and whoever sent this may not have set it.
  const int flags = fd.valid() ? fcntl(fd.get(), F_GETFL) : -1;
  if (flags < 0 || fcntl(fd.get(), F_SETFL, flags | O_NONBLOCK) != 0) return nullptr;
  return std::make_unique<SocketTransport>(loop_, std::move(fd), peer);
}

}  // namespace sluice
