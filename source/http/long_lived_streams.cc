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
constexpr Duration kPace = std::chrono::milliseconds(1);

}  // namespace

LongLivedStreams::LongLivedStreams(Loop& loop)
    : loop_(loop), tick_(loop.timers(), Delegate::Bind<&LongLivedStreams::OnTick>(this)) {}

void LongLivedStreams::Add(LongLivedStream& stream) {
  home_.PushBack(&stream);
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
  if (LongLivedDrain* const drain = std::exchange(stream.drain_, nullptr)) {
    --drain->waiting;
    ++drain->left;
  }
}

void LongLivedStreams::Enqueue(LongLivedStream& stream, LongLivedDrain& drain) {
  stream.Unlink();
  stream.drain_ = &drain;
  drain.line.PushBack(&stream);
  ++drain.waiting;
  if (!tick_.active()) tick_.Set(loop_.Now() + kTick);
}

LongLivedDrain& LongLivedStreams::BeginDrain(StreamFilter concerns, Duration spread) {
  LongLivedDrain& drain = drains_.emplace_back();
  drain.concerns = std::move(concerns);
  std::vector<LongLivedStream*> chosen;
  home_.ForEach([&](LongLivedStream& stream) {
    if (drain.concerns(stream.stream().record(), stream.stream().downstream())) {
      stream.Unlink();  // here its neighbours are at hand, in random order they would not be
      chosen.push_back(&stream);
    }
  });
  drain.until = loop_.Now() + std::min(spread, kSlowestPace * static_cast<int>(chosen.size()));
  for (size_t left = chosen.size(); left > 0; --left) {
    std::swap(chosen[left - 1], chosen[loop_.random().Below(left)]);
    Enqueue(*chosen[left - 1], drain);
  }
  return drain;
}

void LongLivedStreams::EndDrain(LongLivedDrain& drain) {
  std::vector<LongLivedStream*> waiting;
  drain.line.ForEach([&](LongLivedStream& stream) {
    stream.Unlink();
    stream.drain_ = nullptr;
    home_.PushBack(&stream);
    waiting.push_back(&stream);
  });
  drains_.remove_if([&](const LongLivedDrain& one) { return &one == &drain; });
  for (LongLivedStream* stream : waiting) Assign(*stream);
}

void LongLivedStreams::OnTick() {
  const TimePoint now = loop_.Now();
  bool some_wait = false;
  bool behind = false;
  for (LongLivedDrain& drain : drains_) {
    TellSome(drain, now);
    some_wait = some_wait || drain.waiting > 0;
    behind = behind || (drain.waiting > kMostPerTick && drain.until <= now + kTick);
  }
  if (some_wait) tick_.Set(now + (behind ? kPace : kTick));
}

void LongLivedStreams::TellSome(LongLivedDrain& drain, TimePoint now) {
  size_t count = drain.waiting;
  if (drain.until > now + kTick) {
    // As many as keep the pace with which the line is empty in time; a fraction counts next time.
    const auto ticks_left = static_cast<double>((drain.until - now) / kTick);
    drain.due += static_cast<double>(drain.waiting) / ticks_left;
    count = static_cast<size_t>(drain.due);
    drain.due -= static_cast<double>(count);
  }
  count = std::min(count, kMostPerTick);
  for (; count > 0 && !drain.line.empty(); --count) {
    LongLivedStream& stream = *drain.line.front();
    stream.Unlink();
    stream.drain_ = nullptr;
    --drain.waiting;
    ++drain.told;
    if (stream.Tell()) continue;
    --drain.told;
    Enqueue(stream, drain);
  }
}

}  // namespace sluice
