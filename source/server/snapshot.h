// A configuration made ready for the workers: routers compiled, options in the words of each layer.
// Built whole on the control thread, immutable, shared by all workers.
#pragma once

#include <memory>
#include <vector>

#include "config/config.h"
#include "http/http_options.h"
#include "proxy/access_log_format.h"
#include "proxy/forwarding.h"
#include "proxy/router.h"
#include "sluice/result.h"

namespace sluice {

struct Snapshot {
  // What belongs to one listener, in the order of config.listeners.
  struct Listener {
    HttpOptions options;
    std::unique_ptr<const Router> router;
    std::unique_ptr<const Forwarding> forwarding;
  };

  Config config;
  std::vector<Listener> listeners;
  std::shared_ptr<const AccessLogLine> access_log_line;  // null: no access log
};

// Fails with what does not compile, naming the listener and the route.
Result<std::shared_ptr<const Snapshot>> BuildSnapshot(Config config);

}  // namespace sluice
