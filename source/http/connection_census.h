// Counts what is in flight on the connections of one worker. Where much is, some of it in each turn
// of the loop: the count is then of no single moment, but nobody has waited for it.
//
// One worker thread.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <string>

#include "base/intrusive_list.h"
#include "base/timer_queue.h"
#include "http/part_drains.h"
#include "http/server_connection.h"
#include "sluice/drainable.h"
#include "sluice/loop.h"

namespace sluice {

class ConnectionCensus {
 public:
  using Connections = IntrusiveList<ServerConnection, ConnectionTag>;
  // With in_flight, in_flight_by_route, stragglers and the parts.
  using Report = std::function<void(const DrainProgress& counted)>;

  // All must outlive it.
  ConnectionCensus(Loop& loop, Connections& connections, const PartDrains& parts);
  ConnectionCensus(const ConnectionCensus&) = delete;

  // Calls `report` once: at once when there is little to count and nothing being counted.
  void Take(Report report);

  // `connection` is about to leave the list.
  void OnRemoved(ServerConnection& connection);

 private:
  void Begin();
  void Count(ServerConnection& connection);
  void CountSome();
  void OnNextTurn();

  Loop& loop_;
  Connections& connections_;
  const PartDrains& parts_;
  Timer next_turn_;
  std::deque<Report> asked_;  // the first of them is answered next
  bool counting_ = false;
  ServerConnection* position_ = nullptr;  // the next to be counted; null: none is left
  size_t counted_this_turn_ = 0;
  DrainProgress now_;
  std::map<std::string, uint64_t, std::less<>> by_route_;
  std::map<std::string, uint64_t, std::less<>>::iterator last_route_;
};

}  // namespace sluice
