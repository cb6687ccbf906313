// Keeps web pages away from the admin. A browser on the operator's machine can be made to send
// requests to 127.0.0.1 by any page it shows; what such a request cannot hide is where it is from.
#pragma once

#include <string_view>

#include "sluice/handler.h"
#include "sluice/message.h"

namespace sluice {

// Why a request that changes something is refused; empty when it may pass. Refused are requests
// that a page of another origin made (Origin, Sec-Fetch-Site, Referer), and those under a Host that
// anyone's DNS could point here.
std::string_view RefusesChange(const RequestHead& request, const DownstreamInfo& downstream);

// Why a request to read what a stranger should not know is refused: its Host is a name that
// anyone's DNS could point here (DNS rebinding makes the answer readable to a page).
std::string_view RefusesReading(const RequestHead& request, const DownstreamInfo& downstream);

// True when the request comes from a browser: a page can make one send a GET, even one that says
// nothing of its origin, but not change what the browser calls itself.
bool IsBrowser(const RequestHead& request);

}  // namespace sluice
