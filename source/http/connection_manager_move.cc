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
  if (parts_.Has(PartKind::kListener, context.name)) {
    return Fail("the listener " + context.name + " is drained");
  }
  const Result<MovedState> state = DecodeMovedState(moved.state);
  if (!state) return Fail(state.error().message);
  std::unique_ptr<Transport> transport = adopter.Adopt(moved.client, state->peer);
  if (transport == nullptr) return Fail("its socket could not be taken over");
  ServerConnection& connection = Register(std::move(transport), context);
  connection.Adopt(*state);
  moves_.CountAdopted(false);
  return {};
}

}  // namespace sluice
