// The answer of /tls and /tls/reload.
#pragma once

#include <string>

#include "admin/admin_sources.h"

namespace sluice {

std::string TlsJson(const TlsReport& report);

}  // namespace sluice
