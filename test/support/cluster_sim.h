// A test of one cluster: upstreams that do as they are told, by their addresses, and the whole
// proxy before them, on simulated time.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "support/proxy_sim.h"
#include "support/script_origin.h"

namespace sluice {

class ClusterSim : public ::testing::Test {
 protected:
  void Start(std::vector<EndpointConfig> endpoints) {
    options.edit = [this, endpoints](Config& config) {
      ClusterConfig& cluster = config.clusters[0];
      cluster.endpoints = endpoints;
      RouteConfig& route = config.listeners[0].virtual_hosts[0].routes[0];
      if (edit) edit(cluster, route);
      if (route.mirror) {
        ClusterConfig mirror;
        mirror.name = route.mirror->cluster;
        mirror.endpoints = {{"mirror", 1}};
        if (edit_mirror) edit_mirror(mirror);
        config.clusters.push_back(mirror);
      }
    };
    sim = std::make_unique<ProxySim>(1, options);
    for (const EndpointConfig& endpoint : endpoints) Add(endpoint.address);
    client = sim->Connect();
  }
  void Add(const std::string& address) {
    origins[address] = std::make_unique<ScriptOrigin>(sim->loop, sim->network, address);
  }
  void TearDown() override {
    client.reset();
    if (sim != nullptr) sim->loop.RunFor(std::chrono::seconds(60));
    origins.clear();
  }

  ScriptOrigin& At(const std::string& address) { return *origins.at(address); }
  int Ask(const std::string& fields = {}, const std::string& method = "GET") {
    const size_t before = client->answered();
    client->Request(method, "/x", fields);
    if (!sim->Until([&] { return client->answered() > before || client->ended(); })) return 0;
    if (client->answered() == before) return 0;
    return client->responses().back().status;
  }
  // So many requests, and how many of them each upstream got.
  std::map<std::string, size_t> Spread(int count, const std::string& fields = {}) {
    std::map<std::string, size_t> before;
    for (const auto& [address, origin] : origins) before[address] = origin->messages();
    for (int i = 0; i < count; ++i) EXPECT_EQ(Ask(fields), 200);
    std::map<std::string, size_t> got;
    for (const auto& [address, origin] : origins) {
      got[address] = origin->messages() - before[address];
    }
    return got;
  }
  EndpointState StateOf(size_t place) {
    return sim->cluster().endpoints()[place]->state(sim->loop.Now());
  }
  void SetHealth(const std::string& address, bool healthy) {
    sim->loop.Dispatch([&] {
      sim->cluster().SetHealth(address, {.healthy = healthy, .draining = false, .known = true});
    });
  }

  ProxySimOptions options;
  std::function<void(ClusterConfig&, RouteConfig&)> edit;
  std::function<void(ClusterConfig&)> edit_mirror;  // of one that a route names
  std::unique_ptr<ProxySim> sim;
  std::map<std::string, std::unique_ptr<ScriptOrigin>> origins;
  std::unique_ptr<SimClient> client;
};

inline const std::vector<EndpointConfig> kTwo = {{"a", 1}, {"b", 1}};

}  // namespace sluice
