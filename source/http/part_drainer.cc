#include "http/part_drainer.h"

#include <algorithm>
#include <utility>

namespace sluice {

PartDrainer::PartDrainer(ConnectionManager& connections, Switch work)
    : connections_(connections),
      drains_(connections.parts()),
      work_(std::move(work)),
      telling_(connections.loop(), [this](ServerConnection& connection) { Tell(connection); }),
      cutting_(connections.loop(), [this](ServerConnection& connection) { Cut(connection); }),
      cut_again_(connections.loop().timers(), Delegate::Bind<&PartDrainer::OnCutAgain>(this)) {}

PartDrainer::~PartDrainer() {
  for (PartDrain& drain : drains_.drains()) drain.done = nullptr;  // nobody can count any more
}

void PartDrainer::DrainPart(const PartDrainOrder& order,
                            std::function<void(const PartProgress&)> done) {
  PartDrain& drain = drains_.Begin(order, connections_.loop().Now());
  drain.count = [this, &drain] { return Count(drain); };
  if (order.part.kind == PartKind::kListener) {
    connections_.ForEachConnection([&](ServerConnection& connection) {
      if (Is(order.part, connection.context())) telling_.Add(connection);
    });
    telling_.Begin();
  }
  drain.long_lived = &connections_.long_lived().BeginDrain(drain.concerns, order.spread);
  work_(order.part, false);
  drain.remaining = drain.count();
  drain.done = std::move(done);
  drains_.Settle(drain);
}

// Unless its listener has been undrained before its turn came.
void PartDrainer::Tell(ServerConnection& connection) {
  if (drains_.Find(connection.context()) == nullptr) return;
  connection.BeginDrain(connections_.NextIdleGraceEnd(connection.context()));
}

uint64_t PartDrainer::Count(const PartDrain& drain) {
  uint64_t count = 0;
  const bool counts_connections = drain.order.part.kind == PartKind::kListener;
  connections_.ForEachConnection([&](ServerConnection& connection) {
    if (counts_connections) {
      count += Is(drain.order.part, connection.context()) ? 1 : 0;
      return;
    }
    connection.codec().ForEachStream([&](const RequestRecord& record) {
      count += drain.concerns(record, connection.info()) ? 1 : 0;
    });
  });
  return count;
}

void PartDrainer::CutPart(const Part& part) {
  PartDrain* const drain = drains_.Find(part);
  if (drain == nullptr) return;
  drain->cut = true;
  drain->cut_again_at = connections_.loop().Now() + drain->order.linger;
  if (!cut_again_.active()) cut_again_.Set(drain->cut_again_at);
  CutAll();
}

// The drain of the process has its own deadline, and its own sweep over the connections.
void PartDrainer::CutAll() {
  if (connections_.draining()) return;
  connections_.ForEachConnection(
      [this](ServerConnection& connection) { cutting_.Add(connection); });
  cutting_.Begin();
}

// What it has of any part that is being cut. It may have been waiting to be told of another.
void PartDrainer::Cut(ServerConnection& connection) {
  Tell(connection);
  for (const PartDrain& drain : drains_.drains()) {
    if (!drain.cut || connection.cut()) continue;
    if (drain.order.part.kind != PartKind::kListener) {
      connection.CutStreams(drain.concerns, drain.cut_again);
    } else if (Is(drain.order.part, connection.context())) {
      connection.Cut();  // it looks again by itself
    }
  }
}

void PartDrainer::OnCutAgain() {
  const TimePoint now = connections_.loop().Now();
  TimePoint next = kNever;
  for (PartDrain& drain : drains_.drains()) {
    if (drain.cut_again_at <= now) {
      drain.cut_again_at = kNever;
      drain.cut_again = true;
    }
    next = std::min(next, drain.cut_again_at);
  }
  CutAll();
  if (next != kNever) cut_again_.Set(next);
}

void PartDrainer::UndrainPart(const Part& part) {
  PartDrain* const drain = drains_.Find(part);
  if (drain == nullptr) return;
  connections_.long_lived().EndDrain(*drain->long_lived);
  drains_.End(part);
  work_(part, true);
}

}  // namespace sluice
