// The keys of TLS: a part of schema.cc.
#pragma once

#include "config/schema.h"

namespace sluice {

void VisitListenerTls(FieldVisitor& visitor, ListenerTlsConfig& config);
void VisitClusterTls(FieldVisitor& visitor, ClusterTlsConfig& config);
void VisitTls(FieldVisitor& visitor, TlsConfig& config);

}  // namespace sluice
