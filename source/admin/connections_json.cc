#include "admin/connections_json.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <nlohmann/json.hpp>

namespace sluice {
namespace {

using Json = nlohmann::ordered_json;

double Seconds(Duration duration) {
  return std::round(std::chrono::duration<double, std::milli>(duration).count()) / 1e3;
}

Json StreamJson(const ConnectionRecord::Stream& stream) {
  return {{"protocol", ProtocolName(stream.protocol)},
          {"route", stream.route},
          {"age_seconds", Seconds(stream.age)},
          {"bytes_in", stream.bytes_in},
          {"bytes_out", stream.bytes_out},
          {"waiting_for", stream.waiting_for}};
}

Json ConnectionJson(const ConnectionRecord& connection) {
  Json streams = Json::array();
  for (const auto& stream : connection.in_flight) streams.push_back(StreamJson(stream));
  return {{"listener", connection.listener},
          {"peer", connection.peer},
          {"state", connection.state},
          {"worker", connection.worker},
          {"requests", connection.requests},
          {"age_seconds", Seconds(connection.age)},
          {"in_flight", streams}};
}

}  // namespace

std::string ConnectionsJson(std::vector<ConnectionRecord> connections, size_t limit) {
  std::stable_sort(connections.begin(), connections.end(),
                   [](const auto& a, const auto& b) { return a.age > b.age; });
  uint64_t in_flight = 0;
  for (const auto& connection : connections) in_flight += connection.in_flight.size();
  Json list = Json::array();
  for (size_t i = 0; i < std::min(limit, connections.size()); ++i) {
    list.push_back(ConnectionJson(connections[i]));
  }
  const Json json = {
      {"total", connections.size()}, {"in_flight", in_flight}, {"connections", list}};
  return json.dump(2, ' ', false, Json::error_handler_t::replace);
}

}  // namespace sluice
