// Between the fields of an HTTP/2 header block and the heads the rest of Sluice speaks (RFC 9113
// 8). nghttp2 has checked the grammar of names and values, the order and number of pseudo-header
// fields and that no connection-specific field is there; what is judged here is what they mean
// together, and what HTTP/1.1 would read differently.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "http/h1_syntax.h"
#include "http/h2_session.h"
#include "http/http_options.h"
#include "sluice/loop.h"
#include "sluice/message.h"

namespace sluice {

// What has to be remembered of a block until it is whole.
struct H2BlockState {
  uint32_t bytes = 0;  // as SETTINGS_MAX_HEADER_LIST_SIZE counts
  uint32_t count = 0;  // fields, pseudo-headers included
  bool too_large = false;
  std::string_view host;      // Host, which counts only where :authority is missing
  std::string_view cookies;   // of all Cookie fields
  std::string_view protocol;  // :protocol, of an extended CONNECT (RFC 8441 4)
  bool trailers_accepted = false;
  bool expects_continue = false;
  bool hosts_differ = false;
};

// Takes one field of a request into `head`; copied to its arena.
void AddH2RequestField(RequestHead& head, H2BlockState& state, const HttpLimits& limits,
                       std::string_view name, std::string_view value);

// Judges the request once its block is whole. An error of status 400 means malformed: the stream is
// to be reset with PROTOCOL_ERROR (RFC 9113 8.1.1). Others are to be answered.
//
// An extended CONNECT for "websocket" becomes the handshake that it is over HTTP/1.1, a GET with
// `upgrade`, but without a key (RFC 8441 5). What would be its body is the WebSocket's.
std::optional<H1Error> FinishH2Request(RequestHead& head, H2BlockState& state,
                                       const HttpLimits& limits, bool tls, bool end_stream);

// Fills `fields` with the head of a response. A 101 is a 200 here, and has no answer to a key (RFC
// 8441 5). Text that has to be made lives in the loop's scratch.
// A final head without a Date gets the loop's time (RFC 9110 6.6.1).
void WriteH2ResponseHead(Loop& loop, const ResponseHead& head,
                         std::optional<uint64_t> content_length, std::vector<H2Field>& fields);

void WriteH2Trailers(Loop& loop, const HeaderList& trailers, std::vector<H2Field>& fields);

// `field` as it is sent: its name is in lower case (RFC 9113 8.2.1).
H2Field MakeH2Field(Loop& loop, const HeaderField& field);

// A field whose name, in lower case, is a constant.
H2Field ConstantH2Field(std::string_view name, std::string_view value);

}  // namespace sluice
