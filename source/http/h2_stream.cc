#include "http/h2_stream.h"

namespace sluice {

void H2Stream::RecycleStream() {
  UnlinkAll();
  lent_.clear();
  kept_.Clear();
  arrived_.Clear();
  trailers_.clear();
  trailer_text_.clear();
  lent_bytes_ = lent_begin_ = taken_from_kept_ = 0;
  leaves_at_ = 0;
  moved_at_ = {};
  id_ = 0;
  out_ = Out::kHead;
  opening_ = open_ = reset_ = reset_by_peer_ = in_ended_ = end_arrived_ = block_arrived_ = paused_ =
      false;
  data_submitted_ = data_deferred_ = trailers_follow_ = was_congested_ = false;
}

}  // namespace sluice
