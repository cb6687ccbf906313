// An HTTP/2 origin in a simulation. What it does is chosen by the path of the request, as
// SimOrigin does; numbers come in the query, all times in milliseconds:
//
//   /fast                        200, 16 bytes
//   /slow?ms=                    the same, later
//   /big?bytes=                  200 with a content-length, at the pace of the windows
//   /chunked?bytes=              200 without a length; &trailers=1 adds a trailer
//   /trickle?bytes=&chunk=&ms=   200 with a content-length, a piece every `ms`
//   /no-content                  204
//   /upload                      200 after the whole request body; &ms= opens the window of the
//                                stream only that often
//   /never-reads                 nothing, and the window of the stream stays shut
//   /early                       200 at once, whatever the body does; &rst=1 then RST NO_ERROR
//   /hints                       103, then 200
//   /die                         closes the connection; &reused=1 only if it is not its first
//                                request
//   /drop-mid?bytes=&at=         RST_STREAM INTERNAL_ERROR after `at` bytes of the body; &reset=1
//                                resets the connection
//   /rst?error=                  RST_STREAM with that error, without a head
//   /refuse?times=               RST_STREAM REFUSED_STREAM, the first `times` (1) times that this
//                                target comes, then 200
//   /goaway                      200, and GOAWAY with the id of this stream
//   /goaway-below?times=         as /refuse, but by a GOAWAY below this stream
//   /garbage                     a frame that breaks the connection's rules
//   /hold                        nothing until Release(), then 200 with 16 bytes
//   /hold-mid?bytes=&at=         the head and `at` bytes, the rest after Release(); &chunked=1
//   /upgrade                     200 to an extended CONNECT, then every byte comes back, the end
//   too;
//                                &ends=1 ends its own direction at once
//   /forbidden                   403, whatever the body does
//   /grpc?bytes=&status=         200, a body (kSimGrpcMessage is one message), grpc-status trailers
//   /grpc-error?status=          only a head, with grpc-status ("Trailers-Only")
//   /grpc-stream?bytes=&chunk=&ms=   as /trickle, with grpc-status trailers
//   /grpc-echo                   200 at once, as many bytes back as come, trailers at the end
//   /grpc-hold, /grpc-hold-mid   as /hold and /hold-mid, with grpc-status trailers
//
// HEAD is answered as GET without the body. One thread; loop and network must outlive it.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "support/sim_h2_session.h"
#include "support/sim_http.h"
#include "support/sim_loop.h"
#include "support/sim_network.h"

namespace sluice {

struct SimH2OriginOptions {
  SimH2Options http2;
  // After so many requests on a connection: GOAWAY. 0: never.
  size_t goaway_after = 0;
  // First GOAWAY 2^31-1 and a PING, the final one on its ACK; otherwise the final one at once, and
  // what comes behind it is provably not processed.
  bool two_stages = false;
  Duration idle_timeout = Duration::max();  // GOAWAY, and close
};

class SimH2Origin {
 public:
  // One request as the origin saw it.
  struct Seen {
    SimMessage request;     // as far as it came
    size_t connection = 0;  // ordinal of its connection
    uint32_t stream = 0;
    bool processed = true;   // false: refused in so many words
    bool answered = false;   // a complete response was handed to the transport
    bool cancelled = false;  // by the peer, with RST_STREAM
  };

  SimH2Origin(SimLoop& loop, SimNetwork& network, const std::string& address);
  ~SimH2Origin();
  SimH2Origin(const SimH2Origin&) = delete;
  SimH2Origin& operator=(const SimH2Origin&) = delete;

  // Of connections made from now on.
  SimH2OriginOptions options;

  // Lets every request that is held go on.
  void Release();
  size_t held() const;

  void CloseAll();
  void ResetAll();
  // GOAWAY on every connection, with the id of its last stream.
  void GoawayAll();

  const std::deque<Seen>& seen() const { return seen_; }
  size_t times_seen(const std::string& target) const;
  size_t connections() const { return connections_made_; }
  size_t open_connections() const { return connections_.size(); }
  // The most streams that were open at a time on one connection.
  size_t peak_streams() const { return peak_streams_; }
  // Errors of the RST_STREAM frames and GOAWAYs that came.
  const std::vector<uint32_t>& resets() const { return resets_; }
  const std::vector<SimH2Goaway>& goaways() const { return goaways_; }
  // What a proxy must never send.
  const std::vector<std::string>& complaints() const { return complaints_; }

 private:
  class Connection;
  class Exchange;
  friend class Connection;
  friend class Exchange;

  void Accept(std::unique_ptr<Transport> transport);
  void Forget(Connection* connection);

  SimLoop& loop_;
  SimNetwork& network_;
  const std::string address_;
  size_t connections_made_ = 0;
  size_t peak_streams_ = 0;
  std::deque<Seen> seen_;
  std::vector<uint32_t> resets_;
  std::vector<SimH2Goaway> goaways_;
  std::vector<std::string> complaints_;
  std::vector<std::unique_ptr<Connection>> connections_;
};

}  // namespace sluice
