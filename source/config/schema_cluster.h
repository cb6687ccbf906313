// The keys of clusters.
#pragma once

#include "config/schema.h"

namespace sluice {

void VisitCluster(FieldVisitor& visitor, ClusterConfig& config);

// Both sizes of HTTP/2's flow control, of listeners too.
void VisitWindows(FieldVisitor& visitor, uint32_t& stream, uint32_t& connection);

}  // namespace sluice
