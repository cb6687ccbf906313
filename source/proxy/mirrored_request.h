// A copy of a request that goes to another cluster, and whose response is thrown away. Nothing
// waits for it: it never holds the request back, and is given up when it cannot keep up, when it
// fails, and when it takes too long. No drain counts it, since no client does.
//
//   kConnecting --> kExchanging --> kOver
//
// One worker thread.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

#include "base/byte_queue.h"
#include "base/timer_queue.h"
#include "http/client_connection.h"
#include "sluice/held.h"
#include "sluice/loop.h"
#include "sluice/message.h"
#include "upstream/cluster.h"

namespace sluice {

class MirroredRequest final : private ConnectionWaiter, private ResponseReceiver {
 public:
  // Of a copy of `head`. The loop must outlive it; `generation`, in which the cluster lives, is
  // held.
  struct Surroundings {
    Loop& loop;
    Cluster& cluster;
    Generation* generation;
    Duration timeout;  // zero: a long one
    // It needs nothing any more, and must not be destroyed inside; not from its constructor.
    std::function<void()> over;
  };
  MirroredRequest(Surroundings around, const RequestHead& head, bool end_stream);
  ~MirroredRequest();
  MirroredRequest(const MirroredRequest&) = delete;

  // After `over` is in place: connects.
  void Start();

  // More of the body; `bytes` is lent until the end of the dispatch.
  void SendBody(std::string_view bytes, bool end_stream);

  // The request itself has ended before its body did.
  void Abandon() { Finish(); }

 private:
  enum class State : uint8_t { kConnecting, kExchanging, kOver };

  // ConnectionWaiter
  void OnConnection(ClientConnection& connection, EndpointPool& endpoint, bool reused) override;
  void OnNoConnection(ConnectFailure) override { Finish(); }

  // ResponseReceiver
  void OnInformational(const ResponseHead&) override {}
  void OnResponseHead(ResponseHead& head, bool end_stream) override;
  void OnResponseBody(std::string_view bytes, bool end_stream) override;
  void OnResponseTrailers(const HeaderList&) override;
  void OnRequestWritable() override {}
  void OnUpstreamFailure(const UpstreamFailure&) override;

  void OnTimeout() { Finish(); }
  void ResponseOver();
  void Finish();
  void Leave();

  const Surroundings around_;
  Hold<Generation> generation_;  // until it is over
  Hold<Held> pool_;
  Cluster::Lease lease_;
  RequestHead head_;
  ByteQueue body_;  // until there is a connection
  ClientStream* upstream_ = nullptr;
  Timer timeout_;
  bool has_body_;
  bool ended_;  // the request
  State state_ = State::kConnecting;
};

}  // namespace sluice
