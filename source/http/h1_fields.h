// The fields of an HTTP/1.x head that concern the connection and the framing, and what they say.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/arena.h"
#include "http/h1_syntax.h"
#include "sluice/message.h"

namespace sluice {

enum class H1Side : uint8_t { kRequest, kResponse };

// Gathered in one pass over a head's fields, which it points to.
struct ConnectionFields {
  uint8_t hosts = 0;  // counts stop at 2, which is as wrong as any more
  uint8_t lengths = 0;
  uint8_t encodings = 0;
  bool upgrade_option = false;
  bool close = false;
  bool keep_alive = false;
  bool trailers_accepted = false;
  bool expects_continue = false;
  bool expects_unknown = false;
  std::string_view host;
  std::string_view length;
  std::string_view encoding;
  std::string_view upgrade;     // several fields joined to one list
  std::string_view connection;  // several fields joined to one list
  // What Connection names beyond the fields that are hop-by-hop anyway.
  static constexpr size_t kMaxNamed = 8;
  std::array<std::string_view, kMaxNamed> named;
  size_t named_count = 0;

  // Joined lists are made in `arena`.
  void Gather(const HeaderList& headers, Arena& arena);
};

// Reads the options of Connection into `fields` (RFC 9110 7.6.1).
std::optional<H1Error> ReadConnection(H1Side side, ConnectionFields& fields);

// Whether the peer lets the connection persist (RFC 9112 9.3).
bool KeepsAlive(HttpVersion version, const ConnectionFields& fields);

// The value of Content-Length, if there is one.
std::optional<H1Error> ReadContentLength(const ConnectionFields& fields,
                                         std::optional<uint64_t>& length);

// With `fields.encodings` above 0: whether the body is chunked in the one way that is taken.
std::optional<H1Error> CheckTransferEncoding(HttpVersion version, const ConnectionFields& fields);

// Removes the fields that end at this hop: hop-by-hop ones, those that Connection names, framing,
// and from a request Host and Expect, which the head says in its own words.
void RemoveConnectionFields(H1Side side, const ConnectionFields& fields, HeaderList& headers);

// Removes what may not come as a trailer (RFC 9110 6.5.1), and what `connection`, the options of
// the head's Connection, names.
void FilterTrailers(std::string_view connection, HeaderList& trailers);

// Whether a comma-separated list has this element, in any case.
bool HasToken(std::string_view list, std::string_view token);

}  // namespace sluice
