#include "http/part_drains.h"

#include <utility>

namespace sluice {
namespace {

StreamFilter FilterOf(const Part& part) {
  const std::string& name = part.name;
  switch (part.kind) {
    case PartKind::kListener:
      return [name](const RequestRecord&, const DownstreamInfo& info) {
        return info.listener == name;
      };
    case PartKind::kRoute:
      return [name](const RequestRecord& record, const DownstreamInfo&) {
        return record.route == name;
      };
    case PartKind::kCluster:
      return [name](const RequestRecord& record, const DownstreamInfo&) {
        return record.cluster == name;
      };
    case PartKind::kEndpoint:
      return [name](const RequestRecord& record, const DownstreamInfo&) {
        return record.endpoint == name;
      };
  }
  return nullptr;
}

}  // namespace

PartDrain::PartDrain(const PartDrainOrder& what, TimePoint now)
    : order(what), concerns(FilterOf(what.part)), idle_grace(what.idle_grace, now) {
  progress.part = what.part;
}

PartDrain* PartDrains::Find(PartKind kind, std::string_view name) {
  for (PartDrain& drain : drains_) {
    if (drain.order.part.kind == kind && drain.order.part.name == name) return &drain;
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

void PartDrains::OnEndpointLeft(std::string_view address) {
  if (PartDrain* const drain = Find(PartKind::kEndpoint, address)) OnEnded(*drain);
}

void PartDrains::OnConnectionOpened(std::string_view listener) {
  if (PartDrain* const drain = Find(PartKind::kListener, listener)) ++drain->remaining;
}

void PartDrains::OnConnectionClosed(std::string_view listener) {
  if (PartDrain* const drain = Find(PartKind::kListener, listener)) OnEnded(*drain);
}

TimePoint PartDrains::NextIdleGraceEnd(std::string_view listener, TimePoint now,
                                       Duration otherwise) {
  PartDrain* const drain = Find(PartKind::kListener, listener);
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

void PartDrains::CountConnection(std::string_view listener,
                                 std::vector<PartProgress>& progress) const {
  for (PartProgress& one : progress) {
    if (one.part.kind == PartKind::kListener && one.part.name == listener) ++one.connections;
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
