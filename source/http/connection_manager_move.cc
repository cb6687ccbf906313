// ConnectionManager, as far as connections move between processes.

#include <string>
#include <utility>

#include "http/connection_manager.h"
#include "http/moved_state.h"

namespace sluice {

void ConnectionManager::MoveTo(ConnectionMover* mover) {
  moves_.SetMover(mover);
  if (mover != nullptr) return;
  connections_.ForEach([this](ServerConnection& connection) {
    if (connection.leaving()) moves_.Add(connection);
  });
}

Result<void> ConnectionManager::Adopt(const MovedConnection& moved, ListenerContext& context,
                                      TransportAdopter& adopter) {
  if (Draining(context.direction)) return Fail("this process drains, too");
  if (parts_.Find(context) != nullptr) {
    return Fail("the listener " + context.name + " is drained");
  }
  Result<MovedState> state = DecodeMovedState(moved.state);
  if (!state) return Fail(state.error().message);
  const bool tunnel = state->codec.tunnel.has_value();
  if (tunnel) state->codec.tunnel->handled.upstream = moved.upstream;
  std::unique_ptr<Transport> transport = adopter.Adopt(moved.client, state->peer);
  if (transport == nullptr) return Fail("its socket could not be taken over");
  auto connection = std::make_unique<ServerConnection>(*this, context, std::move(transport));
  Result<void> adopted = connection->Adopt(*state, adopter);
  if (!adopted) return adopted;
  Register(std::move(connection), context);
  moves_.CountAdopted(tunnel);
  return {};
}

}  // namespace sluice
