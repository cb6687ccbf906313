// Answers that are ours and not an upstream's, in the words of who asked: a short text for HTTP, a
// gRPC status for gRPC. Every error that the data path answers by itself goes through here.
#pragma once

#include <string_view>

#include "sluice/handler.h"

namespace sluice {

// Sends a complete response and ends the stream. Before the head was sent. `text` is one line that
// a person can act on, such as "503 Service Unavailable: no connection to the upstream\n"; gRPC
// gets the part behind the status as grpc-message. A 503 carries Retry-After (RFC 9110 10.2.3): 1.
void SendLocalReply(ServerStream& stream, int status, std::string_view text);

}  // namespace sluice
