#include "http/long_lived_streams.h"

#include <algorithm>
#include <chrono>
#include <utility>
#include <vector>

namespace sluice {
namespace {

constexpr Duration kTick = std::chrono::milliseconds(5);

// Few streams do not need the whole spread: so many at least are told in a second.
constexpr Duration kSlowestPace = std::chrono::milliseconds(20);

// No turn of the loop tells more than these: what they set off has to be done in the next turns.
constexpr size_t kMostPerTick = 64;

// Nor looks a turn at more than these: what is idle has left the caches.
constexpr size_t kMostSeenPerTurn = 4096;

constexpr Duration kPace = std::chrono::milliseconds(1);

}  // namespace

LongLivedStreams::LongLivedStreams(Loop& loop)
    : loop_(loop), tick_(loop.timers(), Delegate::Bind<&LongLivedStreams::OnTick>(this)) {}

void LongLivedStreams::Add(LongLivedStream& stream) {
  untold_.PushBack(&stream);
  ++count_;
  Assign(stream);
}

// To the first drain that concerns it, if any does.
void LongLivedStreams::Assign(LongLivedStream& stream) {
  for (LongLivedDrain& drain : drains_) {
    if (!drain.concerns(stream.stream().record(), stream.stream().downstream())) continue;
    Enqueue(stream, drain);
    return;
  }
}

void LongLivedStreams::Remove(LongLivedStream& stream) {
  if (!stream.linked()) return;
  stream.Unlink();
  --count_;
  if (stream.drain_ == nullptr) return;
  ++stream.drain_->left;
  Dequeue(stream);
}

void LongLivedStreams::Withdraw(LongLivedStream& stream) {
  if (!stream.linked()) return;
  stream.Unlink();
  --count_;
  if (stream.drain_ != nullptr) Dequeue(stream);
}

void LongLivedStreams::Enqueue(LongLivedStream& stream, LongLivedDrain& drain) {
  stream.drain_ = &drain;
  stream.place_ = drain.waiting.size();
  drain.waiting.push_back(&stream);
  if (!tick_.active()) tick_.Set(loop_.Now() + kTick);
}

void LongLivedStreams::Dequeue(LongLivedStream& stream) {
  auto& waiting = std::exchange(stream.drain_, nullptr)->waiting;
  LongLivedStream& last = *waiting.back();
  waiting[stream.place_] = &last;
  last.place_ = stream.place_;
  waiting.pop_back();
}

LongLivedDrain& LongLivedStreams::BeginDrain(StreamFilter concerns, Duration spread) {
  LongLivedDrain& drain = drains_.emplace_back();
  drain.concerns = std::move(concerns);
  unseen_.TakeAll(untold_);
  ShowSome();
  const size_t most = unseen_.empty() ? drain.waiting.size() : count_;
  drain.until = loop_.Now() + std::min(spread, kSlowestPace * static_cast<int>(most));
  return drain;
}

void LongLivedStreams::ShowSome() {
  for (size_t i = 0; i < kMostSeenPerTurn && !unseen_.empty(); ++i) {
    LongLivedStream& stream = *unseen_.front();
    stream.Unlink();
    untold_.PushBack(&stream);
    if (stream.drain_ == nullptr) Assign(stream);
  }
  // Also those have to be told who waited before, and whose tick this one may have been.
  if (!unseen_.empty()) {
    tick_.Set(loop_.Now() + kPace);
  } else if (count_ > 0 && !tick_.active()) {
    tick_.Set(loop_.Now() + kTick);
  }
}

void LongLivedStreams::EndDrain(LongLivedDrain& drain) {
  const std::vector<LongLivedStream*> waiting = std::move(drain.waiting);
  drains_.remove_if([&](const LongLivedDrain& one) { return &one == &drain; });
  for (LongLivedStream* stream : waiting) {
    stream->drain_ = nullptr;
    Assign(*stream);
  }
}

void LongLivedStreams::OnTick() {
  if (!unseen_.empty()) return ShowSome();
  const TimePoint now = loop_.Now();
  bool some_wait = false;
  bool behind = false;
  for (LongLivedDrain& drain : drains_) {
    TellSome(drain, now);
    some_wait = some_wait || !drain.waiting.empty();
    behind = behind || (drain.waiting.size() > kMostPerTick && drain.until <= now + kTick);
  }
  if (some_wait) tick_.Set(now + (behind ? kPace : kTick));
}

void LongLivedStreams::TellSome(LongLivedDrain& drain, TimePoint now) {
  size_t count = drain.waiting.size();
  if (drain.until > now + kTick) {
    // As many as keep the pace with which the line is empty in time; a fraction counts next time.
    const auto ticks_left = static_cast<double>((drain.until - now) / kTick);
    drain.due += static_cast<double>(drain.waiting.size()) / ticks_left;
    count = static_cast<size_t>(drain.due);
    drain.due -= static_cast<double>(count);
  }
  count = std::min(count, kMostPerTick);
  for (; count > 0 && !drain.waiting.empty(); --count) {
    LongLivedStream& stream = *drain.waiting[loop_.random().Below(drain.waiting.size())];
    stream.Unlink();
    Dequeue(stream);
    ++drain.told;
    --count_;
    if (stream.Tell()) continue;
    --drain.told;
    ++count_;
    untold_.PushBack(&stream);
    Enqueue(stream, drain);
  }
}

}  // namespace sluice
