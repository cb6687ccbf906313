#include "admin/connections_json.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace sluice {
namespace {

using std::chrono::milliseconds;

TEST(ConnectionsJsonTest, ListsTheOldestFirstAndCountsAll) {
  ConnectionRecord young, old, busy;
  young.age = milliseconds(10);
  young.peer = "young";
  old.age = milliseconds(3500);
  old.peer = "old";
  busy.age = milliseconds(20);
  busy.peer = "busy";
  busy.listener = "web";
  busy.state = "active";
  busy.worker = 2;
  busy.requests = 7;
  busy.in_flight.push_back({.protocol = Protocol::kTunnel,
                            .route = "default/0",
                            .age = milliseconds(5),
                            .bytes_in = 1,
                            .bytes_out = 2,
                            .waiting_for = "both ends"});
  const auto json = nlohmann::json::parse(ConnectionsJson({young, old, busy}, 2));
  EXPECT_EQ(json["total"], 3);
  EXPECT_EQ(json["in_flight"], 1);
  ASSERT_EQ(json["connections"].size(), 2u);
  EXPECT_EQ(json["connections"][0]["peer"], "old");
  EXPECT_EQ(json["connections"][0]["age_seconds"], 3.5);
  const auto& second = json["connections"][1];
  EXPECT_EQ(second["peer"], "busy");
  EXPECT_EQ(second["listener"], "web");
  EXPECT_EQ(second["state"], "active");
  EXPECT_EQ(second["worker"], 2);
  EXPECT_EQ(second["requests"], 7);
  EXPECT_EQ(second["in_flight"][0]["protocol"], "tunnel");
  EXPECT_EQ(second["in_flight"][0]["route"], "default/0");
  EXPECT_EQ(second["in_flight"][0]["waiting_for"], "both ends");
}

TEST(ConnectionsJsonTest, WithoutConnectionsItIsStillADocument) {
  const auto json = nlohmann::json::parse(ConnectionsJson({}, 10));
  EXPECT_EQ(json["total"], 0);
  EXPECT_TRUE(json["connections"].is_array());
}

TEST(ConnectionsJsonTest, BytesThatAreNotUtf8DoNotBreakIt) {
  ConnectionRecord record;
  record.peer = "\xff\xfe";
  EXPECT_TRUE(nlohmann::json::accept(ConnectionsJson({record}, 10)));
}

}  // namespace
}  // namespace sluice
