// Writes HTTP/1.1 heads, chunk framing and trailers into the loop's scratch memory, ready to be
// lent to Transport::Write. No allocation for a head that fits the scratch block.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "sluice/loop.h"
#include "sluice/message.h"

namespace sluice {

// What the Connection field of a message says about the connection.
enum class H1Persistence : uint8_t {
  kDefault,  // nothing: HTTP/1.1 persists
  kClose,
  kKeepAlive,  // said aloud to an HTTP/1.0 client that asked for it
};

// What a head says about its body: Transfer-Encoding: chunked, or a Content-Length (which a
// response without a body may have too: to HEAD, or a 304), or neither.
struct H1BodyFields {
  bool chunked = false;
  std::optional<uint64_t> content_length;
};

// A final head without a Date gets the loop's time (RFC 9110 6.6.1). `websocket_accept`, if not
// empty, is sent as Sec-WebSocket-Accept.
std::string_view WriteH1ResponseHead(Loop& loop, const ResponseHead& head, H1BodyFields body,
                                     H1Persistence persistence,
                                     std::string_view websocket_accept = {});

// `websocket_key`, if not empty, is sent as Sec-WebSocket-Key, with a version if `head` has none.
std::string_view WriteH1RequestHead(Loop& loop, const RequestHead& head, H1BodyFields body,
                                    std::string_view websocket_key = {});

// The line before a chunk of `size` bytes. After the chunk comes kH1ChunkEnd.
std::string_view WriteH1ChunkSize(Loop& loop, uint64_t size);
inline constexpr std::string_view kH1ChunkEnd = "\r\n";
inline constexpr std::string_view kH1LastChunk = "0\r\n\r\n";

// The last chunk, the trailer section and its end.
std::string_view WriteH1Trailers(Loop& loop, const HeaderList& trailers);

}  // namespace sluice
