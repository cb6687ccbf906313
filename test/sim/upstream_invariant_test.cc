// Random upstreams under random requests, with all that a cluster can do at once: limits, retries,
// uploads that come back, mirrors, faults, ejections, checks, endpoints that come and go. Whatever
// happens, every request is answered or over in the end, and nothing stays counted.
//
//   SLUICE_SIM_SEED=17       this seed alone
//   SLUICE_SIM_SEEDS=20000   how many seeds to try (default 300)
#include <gtest/gtest.h>

#include <cstdio>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "support/environment.h"
#include "support/proxy_sim.h"
#include "support/script_origin.h"

namespace sluice {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using Connection = ScriptOrigin::Connection;

std::string Chunk(const std::string& bytes) {
  char size[32];
  std::snprintf(size, sizeof(size), "%zx\r\n", bytes.size());
  return bytes.empty() ? std::string() : size + bytes + "\r\n";
}

class Chaos {
 public:
  explicit Chaos(uint64_t seed) : random_(seed), sim_(seed, Options()) {
    for (const char* name : {"a", "b", "c", "d", "mirror"}) AddOrigin(name);
  }

  void Run() {
    for (int step = 0; step < 150; ++step) {
      Step();
      sim_.loop.RunFor(milliseconds(random_.Below(8)));
    }
    calm_ = true;
    for (const auto& [name, origin] : origins_) origin->Listen();
    sim_.loop.RunFor(seconds(120));
    sim_.loop.Dispatch([&] {
      sim_.cluster().SetEndpoints(kAll);
      sim_.cluster().Reap();
    });
    sim_.loop.RunFor(seconds(20));
  }

  void ExpectNothingLeft() {
    for (const char* name : {"origin", "shadow"}) {
      const Cluster& cluster = sim_.cluster(name);
      EXPECT_EQ(cluster.breaker().requests, 0u) << name;
      EXPECT_EQ(cluster.breaker().pending, 0u) << name;
      EXPECT_EQ(cluster.breaker().retries, 0u) << name;
      EXPECT_EQ(cluster.breaker().connections, 0u) << name;
      for (const auto& endpoint : cluster.endpoints()) EXPECT_EQ(endpoint->active(), 0u) << name;
    }
    for (const auto& client : clients_) {
      EXPECT_EQ(client->complaint(), "");
      const bool waits = client->state() == SimClient::State::kOpen && client->answered() == 0;
      EXPECT_FALSE(waits) << "a request without an answer";
    }
  }

 private:
  const std::vector<EndpointConfig> kAll = {
      {"a", 1}, {"b", 3}, {.address = "c", .priority = 1}, {"d", 1}};

  bool OneIn(uint64_t n) { return random_.Below(n) == 0; }

  ProxySimOptions Options() {
    ProxySimOptions options;
    options.edit = [this](Config& config) {
      ClusterConfig& cluster = config.clusters[0];
      EditCluster(cluster);
      ClusterConfig mirror = cluster;
      mirror.name = "shadow";
      mirror.endpoints = {{"mirror", 1}};
      config.clusters.push_back(mirror);
      EditRoute(config.listeners[0].virtual_hosts[0].routes[0]);
    };
    return options;
  }

  void EditCluster(ClusterConfig& cluster) {
    cluster.endpoints = {kAll[0], kAll[1], kAll[2]};
    cluster.circuit_breaker.connections = static_cast<uint32_t>(random_.Below(6));
    cluster.circuit_breaker.pending = static_cast<uint32_t>(random_.Below(6));
    cluster.circuit_breaker.requests = static_cast<uint32_t>(random_.Below(12));
    if (OneIn(2)) cluster.circuit_breaker.max_wait = milliseconds(100);
    cluster.max_connections = static_cast<uint32_t>(random_.Below(4));
    cluster.max_requests_per_connection = random_.Below(3);
    cluster.idle_timeout = seconds(2);
    cluster.partial_post_replay = true;
    cluster.load_balancing = static_cast<LoadBalancing>(random_.Below(5));
    cluster.hash_on.kind = HashOn::Kind::kSource;
    if (OneIn(2)) cluster.slow_start.window = seconds(5);
    if (OneIn(2)) {
      cluster.outlier.consecutive_5xx = 2;
      cluster.outlier.base_ejection = milliseconds(500);
    }
  }

  void EditRoute(RouteConfig& route) {
    route.timeout = seconds(3);
    route.retries.statuses = {"503"};
    route.retries.any_method = OneIn(2);
    if (OneIn(2)) route.retries.per_try_timeout = milliseconds(300);
    if (OneIn(2)) route.retries.backoff = {};
    route.retries.body_bytes = OneIn(2) ? 64 * 1024 : 1000;
    if (OneIn(2)) route.max_in_flight = 9;
    if (OneIn(2)) route.mirror = MirrorConfig{.cluster = "shadow", .percent = 50};
    if (OneIn(3)) route.fault = FaultConfig{.delay_percent = 30, .delay = milliseconds(50)};
  }

  // ---- upstreams

  void AddOrigin(const std::string& name) {
    auto origin = std::make_unique<ScriptOrigin>(sim_.loop, sim_.network, name);
    origin->on_head = [this](Connection& connection) {
      if (!calm_ && OneIn(20)) connection.Reset();
    };
    origin->on_body = [this](Connection& connection) { OnBody(connection); };
    origin->on_message = [this](Connection& connection) { OnMessage(connection); };
    origins_[name] = std::move(origin);
  }

  void OnBody(Connection& connection) {
    if (!connection.open()) return;
    const std::string got = connection.body();
    const auto given = given_back_.find(&connection);
    if (given != given_back_.end()) {
      connection.Write(Chunk(got.substr(given->second)));
      given->second = got.size();
      return;
    }
    if (calm_) return;
    const uint64_t what = random_.Below(12);
    if (what == 0) connection.Reset();
    if (what != 1) return;
    connection.Write(
        "HTTP/1.1 379 Partial POST Replay\r\nConnection: close\r\n"
        "Transfer-Encoding: chunked\r\n\r\n" +
        Chunk(got));
    given_back_[&connection] = got.size();
  }

  void OnMessage(Connection& connection) {
    if (!connection.open() || given_back_.contains(&connection)) return;
    switch (calm_ ? 8 : random_.Below(9)) {
      case 0:
        return connection.Reset();
      case 1:
        return connection.Respond("503 Service Unavailable", {}, "later");
      case 2:
        return connection.Respond("503 Service Unavailable", "Retry-After: 1\r\n");
      case 3:
        return;  // never
      case 4:
        return connection.Write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345");
      case 5:
        return connection.Respond("200 OK", "x-sluice-drain: true\r\n");
      default:
        return connection.Respond("200 OK", {}, "hello");
    }
  }

  // ---- what happens

  void Step() {
    switch (random_.Below(14)) {
      case 0:
      case 1:
      case 2:
      case 3:
        clients_.push_back(sim_.Connect());
        return clients_.back()->Request(
            OneIn(2) ? "GET" : "PUT", "/x", {},
            OneIn(2) ? SimBody(0, random_.Below(100'000)) : std::string());
      case 4:
      case 5:
        clients_.push_back(sim_.Connect());
        return clients_.back()->Upload("/x", 1 + random_.Below(300'000), 16 * 1024,
                                       milliseconds(random_.Below(20)));
      case 6:
      case 7:
        if (h2_clients_.empty() || OneIn(3)) h2_clients_.push_back(sim_.ConnectH2());
        h2_clients_.back()->Request("POST", "/x", {}, SimBody(0, random_.Below(50'000)));
        return;
      case 8:
        return Disturb();
      case 9:
        return ChooseEndpoints();
      case 10:
        return Check();
      case 11:
        return StopOrGoOn(*origins_[kAll[random_.Below(kAll.size())].address]);
      case 12:
        return sim_.loop.Dispatch([&] { sim_.cluster().Reap(); });
      default:
        return sim_.loop.RunFor(milliseconds(random_.Below(400)));
    }
  }

  void Disturb() {
    if (clients_.empty()) return;
    SimClient& client = *clients_[random_.Below(clients_.size())];
    const bool resets = OneIn(2);
    sim_.loop.Dispatch([&] { resets ? client.Reset() : client.Close(); });
  }

  void ChooseEndpoints() {
    std::vector<EndpointConfig> some;
    for (const EndpointConfig& endpoint : kAll) {
      if (!OneIn(3)) some.push_back(endpoint);
    }
    sim_.loop.Dispatch([&] { sim_.cluster().SetEndpoints(some); });
  }

  void Check() {
    const std::string& address = kAll[random_.Below(kAll.size())].address;
    const EndpointHealth health{.healthy = OneIn(2), .draining = OneIn(4), .known = true};
    sim_.loop.Dispatch([&] { sim_.cluster().SetHealth(address, health); });
  }

  void StopOrGoOn(ScriptOrigin& origin) {
    if (OneIn(3)) origin.Kill();
    OneIn(2) ? origin.Stop() : origin.Listen();
  }

  Random random_;
  bool calm_ = false;  // upstreams answer at once
  ProxySim sim_;
  std::map<Connection*, size_t> given_back_;  // and how much of it
  std::map<std::string, std::unique_ptr<ScriptOrigin>> origins_;
  std::vector<std::unique_ptr<SimClient>> clients_;
  std::vector<std::unique_ptr<SimH2Client>> h2_clients_;
};

TEST(UpstreamInvariant, EveryRequestEndsAndNothingStaysCounted) {
  const uint64_t seeds = FromEnvironment("SLUICE_SIM_SEEDS", 300);
  const uint64_t only = FromEnvironment("SLUICE_SIM_SEED", 0);
  for (uint64_t seed = only == 0 ? 1 : only; seed <= (only == 0 ? seeds : only); ++seed) {
    SCOPED_TRACE("SLUICE_SIM_SEED=" + std::to_string(seed));
    Chaos chaos(seed);
    chaos.Run();
    chaos.ExpectNothingLeft();
    if (::testing::Test::HasFailure()) break;
  }
}

}  // namespace
}  // namespace sluice
