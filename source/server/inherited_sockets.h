// Listening sockets that others have bound for this process: the one it takes over from, or its
// service manager. Whoever is configured to listen takes what is his; the rest is closed.
//
// Control thread only.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "lifecycle/hand_over_messages.h"
#include "lifecycle/service_manager.h"
#include "net/fd.h"

namespace sluice {

class InheritedSockets {
 public:
  // Of the process that serves now.
  void Add(std::vector<HandOverSocket> sockets, std::vector<Fd> fds);
  // Of the service manager: its name is a listener's, "admin", or its address is.
  void Add(std::vector<ActivatedSocket> sockets);

  // All that belong to a listener (name, address as configured), or to the admin.
  std::vector<Fd> Take(HandOverSocket::Kind kind, std::string_view name, std::string_view address);

  // Closes what nobody has taken, and says so in the log.
  void CloseRest();

 private:
  struct Entry {
    HandOverSocket socket;
    bool activated = false;
    Fd fd;
  };

  static bool Fits(const Entry& entry, HandOverSocket::Kind kind, std::string_view name,
                   std::string_view address);

  std::vector<Entry> entries_;
};

}  // namespace sluice
