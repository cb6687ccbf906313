// What a process and its service manager tell each other by environment variables: the protocols of
// systemd (sd_notify(3), sd_listen_fds(3)), which other managers speak too.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "net/fd.h"

namespace sluice {

// Sends `state` ("READY=1", "STOPPING=1", "MAINPID=17") to $NOTIFY_SOCKET; without it, or when
// nobody hears, nothing happens. Any thread.
void NotifyServiceManager(std::string_view state);

// A socket that was passed by socket activation, which listens already, and its name, which may be
// empty.
struct ActivatedSocket {
  std::string name;
  Fd fd;
};

// The sockets of $LISTEN_FDS, if they are meant for this process, now close-on-exec. The variables
// are removed from the environment: they are nobody else's. Once, before there are threads.
std::vector<ActivatedSocket> TakeActivatedSockets();

}  // namespace sluice
