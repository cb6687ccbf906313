#include "http/part_drains.h"

#include <utility>

namespace sluice {
namespace {

// A request that has met no configuration yet goes by none that is new.
bool Precedes(const RequestRecord& record, uint64_t generation) {
  return !record.generation || record.generation->number() < generation;
}

bool Concerns(const Part& part, const RequestRecord& record, const DownstreamInfo& info) {
  if (part.removed_by != 0 && !Precedes(record, part.removed_by)) return false;
  const auto is_within = [&](std::string_view name) {
    return part.within.empty() || part.within == name;
  };
  switch (part.kind) {
    case PartKind::kListener:
      return info.listener == part.name;
    case PartKind::kRoute:
      return record.route == part.name && is_within(info.listener);
    case PartKind::kCluster:
      return record.cluster == part.name;
    case PartKind::kEndpoint:
      return record.endpoint == part.name && is_within(record.cluster);
  }
  return false;
}

StreamFilter FilterOf(const Part& part) {
  return [part](const RequestRecord& record, const DownstreamInfo& info) {
    return Concerns(part, record, info);
  };
}

}  // namespace

PartDrain::PartDrain(const PartDrainOrder& what, TimePoint now)
    : order(what), concerns(FilterOf(what.part)), idle_grace(what.idle_grace, now) {
  progress.part = what.part;
}

PartDrain* PartDrains::Find(PartKind kind, std::string_view name) {
  for (PartDrain& drain : drains_) {
    const Part& part = drain.order.part;
    if (part.kind == kind && part.name == name && part.removed_by == 0) return &drain;
  }
  return nullptr;
}

PartDrain* PartDrains::Find(const Part& part) {
  for (PartDrain& drain : drains_) {
    if (drain.order.part == part) return &drain;
  }
  return nullptr;
}

PartDrain* PartDrains::Find(const ListenerContext& listener) {
  for (PartDrain& drain : drains_) {
    if (Is(drain.order.part, listener)) return &drain;
  }
  return nullptr;
}

PartDrain& PartDrains::Begin(const PartDrainOrder& order, TimePoint now) {
  return drains_.emplace_back(order, now);
}

void PartDrains::End(const Part& part) {
  drains_.remove_if([&](const PartDrain& drain) { return drain.order.part == part; });
}

void PartDrains::Settle(PartDrain& drain) {
  if (!drain.done || drain.remaining > 0) return;
  // What came in between (a request that was refused, say) is not in the count; it is made anew
  // before anybody relies on it.
  drain.remaining = drain.count();
  if (drain.remaining > 0) return;
  const auto done = std::exchange(drain.done, nullptr);
  PartProgress progress = drain.progress;
  progress.told = drain.long_lived->told;
  progress.left = drain.long_lived->left;
  done(progress);
}

void PartDrains::OnEnded(PartDrain& drain) {
  if (drain.remaining > 0) --drain.remaining;
  Settle(drain);
}

void PartDrains::OnRequestEnd(const RequestRecord& record, const DownstreamInfo& downstream,
                              bool counts_cut) {
  for (PartDrain& drain : drains_) {
    if (!drain.concerns(record, downstream)) continue;
    if (counts_cut && record.end == StreamEnd::kCut) {
      ++drain.progress.cut[static_cast<size_t>(record.protocol)];
    }
    const bool counted =
        drain.order.part.kind != PartKind::kListener && record.detail != kPartDraining;
    if (counted) OnEnded(drain);
  }
}

// Of which cluster it was does not matter here: before a drain is done, it is counted anew.
void PartDrains::OnEndpointLeft(std::string_view address) {
  for (PartDrain& drain : drains_) {
    const Part& part = drain.order.part;
    if (part.kind == PartKind::kEndpoint && part.name == address) OnEnded(drain);
  }
}

void PartDrains::OnConnectionOpened(const ListenerContext& listener) {
  if (PartDrain* const drain = Find(listener)) ++drain->remaining;
}

void PartDrains::OnConnectionClosed(const ListenerContext& listener) {
  if (PartDrain* const drain = Find(listener)) OnEnded(*drain);
}

TimePoint PartDrains::NextIdleGraceEnd(const ListenerContext& listener, TimePoint now,
                                       Duration otherwise) {
  PartDrain* const drain = Find(listener);
  return drain != nullptr ? drain->idle_grace.NextEnd(now) : now + otherwise;
}

std::vector<PartProgress> PartDrains::Progress() const {
  std::vector<PartProgress> all;
  for (const PartDrain& drain : drains_) {
    PartProgress& progress = all.emplace_back(drain.progress);
    progress.told = drain.long_lived->told;
    progress.left = drain.long_lived->left;
  }
  return all;
}

void PartDrains::CountConnection(const ListenerContext& listener,
                                 std::vector<PartProgress>& progress) const {
  for (PartProgress& one : progress) {
    if (Is(one.part, listener)) ++one.connections;
  }
}

void PartDrains::CountRequest(const RequestRecord& record, const DownstreamInfo& downstream,
                              std::vector<PartProgress>& progress) const {
  for (PartProgress& one : progress) {
    for (const PartDrain& drain : drains_) {
      if (drain.order.part == one.part && drain.concerns(record, downstream)) ++one.in_flight;
    }
  }
}

}  // namespace sluice
