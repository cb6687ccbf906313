// Answers that are ours and not an upstream's, in the words of who asked: a short text for HTTP, a
// gRPC status for gRPC. Every error that the data path answers by itself goes through here.
#pragma once

#include <string_view>

#include "sluice/handler.h"
#include "sluice/loop.h"

namespace sluice {

// The part of such a line that is for gRPC: "503 Service Unavailable: no connection\n" ->
// "no connection".
std::string_view BehindStatus(std::string_view text);

// Sends a complete response and ends the stream. Before the head was sent. `text` is one line that
// a person can act on, such as "503 Service Unavailable: no connection to the upstream\n", and is
// lent until the end of the dispatch; gRPC gets the part behind the status as grpc-message. To HTTP
// a 503 carries Retry-After (RFC 9110 10.2.3): 1, and any status `retry_after`, in whole seconds,
// if it is given.
void SendLocalReply(ServerStream& stream, int status, std::string_view text,
                    Duration retry_after = {});

// The same for a codec that refuses a request by itself, and sends what this makes in its own way:
// fills in `head` and returns the body, which lives until the end of the dispatch. `detail` says
// why, as in the log; the request's head may be incomplete.
std::string_view MakeRefusal(ServerStream& stream, Loop& loop, int status, std::string_view detail,
                             ResponseHead& head);

}  // namespace sluice
