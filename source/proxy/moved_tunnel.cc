#include "proxy/moved_tunnel.h"

#include "base/wire.h"

namespace sluice {
namespace {

using Step = WebSocketFollower::Step;

void WriteFollower(const WebSocketFollower::State& state, WireWriter& writer) {
  writer.Number(state.left);
  writer.Number(state.frames);
  writer.Number(state.pings);
  writer.Number(state.pongs);
  writer.Number(state.close_code);
  writer.Number(static_cast<uint8_t>(state.step));
  writer.Number(state.first_byte);
  writer.Number(state.second_byte);
  writer.Number(state.position);
  writer.Number(static_cast<uint8_t>(state.masked));
  writer.Number(static_cast<uint8_t>(state.extensions));
  writer.Number(static_cast<uint8_t>(state.open_message));
}

// False for what no follower of an open session holds.
bool ReadFollower(WireReader& reader, WebSocketSender sender, WebSocketFollower::State& state) {
  state.left = reader.Number<uint64_t>();
  state.frames = reader.Number<uint32_t>();
  state.pings = reader.Number<uint32_t>();
  state.pongs = reader.Number<uint32_t>();
  state.close_code = reader.Number<uint16_t>();
  const auto step = reader.Number<uint8_t>();
  state.step = static_cast<Step>(step);
  state.first_byte = reader.Number<uint8_t>();
  state.second_byte = reader.Number<uint8_t>();
  state.position = reader.Number<uint8_t>();
  const auto masked = reader.Number<uint8_t>();
  const auto extensions = reader.Number<uint8_t>();
  const auto open_message = reader.Number<uint8_t>();
  state.masked = masked == 1;
  state.extensions = extensions == 1;
  state.open_message = open_message == 1;
  const bool flags = masked <= 1 && extensions <= 1 && open_message <= 1;
  const bool open = step < static_cast<uint8_t>(Step::kClosed);
  return flags && open && state.position < 8 &&
         state.masked == (sender == WebSocketSender::kClient);
}

}  // namespace

std::string EncodeMovedTunnel(const MovedTunnel& tunnel) {
  WireWriter writer;
  writer.Text(tunnel.route);
  writer.Text(tunnel.cluster);
  writer.Text(tunnel.endpoint);
  writer.Text(tunnel.unsent);
  writer.Span(tunnel.upstream_time);
  writer.Number(tunnel.attempts);
  const WebSocketTunnel::Frozen& websocket = tunnel.websocket;
  WriteFollower(websocket.from_client, writer);
  WriteFollower(websocket.from_upstream, writer);
  writer.Span(websocket.age);
  writer.Span(websocket.client_quiet);
  writer.Span(websocket.upstream_quiet);
  writer.Span(websocket.ping_age);
  writer.Number(static_cast<uint8_t>(websocket.ping_unanswered));
  return writer.Take();
}

Result<MovedTunnel> DecodeMovedTunnel(std::string_view bytes) {
  WireReader reader(bytes);
  MovedTunnel tunnel;
  tunnel.route = reader.Text();
  tunnel.cluster = reader.Text();
  tunnel.endpoint = reader.Text();
  tunnel.unsent = reader.Text();
  tunnel.upstream_time = reader.Span();
  tunnel.attempts = reader.Number<uint8_t>();
  WebSocketTunnel::Frozen& websocket = tunnel.websocket;
  bool good = ReadFollower(reader, WebSocketSender::kClient, websocket.from_client);
  good = ReadFollower(reader, WebSocketSender::kServer, websocket.from_upstream) && good;
  websocket.age = reader.Span();
  websocket.client_quiet = reader.Span();
  websocket.upstream_quiet = reader.Span();
  websocket.ping_age = reader.Span();
  const auto ping_unanswered = reader.Number<uint8_t>();
  websocket.ping_unanswered = ping_unanswered == 1;
  if (!reader.finished() || !good || ping_unanswered > 1) {
    return Fail("the state of a tunnel is not to be understood");
  }
  return tunnel;
}

}  // namespace sluice
