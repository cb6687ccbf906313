// How long a response asks its client to wait.
#pragma once

#include "base/time.h"
#include "sluice/message.h"

namespace sluice {

// The value of Retry-After (RFC 9110 10.2.3), a number of seconds or a date, at most a day; zero
// when there is none, it is in the past, or it is neither.
Duration RetryAfterIn(const HeaderList& headers, WallTime now);

}  // namespace sluice
