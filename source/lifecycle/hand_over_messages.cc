#include "lifecycle/hand_over_messages.h"

#include "base/wire.h"

namespace sluice {
namespace {

// A list is never longer than this: more would be a mistake, or an attack.
constexpr uint32_t kMaxList = 4096;

tl::unexpected<Error> Malformed(const char* what) {
  return Fail(std::string("the other process does not keep to the protocol: malformed ") + what);
}

}  // namespace

std::string Encode(const HandOverHello& hello) {
  WireWriter out;
  out.Number(hello.version);
  out.Number(hello.generation);
  return out.Take();
}

Result<HandOverHello> DecodeHello(std::string_view bytes) {
  WireReader in(bytes);
  HandOverHello hello;
  hello.version = in.Number<uint32_t>();
  if (in.ok() && hello.version != kHandOverVersion) return hello;
  hello.generation = in.Number<uint32_t>();
  if (!in.finished()) return Malformed("hello");
  return hello;
}

std::string Encode(const HandOverOffer& offer) {
  WireWriter out;
  out.Number(offer.version);
  out.Number(offer.generation);
  out.Number(offer.socket_count);
  out.Number(static_cast<uint8_t>(offer.moves_connections ? 1 : 0));
  out.Number(static_cast<uint32_t>(offer.ancestors.size()));
  for (const uint32_t pid : offer.ancestors) out.Number(pid);
  return out.Take();
}

Result<HandOverOffer> DecodeOffer(std::string_view bytes) {
  WireReader in(bytes);
  HandOverOffer offer;
  offer.version = in.Number<uint32_t>();
  if (in.ok() && offer.version != kHandOverVersion) return offer;
  offer.generation = in.Number<uint32_t>();
  offer.socket_count = in.Number<uint32_t>();
  offer.moves_connections = in.Number<uint8_t>() != 0;
  const auto count = in.Number<uint32_t>();
  if (count > kMaxList) return Malformed("offer");
  for (uint32_t i = 0; i < count && in.ok(); ++i) offer.ancestors.push_back(in.Number<uint32_t>());
  if (!in.finished()) return Malformed("offer");
  return offer;
}

std::string Encode(const std::vector<HandOverSocket>& sockets) {
  WireWriter out;
  out.Number(static_cast<uint32_t>(sockets.size()));
  for (const HandOverSocket& socket : sockets) {
    out.Number(static_cast<uint8_t>(socket.kind));
    out.Text(socket.listener);
    out.Text(socket.configured);
    out.Text(socket.bound);
  }
  return out.Take();
}

Result<std::vector<HandOverSocket>> DecodeSockets(std::string_view bytes) {
  WireReader in(bytes);
  const auto count = in.Number<uint32_t>();
  if (count > kMaxList) return Malformed("list of sockets");
  std::vector<HandOverSocket> sockets;
  for (uint32_t i = 0; i < count && in.ok(); ++i) {
    HandOverSocket& socket = sockets.emplace_back();
    const auto kind = in.Number<uint8_t>();
    if (kind > static_cast<uint8_t>(HandOverSocket::Kind::kTakeover)) return Malformed("socket");
    socket.kind = static_cast<HandOverSocket::Kind>(kind);
    socket.listener = in.Text();
    socket.configured = in.Text();
    socket.bound = in.Text();
  }
  if (!in.finished()) return Malformed("list of sockets");
  return sockets;
}

std::string Encode(const HandOverTicketKeys& keys) {
  WireWriter out;
  out.Text(keys.listener);
  out.Text(keys.keys);
  return out.Take();
}

Result<HandOverTicketKeys> DecodeTicketKeys(std::string_view bytes) {
  WireReader in(bytes);
  HandOverTicketKeys keys;
  keys.listener = in.Text();
  keys.keys = in.Text();
  if (!in.finished()) return Malformed("ticket keys");
  return keys;
}

std::string Encode(const HandOverMove& move) {
  WireWriter out;
  out.Number(move.id);
  out.Text(move.listener);
  out.Text(move.state);
  return out.Take();
}

Result<HandOverMove> DecodeMove(std::string_view bytes) {
  WireReader in(bytes);
  HandOverMove move;
  move.id = in.Number<uint64_t>();
  move.listener = in.Text();
  move.state = in.Text();
  if (!in.finished()) return Malformed("connection");
  return move;
}

std::string Encode(const HandOverMoveAnswer& answer) {
  WireWriter out;
  out.Number(answer.id);
  out.Number(static_cast<uint8_t>(answer.taken ? 1 : 0));
  out.Text(answer.why_not);
  return out.Take();
}

Result<HandOverMoveAnswer> DecodeMoveAnswer(std::string_view bytes) {
  WireReader in(bytes);
  HandOverMoveAnswer answer;
  answer.id = in.Number<uint64_t>();
  answer.taken = in.Number<uint8_t>() != 0;
  answer.why_not = in.Text();
  if (!in.finished()) return Malformed("answer");
  return answer;
}

}  // namespace sluice
