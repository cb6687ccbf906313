// From the configuration to TLS contexts: what serve uses and check looks at.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "config/config.h"
#include "net/tls_client_context.h"
#include "net/tls_server_context.h"
#include "sluice/result.h"

namespace sluice {

TlsServerOptions TlsOptionsOf(const ListenerConfig& listener, bool http2_enabled);
TlsClientOptions TlsOptionsOf(const ClusterConfig& cluster);

// The keys that tickets of a listener are sealed with: random, or from its files.
Result<std::shared_ptr<TlsTicketKeys>> MakeTicketKeys(const ListenerConfig& listener, WallTime now);

// Reads the files of ticket keys, which there must be, into `keys`.
Result<void> LoadTicketKeys(const ListenerConfig& listener, WallTime now, TlsTicketKeys* keys);

// Reads every file that TLS needs, as serve would. Fails with what serve would fail with; otherwise
// gives a warning for each certificate that is expired or not valid yet at `now`.
Result<std::vector<std::string>> CheckTls(const Config& config, WallTime now);

}  // namespace sluice
