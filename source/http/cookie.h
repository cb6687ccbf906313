// The Cookie field of a request.
#pragma once

#include <string_view>

#include "sluice/message.h"

namespace sluice {

// The value of the first cookie of that name (case-sensitive), with the quotes around it taken off;
// empty when there is none. As lenient as servers are (RFC 6265 5.2): what is no pair is skipped.
// HTTP/2 may split the field into several (RFC 9113 8.2.3).
std::string_view CookieValue(const HeaderList& headers, std::string_view name);

}  // namespace sluice
