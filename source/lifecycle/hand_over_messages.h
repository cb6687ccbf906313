// What two generations of the process say to each other while one takes over from the other
// (docs/hand-over.md). Pure functions over bytes that may be anything.
//
//   new                          old
//    | kHello -------------------> |
//    | <------------------ kOffer  |  or kRefusal
//    | <-------- kSockets, kTicketKeys, kCounters, as many as it takes
//    | <--------------- kComplete  |
//    | adopts, verifies, warms up  |
//    | kReady -------------------> |  stops accepting
//    | <- kCounters ... kStopped   |  from here on only the end of the new one takes it back
//    | accepts                     |
//    | kAccepting ---------------> |  drains
//    | <------------------- kMove  |  for each live connection that can go
//    | kMoveAnswer --------------> |
//    | <---------------- kCounters |  now and then, and at its end
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "sluice/result.h"

namespace sluice {

// A process that speaks another one is refused, and goes on.
inline constexpr uint32_t kHandOverVersion = 1;

enum class HandOverMessage : uint16_t {
  kHello = 1,
  kRefusal,  // either way: a text; the end of the conversation
  kOffer,
  kSockets,  // with one descriptor for each
  kTicketKeys,
  kCounters,  // a part of them; kComplete or kCountersEnd says that it was the last
  kComplete,
  kReady,
  kStopped,
  kAccepting,
  kMove,  // with one descriptor, or two
  kMoveAnswer,
  kCountersEnd,
};

struct HandOverHello {
  uint32_t version = kHandOverVersion;
  uint32_t generation = 0;  // which one it would be; 0: it does not know
  bool operator==(const HandOverHello&) const = default;
};

struct HandOverOffer {
  uint32_t version = kHandOverVersion;
  uint32_t generation = 1;    // of the process that offers; the first is 1
  uint32_t socket_count = 0;  // that follow
  bool moves_connections = false;
  // Of processes that are older still, and drain.
  std::vector<uint32_t> ancestors;
  bool operator==(const HandOverOffer&) const = default;
};

// A listening socket, without its descriptor.
struct HandOverSocket {
  enum class Kind : uint8_t { kListener, kAdmin, kTakeover };
  Kind kind = Kind::kListener;
  std::string listener;    // its name
  std::string configured;  // its address as the configuration writes it
  std::string bound;       // ... and as the kernel does
  bool operator==(const HandOverSocket&) const = default;
};

struct HandOverTicketKeys {
  std::string listener;
  std::string keys;  // TlsTicketKeys::Export
  bool operator==(const HandOverTicketKeys&) const = default;
};

// A live connection; its descriptors come with the frame.
struct HandOverMove {
  uint64_t id = 0;  // chosen by the sender, for the answer
  std::string listener;
  std::string state;  // MovedConnection::state
  bool operator==(const HandOverMove&) const = default;
};

struct HandOverMoveAnswer {
  uint64_t id = 0;
  bool taken = false;
  std::string why_not;
  bool operator==(const HandOverMoveAnswer&) const = default;
};

std::string Encode(const HandOverHello& hello);
std::string Encode(const HandOverOffer& offer);
std::string Encode(const std::vector<HandOverSocket>& sockets);
std::string Encode(const HandOverTicketKeys& keys);
std::string Encode(const HandOverMove& move);
std::string Encode(const HandOverMoveAnswer& answer);

// Each fails on bytes that its Encode does not make; of Hello and Offer the version may be another,
// and then nothing but the version is to be relied on.
Result<HandOverHello> DecodeHello(std::string_view bytes);
Result<HandOverOffer> DecodeOffer(std::string_view bytes);
Result<std::vector<HandOverSocket>> DecodeSockets(std::string_view bytes);
Result<HandOverTicketKeys> DecodeTicketKeys(std::string_view bytes);
Result<HandOverMove> DecodeMove(std::string_view bytes);
Result<HandOverMoveAnswer> DecodeMoveAnswer(std::string_view bytes);

}  // namespace sluice
