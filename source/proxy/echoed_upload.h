// The body of a request that a restarting upstream gives back: the response to an upload that it
// has not taken to its end is 379, and its body is what it had got
// (draft-frindell-httpbis-partial-post-replay). What was still on its way there comes back as well.
//
//   paused <--> flowing --all that was sent has come back--> over
//   from both: it broke off, ended too early, or gave back more than it got --> failed
//
// One worker thread.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/byte_queue.h"
#include "http/client_connection.h"
#include "sluice/held.h"
#include "sluice/loop.h"
#include "upstream/cluster.h"

namespace sluice {

class EchoedUpload final : public Deferred, private ResponseReceiver {
 public:
  class Owner {
   public:
    // More of the body, in order; lent until the end of the dispatch.
    virtual void OnEcho(std::string_view bytes) = 0;
    // All of it has come, or never will. No call follows; destroy it by way of Loop::DeleteLater.
    virtual void OnEchoOver() = 0;
    virtual void OnEchoFailed() = 0;

   protected:
    ~Owner() = default;
  };

  // Takes over an exchange whose response head is 379, before its body; paused. `lease`: of the
  // endpoint that it is on; `sent`: bytes of body that were sent there, more than none.
  EchoedUpload(Owner& owner, ClientStream& exchange, Cluster::Lease lease, uint64_t sent,
               Loop& loop);
  ~EchoedUpload() override;

  void Pause();
  // Delivers, perhaps before it returns.
  void Resume();
  // The owner hears nothing more.
  void Stop();

 private:
  // ResponseReceiver
  void OnInformational(const ResponseHead&) override {}
  void OnResponseHead(ResponseHead&, bool) override {}
  void OnResponseBody(std::string_view bytes, bool end_stream) override;
  void OnResponseTrailers(const HeaderList&) override;
  void OnRequestWritable() override {}
  void OnUpstreamFailure(const UpstreamFailure&) override;

  void Settle();
  void Leave();

  Loop& loop_;
  Owner& owner_;
  ClientStream* exchange_;  // null: it has ended
  Hold<Held> pool_;         // until it is over, as the lease
  Cluster::Lease lease_;
  ByteQueue held_;  // came while paused, of what was already read
  uint64_t missing_;
  bool paused_ = true;
  bool told_ = false;  // the owner knows how it ended
};

}  // namespace sluice
