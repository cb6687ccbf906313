// What health checks say of an endpoint.
#pragma once

namespace sluice {

struct EndpointHealth {
  bool healthy = false;
  bool draining = false;  // it answers, and says that it is about to go
  bool known = false;     // false: not one check is over
  bool operator==(const EndpointHealth&) const = default;
};

}  // namespace sluice
