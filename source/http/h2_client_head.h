// HTTP/2 heads as a client needs them (RFC 9113 8.3): requests into fields, fields into responses.
#pragma once

#include <string_view>
#include <vector>

#include "http/h2_session.h"
#include "sluice/loop.h"
#include "sluice/message.h"

namespace sluice {

// Fills `fields` with a request: pseudo-headers, then its fields in lower case, then our own. Text
// that has to be made lives in the loop's scratch. Of an Upgrade, which HTTP/2 does not have (RFC
// 9113 8.6), "websocket" is offered by an extended CONNECT (RFC 8441 5), others are not: an
// upstream that is not asked answers as it would without.
void WriteH2RequestHead(Loop& loop, const RequestHead& head, std::string_view scheme,
                        std::vector<H2Field>& fields);

// Takes one field of a response into `head`, copied to its arena. nghttp2 has checked the grammar
// of names and values, that :status has three digits, and Content-Length against the body.
void AddH2ResponseField(ResponseHead& head, std::string_view name, std::string_view value);

// Makes of the 2xx that accepts a WebSocket the 101 that it is elsewhere (RFC 8441 5).
void MakeH2Upgrade(ResponseHead& head);

}  // namespace sluice
