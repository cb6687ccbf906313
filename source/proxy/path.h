// The form of a request's path that routes are matched against and that is sent upstream.
//
// A route is often a fence (`/admin` answers 403, everything else is passed on), and a fence only
// holds when the proxy and the upstream agree on what the path says. So the path is normalised
// once, before it is matched, and the normalised one is forwarded:
//
//   received                      becomes
//   /a/./b, /a/../b, /a/%2e%2e/b  dot segments removed (RFC 3986 5.2.4): /a/b, /b, /b
//   /%61%7e                       unreserved characters decoded (RFC 3986 6.2.2.2): /a~
//   /a%2fb, /a%5cb                kept, in upper case (RFC 3986 6.2.2.1): /a%2Fb, /a%5Cb
//   //a, /a//b                    kept: an empty segment is a segment
//   ?query                        kept byte for byte
//
// and what two readers of a path are known to read differently is refused:
//
//   /../a           climbs above the root
//   /a/..%2Fb       a dot segment beside an encoded (back)slash: decoded by one reader, not by
//   another /a/..;x/b       a dot segment with parameters: some servers drop them before they look
//   for dots /a\b            never valid in a URI; a slash to some /a%zz, /a%      not a
//   percent-encoding /a%00           the end of the string to some /a#b, /a?b#c    a fragment is
//   never sent (RFC 9112 3.2.1); some servers cut it off
#pragma once

#include "sluice/message.h"

namespace sluice {

// Normalises `head.path` as above; a new path lives in `head.arena`, and is never longer. False:
// the path must not be trusted, answer 400 (`head` is then unchanged). `*` and the target of
// CONNECT pass as they are. Cheap for a path with nothing to do. Idempotent.
bool NormalizePath(RequestHead& head);

}  // namespace sluice
