// What of a request chooses its endpoint in a cluster that hashes.
#pragma once

#include <cstdint>
#include <optional>

#include "config/cluster_config.h"
#include "sluice/handler.h"
#include "sluice/message.h"

namespace sluice {

// Nothing when the request does not have it, or it is empty. The same on every worker and in every
// process.
std::optional<uint64_t> RequestHash(const HashOn& on, const RequestHead& head,
                                    const DownstreamInfo& downstream);

}  // namespace sluice
