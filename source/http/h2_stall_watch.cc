#include "http/h2_stall_watch.h"

#include <utility>

namespace sluice {

H2StallWatch::H2StallWatch(Loop& loop, const Transport& transport, const HttpTimeouts& timeouts,
                           Owner& owner)
    : loop_(loop),
      transport_(transport),
      timeouts_(timeouts),
      owner_(owner),
      timer_(loop.timers(), Delegate::Bind<&H2StallWatch::Look>(this)) {}

void H2StallWatch::Start() {
  if (timer_.active()) return;
  untaken_ = SIZE_MAX;
  Look();
}

void H2StallWatch::OnEof() {
  eof_ = true;
  if (!stopped_) timer_.Set(loop_.Now());
}

void H2StallWatch::Stop() {
  stopped_ = true;
  timer_.Stop();
}

void H2StallWatch::Look() {
  const bool transport_waits = transport_.queued_bytes() > 0;
  if (stopped_ || (!transport_waits && !owner_.HasStreams())) return;
  const TimePoint now = loop_.Now();
  next_ = now + timeouts_.write;
  if (timeouts_.body != Duration::zero()) LookAgainBy(now + timeouts_.body);
  if (eof_) LookAgainBy(now + Soon());

  const size_t untaken = transport_.untaken_bytes();
  const size_t before = std::exchange(untaken_, untaken);
  if (untaken == 0 || untaken < before) transport_moved_at_ = now;
  if (!transport_waits) {
    owner_.LookAtStreams();
  } else if (transport_moved_at_ + timeouts_.write <= now) {
    owner_.OnTransportStalled();
  } else {
    LookAgainBy(transport_moved_at_ + timeouts_.write);
  }
  if (!stopped_) timer_.Set(next_);
}

// When bytes are given up that nothing will free. Not at once: what was queued in this turn of the
// loop has not been tried yet.
Duration H2StallWatch::Soon() const {
  return std::max<Duration>(timeouts_.linger, std::chrono::milliseconds(10));
}

std::optional<H2StallWatch::Stall> H2StallWatch::StallOf(Wait wait, TimePoint moved_at) {
  Stall stall = Stall::kNotTaken;
  Duration limit = timeouts_.write;
  if (wait == Wait::kSendBody) {
    stall = Stall::kNoBody;
    limit = timeouts_.body;
    if (limit == Duration::zero()) return std::nullopt;
  } else if (wait == Wait::kNothing) {
    return std::nullopt;
  } else if (eof_ && transport_.queued_bytes() == 0) {
    stall = Stall::kNeverTaken;
    limit = Soon();
  }
  const TimePoint deadline = moved_at + limit;
  if (deadline <= loop_.Now()) return stall;
  LookAgainBy(deadline);
  return std::nullopt;
}

}  // namespace sluice
