// What one HTTP/2 stream holds for its session: the body bytes of both directions that cannot move
// yet. H2ServerStream and H2ClientStream build on it.
//
//   out:  kHead -> kBody -> kEnding (all given to the session) -> kSent (all given to the
//         transport) -> kLeft (all taken by the kernel)
//   in:   kOpen -> kEnded (END_STREAM came and was delivered)
//   either side: -> reset(), after which the session delivers and sends nothing for it any more
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/byte_queue.h"
#include "base/intrusive_list.h"
#include "base/time.h"

namespace sluice {

class H2Session;

struct H2PendingTag {};  // has something for the end of the dispatch
struct H2WaitingTag {};  // has something to send at the end of the turn
struct H2LeavingTag {};  // kSent: waits for the kernel

class H2Stream : public ListHook<H2PendingTag>,
                 public ListHook<H2WaitingTag>,
                 public ListHook<H2LeavingTag> {
 public:
  enum class Out : uint8_t { kHead, kBody, kEnding, kSent, kLeft };

  // A stream takes body bytes up to here; then its source must wait for OnStreamWritable.
  static constexpr size_t kHighWatermark = 128 * 1024;
  static constexpr size_t kLowWatermark = 32 * 1024;

  int32_t id() const { return id_; }
  Out out() const { return out_; }
  bool in_ended() const { return in_ended_; }
  bool reset() const { return reset_; }

  // Body bytes that wait for the peer's window or for the transport.
  size_t queued_bytes() const { return lent_bytes_ + kept_.size() - taken_from_kept_; }

  // When a byte of it last moved, either way: what a time limit counts from.
  TimePoint moved_at() const { return moved_at_; }

 protected:
  H2Stream() = default;
  ~H2Stream() = default;

  void UnlinkAll() {
    ListHook<H2PendingTag>::Unlink();
    ListHook<H2WaitingTag>::Unlink();
    ListHook<H2LeavingTag>::Unlink();
  }

  // Forgets everything, for the next use of a recycled stream.
  void RecycleStream();

 private:
  friend class H2Session;

  std::vector<std::string_view> lent_;  // for the present dispatch, behind what is in kept_
  ByteQueue kept_;
  ByteQueue arrived_;                                    // while the receiver is paused
  std::vector<std::pair<uint32_t, uint32_t>> trailers_;  // lengths of names and values
  std::string trailer_text_;                             // and their text, one behind the other
  size_t lent_bytes_ = 0;
  size_t lent_begin_ = 0;       // of lent_: slices that were sent whole
  size_t taken_from_kept_ = 0;  // sent in this dispatch, still referred to
  uint64_t leaves_at_ = 0;      // the session's count of bytes at which its end stands
  TimePoint moved_at_{};
  int32_t id_ = 0;
  Out out_ = Out::kHead;
  bool opening_ = false;  // of a client: it waits to be known
  bool open_ = false;     // nghttp2 knows it
  bool reset_ = false;
  bool reset_by_peer_ = false;
  bool in_ended_ = false;
  bool end_arrived_ = false;    // END_STREAM is behind what is in arrived_
  bool block_arrived_ = false;  // on trailers
  bool paused_ = false;
  bool data_submitted_ = false;  // nghttp2 has what ends it: a data source, or trailers
  bool data_deferred_ = false;   // the source said that it has nothing
  bool trailers_follow_ = false;
  mutable bool was_congested_ = false;  // its source was told to wait
};

}  // namespace sluice
