// Finds what stands still on an HTTP/2 connection towards a client: a stream whose client owes body
// bytes, or takes none of those that wait for it; or the whole connection, when it is the transport
// that does not move. One timer for all of it, which bytes that move do not touch.
//
// One worker thread.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "base/time.h"
#include "base/timer_queue.h"
#include "http/http_options.h"
#include "sluice/loop.h"
#include "sluice/transport.h"

namespace sluice {

class H2StallWatch {
 public:
  // What a stream waits for its client to do.
  enum class Wait : uint8_t { kNothing, kSendBody, kTakeBytes };

  // How a stream has stood still for too long.
  enum class Stall : uint8_t {
    kNoBody,      // HttpTimeouts::body without a byte
    kNotTaken,    // HttpTimeouts::write without a byte taken
    kNeverTaken,  // nor will one be: no WINDOW_UPDATE comes behind the client's last byte
  };

  class Owner {
   public:
    virtual bool HasStreams() const = 0;

    // Asks StallOf of every stream that is there, and deals with those that stand still.
    virtual void LookAtStreams() = 0;

    // The peer has taken nothing of what the transport holds for HttpTimeouts::write, and so no
    // stream can move.
    virtual void OnTransportStalled() = 0;

   protected:
    ~Owner() = default;
  };

  // All must outlive it.
  H2StallWatch(Loop& loop, const Transport& transport, const HttpTimeouts& timeouts, Owner& owner);

  // There is something to watch: a stream, or bytes that the transport has not got rid of. Looks at
  // once, then whenever something may be due, until there is neither.
  void Start();

  // The client has sent its last byte.
  void OnEof();

  // Looks no more.
  void Stop();

  // From inside LookAtStreams: whether a stream that waits for `wait`, and of which a byte last
  // moved at `moved_at`, has done so for too long.
  std::optional<Stall> StallOf(Wait wait, TimePoint moved_at);

 private:
  void Look();
  Duration Soon() const;
  void LookAgainBy(TimePoint when) { next_ = std::min(next_, when); }

  Loop& loop_;
  const Transport& transport_;
  const HttpTimeouts& timeouts_;
  Owner& owner_;
  Timer timer_;
  TimePoint next_{};                // of the look that goes on: when to look again
  size_t untaken_ = 0;              // by the peer, at the last look
  TimePoint transport_moved_at_{};  // when that was seen to have become less
  bool eof_ = false;
  bool stopped_ = false;
};

}  // namespace sluice
