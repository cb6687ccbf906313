#include "http/connection_census.h"

#include <chrono>
#include <string>
#include <utility>

#include "http/listener_context.h"

namespace sluice {
namespace {

// Connections and streams. What is idle has left the caches: so many take about a millisecond.
constexpr size_t kMostPerTurn = 4096;
constexpr Duration kPace = std::chrono::milliseconds(1);

}  // namespace

ConnectionCensus::ConnectionCensus(Loop& loop, Connections& connections, const PartDrains& parts)
    : loop_(loop),
      connections_(connections),
      parts_(parts),
      next_turn_(loop.timers(), Delegate::Bind<&ConnectionCensus::OnNextTurn>(this)),
      last_route_(by_route_.end()) {}

void ConnectionCensus::Take(Report report) {
  asked_.push_back(std::move(report));
  if (asked_.size() == 1) Begin();
}

void ConnectionCensus::OnRemoved(ServerConnection& connection) {
  if (position_ == &connection) position_ = connections_.Next(&connection);
}

void ConnectionCensus::OnNextTurn() { counting_ ? CountSome() : Begin(); }

void ConnectionCensus::Begin() {
  counting_ = true;
  now_.parts = parts_.Progress();
  by_route_.clear();
  last_route_ = by_route_.end();
  position_ = connections_.empty() ? nullptr : connections_.front();
  CountSome();
}

void ConnectionCensus::CountSome() {
  counted_this_turn_ = 0;
  while (position_ != nullptr && counted_this_turn_ < kMostPerTurn) {
    Count(*std::exchange(position_, connections_.Next(position_)));
  }
  if (position_ != nullptr) {
    next_turn_.Set(loop_.Now() + kPace);
    return;
  }
  for (const auto& [route, count] : by_route_) now_.in_flight_by_route.emplace_back(route, count);
  const Report report = std::move(asked_.front());
  asked_.pop_front();
  counting_ = false;
  if (!asked_.empty()) next_turn_.Set(loop_.Now() + kPace);
  report(std::exchange(now_, {}));
}

void ConnectionCensus::Count(ServerConnection& connection) {
  ++counted_this_turn_;
  parts_.CountConnection(connection.context(), now_.parts);
  connection.codec().ForEachStream([&](const RequestRecord& record) {
    ++counted_this_turn_;
    parts_.CountRequest(record, connection.info(), now_.parts);
    ++now_.in_flight[static_cast<size_t>(record.protocol)];
    // One stream's route is most often that of the one before.
    if (last_route_ == by_route_.end() || last_route_->first != record.route) {
      last_route_ = by_route_.try_emplace(std::string(record.route)).first;
    }
    ++last_route_->second;
    if (now_.stragglers.size() < DrainProgress::kMaxStragglers) {
      now_.stragglers.push_back({record.protocol, connection.context().name,
                                 std::string(record.route), connection.info().peer,
                                 loop_.Now() - record.started, record.bytes_in, record.bytes_out,
                                 std::string(record.waiting_for)});
    }
  });
}

}  // namespace sluice
