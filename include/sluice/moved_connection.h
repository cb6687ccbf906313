// Live connections on their way from one process into another, which goes on with them as if
// nothing had happened: the seam between the data wing, which knows what a connection is, and
// whoever carries descriptors between two processes.
//
// One worker thread, on either side.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "sluice/transport.h"

namespace sluice {

// `state` is written and read by the data wing only. It names its version, and is bounded; a reader
// refuses what it does not understand, whatever the bytes are.
//
// The descriptors are lent, on either side: who takes a connection over duplicates them.
struct MovedConnection {
  std::string listener;
  std::string state;
  int client = -1;
  int upstream = -1;  // of a WebSocket tunnel; otherwise -1
};

// The sending side, one for each worker.
class ConnectionMover {
 public:
  virtual ~ConnectionMover() = default;

  // Sends a connection off, which stands still until `answer` is called: exactly once, later, never
  // from inside this call. True: the other process has it, and here it is forgotten without a byte.
  // False: the other process certainly does not have it, and it goes on here. The descriptors are
  // valid until then; `answer` may be called after the connection is gone, and must not be called
  // after its worker is.
  virtual void Move(const MovedConnection& connection, std::function<void(bool taken)> answer) = 0;
};

// The receiving side: makes transports of descriptors that came from another process.
class TransportAdopter {
 public:
  virtual ~TransportAdopter() = default;

  // A transport on a duplicate of `descriptor`, a connected stream socket whose far address is
  // `peer`; null when it is none, or there are no descriptors left.
  virtual std::unique_ptr<Transport> Adopt(int descriptor, const std::string& peer) = 0;
};

}  // namespace sluice
