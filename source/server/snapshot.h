// A configuration made ready for the workers: routers compiled, options in the words of each layer.
// Built whole on the control thread, immutable, shared by all workers.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "config/config.h"
#include "http/http_options.h"
#include "net/tls_client_context.h"
#include "net/tls_server_context.h"
#include "proxy/access_log_format.h"
#include "proxy/forwarding.h"
#include "proxy/router.h"
#include "sluice/result.h"

namespace sluice {

struct Snapshot {
  // What belongs to one listener, in the order of config.listeners.
  struct Listener {
    HttpOptions options;
    std::shared_ptr<const Router> router;
    std::shared_ptr<const Forwarding> forwarding;
    // Null without TLS. Changed certificates make further contexts, with the same ticket keys.
    std::shared_ptr<const TlsServerContext> tls;
    std::shared_ptr<TlsTicketKeys> ticket_keys;
  };

  uint64_t generation = 1;  // counts the configurations of the process
  Config config;
  std::vector<Listener> listeners;
  // In the order of config.clusters; null without TLS.
  std::vector<std::shared_ptr<const TlsClientContext>> cluster_tls;
  std::shared_ptr<const AccessLogLine> access_log_line;  // null: no access log
};

// The same with other endpoints for a cluster of that name, which has `dns`: the next generation.
std::shared_ptr<const Snapshot> WithEndpoints(const Snapshot& snapshot, const std::string& cluster,
                                              const std::vector<EndpointConfig>& endpoints);

// Fails with what does not compile, naming the listener and the route, and with files of TLS that
// cannot be used. `previous`: what it replaces, whose random ticket keys go on to be used; or null.
Result<std::shared_ptr<const Snapshot>> BuildSnapshot(Config config,
                                                      const Snapshot* previous = nullptr);

}  // namespace sluice
