// The URL given to `sluice serve --to`.
#pragma once

#include <string>
#include <string_view>

#include "sluice/result.h"

namespace sluice {

// The endpoint address that `url` means: "http://HOST[:PORT]" or "unix:/PATH". A host name is
// resolved here and now, once; an IPv4 address of it is preferred. The error says what to write.
Result<std::string> EndpointOfUrl(std::string_view url);

}  // namespace sluice
