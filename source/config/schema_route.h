// The keys of routes.
#pragma once

#include "config/schema.h"

namespace sluice {

void VisitRoute(FieldVisitor& visitor, RouteConfig& config);

}  // namespace sluice
