// An HTTP/1.1 origin in a simulation. What it does is chosen by the path of the request; numbers
// come in the query, all times in milliseconds:
//
//   /fast                        200, 16 bytes
//   /slow?ms=                    the same, later
//   /big?bytes=                  200 with Content-Length, at the pace of the connection
//   /chunked?bytes=&chunk=       200 chunked, in chunks of that size; &trailers=1 adds a trailer
//   /trickle?bytes=&chunk=&ms=   200 with Content-Length, a piece every `ms`
//   /until-close?bytes=          200 without a length, ended by closing
//   /no-content                  204
//   /upload                      200 after the whole request body; &ms= pauses after each read
//   /early                       200 at once, whatever the body does
//   /close                       200 with Connection: close, then closes
//   /quiet-close                 200, then closes without having said so
//   /die                         closes without a response; &reused=1 only on a reused connection
//   /die-after-head?bytes=       as /die, once that much of the request body was read
//   /drop-mid?bytes=&at=         closes after `at` bytes of the body; &reset=1 resets
//   /garbage                     something that is not HTTP
//   /upgrade                     101, with the answer to a WebSocket's key (&wrong=1: to another),
//                                then every byte comes back, the end too; &ends=1 ends its own
//                                direction at once
//   /forbidden                   403
//   /hints                       103, then 200
//   /hold                        nothing until Release(), then 200 with 16 bytes
//   /hold-mid?bytes=&at=         the head and `at` bytes, the rest after Release(); &chunked=1
//
// "Expect: 100-continue" is answered by 100 when the path waits for the body. HEAD is answered as
// GET without the body. One thread; loop and network must outlive it.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "support/sim_http.h"
#include "support/sim_loop.h"
#include "support/sim_network.h"

namespace sluice {

class SimOrigin {
 public:
  // One request as the origin saw it.
  struct Seen {
    SimMessage request;     // as far as it came
    size_t connection = 0;  // ordinal of its connection
    size_t nth = 0;         // of its connection, from 0
    bool answered = false;  // a complete response was handed to the transport
  };

  SimOrigin(SimLoop& loop, SimNetwork& network, const std::string& address);
  ~SimOrigin();
  SimOrigin(const SimOrigin&) = delete;
  SimOrigin& operator=(const SimOrigin&) = delete;

  // An idle connection is closed after that long; kNever: never.
  void set_idle_timeout(Duration timeout) { idle_timeout_ = timeout; }

  // Lets every /hold and /hold-mid go on.
  void Release();
  size_t held() const;

  // Closes (or resets) every open connection.
  void CloseAll();
  void ResetAll();

  const std::deque<Seen>& seen() const { return seen_; }
  // How often a request with exactly this target arrived.
  size_t times_seen(const std::string& target) const;
  size_t connections() const { return connections_made_; }
  size_t open_connections() const { return connections_.size(); }
  // Requests that were not valid HTTP/1.1, which a proxy must never send.
  const std::vector<std::string>& complaints() const { return complaints_; }

 private:
  class Connection;
  friend class Connection;

  void Accept(std::unique_ptr<Transport> transport);
  void Forget(Connection* connection);

  SimLoop& loop_;
  SimNetwork& network_;
  const std::string address_;
  Duration idle_timeout_ = Duration::max();
  size_t connections_made_ = 0;
  std::deque<Seen> seen_;
  std::vector<std::string> complaints_;
  std::vector<std::unique_ptr<Connection>> connections_;
};

}  // namespace sluice
