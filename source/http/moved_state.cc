#include "http/moved_state.h"

#include "base/wire.h"

namespace sluice {
namespace {

tl::unexpected<Error> Malformed() {
  return Fail("the state of a connection is not to be understood");
}

// 0 or 1, everything else being a state that nobody wrote.
bool ReadFlag(WireReader& reader, bool& good) {
  const uint8_t flag = reader.Number<uint8_t>();
  good = good && flag <= 1;
  return flag == 1;
}

void WriteTunnel(const FrozenCodec::Tunnel& tunnel, WireWriter& writer) {
  writer.Text(tunnel.request);
  writer.Span(tunnel.age);
  writer.Number(tunnel.bytes_in);
  writer.Number(tunnel.bytes_out);
  writer.Text(tunnel.handled.state);
}

FrozenCodec::Tunnel ReadTunnel(WireReader& reader) {
  FrozenCodec::Tunnel tunnel;
  tunnel.request = reader.Text();
  tunnel.age = reader.Span();
  tunnel.bytes_in = reader.Number<uint64_t>();
  tunnel.bytes_out = reader.Number<uint64_t>();
  tunnel.handled.state = reader.Text();
  return tunnel;
}

}  // namespace

std::string EncodeMovedState(const MovedState& state) {
  WireWriter writer;
  writer.Number(kMovedStateVersion);
  writer.Text(state.peer);
  writer.Span(state.age);
  writer.Span(state.limit_left);
  writer.Number(static_cast<uint8_t>(state.sniffing));
  writer.Number(state.sniffed);
  writer.Number(state.codec.requests);
  writer.Text(state.codec.input);
  writer.Text(state.unsent);
  writer.Number(static_cast<uint8_t>(state.codec.tunnel.has_value()));
  if (state.codec.tunnel) WriteTunnel(*state.codec.tunnel, writer);
  return writer.Take();
}

Result<MovedState> DecodeMovedState(std::string_view bytes) {
  WireReader reader(bytes);
  const uint32_t version = reader.Number<uint32_t>();
  if (reader.ok() && version != kMovedStateVersion) {
    return Fail("the state of a connection has version " + std::to_string(version) +
                ", which is not known here");
  }
  bool good = bytes.size() <= kMaxMovedState;
  MovedState state;
  state.peer = reader.Text();
  state.age = reader.Span();
  state.limit_left = reader.Span();
  state.sniffing = ReadFlag(reader, good);
  state.sniffed = reader.Number<uint8_t>();
  state.codec.requests = reader.Number<uint64_t>();
  state.codec.input = reader.Text();
  state.unsent = reader.Text();
  if (ReadFlag(reader, good)) state.codec.tunnel = ReadTunnel(reader);
  const bool sniffs = state.sniffed < 4 && (state.sniffed == 0 || state.sniffing);
  const bool one = !state.codec.tunnel || (state.codec.input.empty() && !state.sniffing);
  if (!reader.finished() || !good || !sniffs || !one || state.peer.empty()) return Malformed();
  return state;
}

std::string EncodeRequestHead(const RequestHead& head) {
  WireWriter writer;
  writer.Text(head.method_name);
  writer.Text(head.scheme);
  writer.Text(head.authority);
  writer.Text(head.path);
  writer.Number(head.version.major);
  writer.Number(head.version.minor);
  writer.Text(head.upgrade);
  writer.Number(static_cast<uint32_t>(head.headers.size()));
  for (const HeaderField& field : head.headers) {
    writer.Text(field.name);
    writer.Text(field.value);
  }
  return writer.Take();
}

Result<void> DecodeRequestHead(std::string_view bytes, const HttpLimits& limits,
                               RequestHead& head) {
  WireReader reader(bytes);
  const auto text = [&] { return head.arena.Append({}, reader.Text()); };
  head.method_name = text();
  head.method = LookupMethod(head.method_name);
  head.scheme = text();
  head.authority = text();
  head.path = text();
  head.version.major = reader.Number<uint8_t>();
  head.version.minor = reader.Number<uint8_t>();
  head.upgrade = text();
  const auto count = reader.Number<uint32_t>();
  // We have added some of our own to what the client may send.
  if (count > 2 * limits.header_count + 64 || bytes.size() > kMaxMovedState) return Malformed();
  for (uint32_t i = 0; i < count && reader.ok(); ++i) {
    const std::string_view name = text();
    head.headers.Add(name, text());
  }
  if (!reader.finished()) return Malformed();
  return {};
}

}  // namespace sluice
