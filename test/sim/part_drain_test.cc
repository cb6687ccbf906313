// Drains of a route, a cluster, an endpoint, a listener, over HTTP/1.1, HTTP/2 and gRPC: what
// belongs to the part is refused, told and cut, and everything else on the same connections goes
// on.
#include "lifecycle/part_drain.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/log.h"
#include "http/part_drainer.h"
#include "proxy/proxy.h"
#include "server/snapshot.h"
#include "support/proxy_extras.h"
#include "support/sim_client.h"
#include "support/sim_h2_client.h"
#include "support/sim_h2_origin.h"
#include "support/sim_loop.h"
#include "support/sim_network.h"

namespace sluice {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::IsEmpty;

const Part kRouteA{PartKind::kRoute, "a"};
const Part kClusterA{PartKind::kCluster, "a"};
const Part kListener{PartKind::kListener, "in"};

RouteConfig RouteTo(const std::string& cluster) {
  RouteConfig route;
  route.name = cluster;
  route.match.headers = {{"x-route", FieldMatch::Kind::kExact, cluster}};
  route.clusters = {{cluster, 1}};
  route.timeout = {};
  return route;
}

ListenerConfig ListenerNamed(const std::string& name) {
  ListenerConfig listener;
  listener.name = listener.address = name;
  listener.timeouts = {minutes(5), minutes(5), minutes(5), minutes(5), minutes(5)};
  RouteConfig both = RouteTo("both");
  both.clusters = {{"a", 1}, {"b", 1}};
  listener.virtual_hosts = {{"default", {"*"}, {RouteTo("a"), RouteTo("b"), both}}};
  return listener;
}

ClusterConfig ClusterOf(const std::string& name, const std::vector<std::string>& endpoints) {
  ClusterConfig cluster;
  cluster.name = name;
  cluster.protocol = UpstreamProtocol::kHttp2;
  for (const std::string& endpoint : endpoints) cluster.endpoints.push_back({endpoint, 1});
  return cluster;
}

// Two listeners, "in" and "other"; route a goes to the endpoints a1 and a2, b to b1, both to
// either, by the field x-route. A worker and the process above it, all on simulated time.
class PartDrainSim : public testing::Test {
 protected:
  PartDrainSim() : snapshot_(MakeSnapshot()), shard_(metrics_.AddShard()) {
    LogOptions quiet;
    quiet.level = Level::kError;
    ConfigureLog(quiet, nullptr);
    for (const ClusterConfig& cluster : snapshot_->config.clusters) {
      clusters_[cluster.name] = std::make_unique<Cluster>(loop_, network_, cluster, shard_);
    }
    extras_.emplace(loop_, shard_);
    connections_.emplace(loop_, shard_, [this](const DrainScope&) {
      for (const char* name : {"in", "other"}) StopListening(name);
    });
    for (size_t i = 0; i < snapshot_->listeners.size(); ++i) {
      proxies_.push_back(std::make_unique<Proxy>(Proxy::Surroundings{
          loop_, *snapshot_->listeners[i].router, *snapshot_->listeners[i].forwarding, clusters_,
          connections_->long_lived(), extras_->websocket_metrics, extras_->websockets,
          connections_->parts()}));
      contexts_.push_back(
          std::make_unique<ListenerContext>(snapshot_->config.listeners[i].name, shard_));
      contexts_[i]->options = snapshot_->listeners[i].options;
      contexts_[i]->handler = proxies_[i].get();
      Listen(contexts_[i]->name);
    }
    drainer_.emplace(*connections_,
                     [this](const Part& part, bool work) { SwitchPart(part, work); });
    process_.emplace(loop_, snapshot_->config.drain, *connections_, DrainHooks{}, shard_);
    parts_.emplace(
        snapshot_->config.drain, PartNamesOf(snapshot_->config),
        PartDrainController::Surroundings{loop_, *process_, {&*drainer_}, shard_, nullptr});
    loop_.Dispatch([this] { process_->OnReady(); });
  }
  ~PartDrainSim() override {
    for (const char* name : {"in", "other"}) network_.StopListening(name);
  }

  static std::shared_ptr<const Snapshot> MakeSnapshot() {
    Config config;
    config.listeners = {ListenerNamed("in"), ListenerNamed("other")};
    config.clusters = {ClusterOf("a", {"a1", "a2"}), ClusterOf("b", {"b1"})};
    config.drain.deadline = seconds(20);
    config.drain.spread = seconds(2);
    config.access_log.enabled = false;
    return BuildSnapshot(std::move(config)).value();
  }

  void Listen(const std::string& name) {
    ListenerContext& context = *contexts_[name == "in" ? 0 : 1];
    network_.At(name).accept = [this, &context](std::unique_ptr<Transport> transport) {
      connections_->Accept(std::move(transport), context);
    };
  }
  void StopListening(const std::string& name) {
    network_.AcceptQueued(name);
    network_.StopListening(name);
  }
  void SwitchPart(const Part& part, bool work) {
    if (part.kind == PartKind::kListener) work ? Listen(part.name) : StopListening(part.name);
    if (part.kind == PartKind::kCluster) clusters_.at(part.name)->SetDrained(!work);
    if (part.kind != PartKind::kEndpoint) return;
    for (const auto& [name, cluster] : clusters_) cluster->SetEndpointDrained(part.name, !work);
  }

  void Drain(const Part& part) {
    loop_.Dispatch([&] { EXPECT_TRUE(parts_->Drain(part)); });
    loop_.RunFor({});
  }
  void Undrain(const Part& part) {
    loop_.Dispatch([&] { EXPECT_TRUE(parts_->Undrain(part)); });
    loop_.RunFor({});
  }
  std::optional<PartReport> Find(const Part& part) {
    std::optional<PartReport> found;
    connections_->Inspect([&](const DrainProgress& progress) {
      for (const PartReport& report : parts_->Describe(progress)) {
        if (report.progress.part == part) found = report;
      }
    });
    return found;
  }
  bool UntilDrained(const Part& part) {
    return loop_.RunUntil([&] { return Find(part) && Find(part)->state == PartState::kDrained; },
                          minutes(5));
  }
  bool Until(const std::function<bool()>& predicate) {
    return loop_.RunUntil(predicate, minutes(5));
  }

  std::unique_ptr<SimH2Client> ConnectH2(const std::string& listener = "in") {
    auto client = std::make_unique<SimH2Client>(loop_, network_, listener);
    client->Connect();
    return client;
  }
  std::unique_ptr<SimClient> Connect(const std::string& listener = "in") {
    auto client = std::make_unique<SimClient>(loop_, network_, listener);
    client->Connect();
    return client;
  }
  static SimFields To(const std::string& route) { return {{"x-route", route}}; }
  // The status of one request, waited for.
  int Ask(SimH2Client& client, const std::string& route) {
    const uint32_t id = client.Request("GET", "/fast", To(route));
    EXPECT_TRUE(Until([&] { return client.stream(id).answered(); })) << client.complaint();
    return client.stream(id).in.status;
  }
  size_t held() const { return a1_.held() + a2_.held() + b1_.held(); }
  void Release() {
    for (SimH2Origin* origin : {&a1_, &a2_, &b1_}) origin->Release();
  }

  SimLoop loop_;
  SimNetwork network_{loop_};
  SimH2Origin a1_{loop_, network_, "a1"};
  SimH2Origin a2_{loop_, network_, "a2"};
  SimH2Origin b1_{loop_, network_, "b1"};
  const std::shared_ptr<const Snapshot> snapshot_;
  Metrics metrics_;
  MetricShard& shard_;
  ClusterMap clusters_;
  std::optional<ProxyExtras> extras_;
  std::vector<std::unique_ptr<Proxy>> proxies_;
  std::vector<std::unique_ptr<ListenerContext>> contexts_;
  std::optional<ConnectionManager> connections_;
  std::optional<PartDrainer> drainer_;
  std::optional<DrainController> process_;
  std::optional<PartDrainController> parts_;
};

TEST_F(PartDrainSim, AConnectionOutlivesTheDrainOfARoute) {
  auto client = ConnectH2();
  const uint32_t a = client->Request("GET", "/hold", To("a"));
  const uint32_t b = client->Request("GET", "/hold", To("b"));
  ASSERT_TRUE(Until([&] { return held() == 2; }));
  Drain(kRouteA);
  const uint32_t refused = client->Request("GET", "/fast", To("a"));
  ASSERT_TRUE(Until([&] { return client->stream(refused).answered(); }));
  EXPECT_EQ(client->stream(refused).in.status, 503);
  EXPECT_EQ(client->stream(refused).in.Header("retry-after"), "1");
  EXPECT_EQ(Ask(*client, "b"), 200);
  EXPECT_EQ(Find(kRouteA)->progress.in_flight, 1u);

  Release();
  ASSERT_TRUE(UntilDrained(kRouteA));
  EXPECT_TRUE(Until([&] { return client->stream(b).answered(); }));
  EXPECT_EQ(client->stream(a).in.status, 200);
  EXPECT_EQ(client->stream(b).in.status, 200);
  Undrain(kRouteA);
  EXPECT_EQ(Ask(*client, "a"), 200);
  EXPECT_THAT(client->goaways(), IsEmpty());
  EXPECT_EQ(client->complaint(), "");
}

TEST_F(PartDrainSim, TheDeadlineCutsTheStreamsOfTheRouteAlone) {
  auto client = ConnectH2();
  const uint32_t before = client->Request("GET", "/hold", To("a"));
  const uint32_t midway = client->Request("GET", "/hold-mid?bytes=1000&at=400", To("a"));
  const uint32_t kept = client->Request("GET", "/hold-mid?bytes=1000&at=400", To("b"));
  ASSERT_TRUE(Until([&] { return held() == 3; }));
  Drain(kRouteA);
  loop_.RunFor(seconds(20) - milliseconds(1));
  EXPECT_EQ(client->resets(), 0u);
  ASSERT_TRUE(UntilDrained(kRouteA));

  ASSERT_TRUE(Until([&] { return client->stream(before).answered(); }));
  EXPECT_EQ(client->stream(before).in.status, 503);
  EXPECT_TRUE(client->stream(midway).reset_by_peer);
  EXPECT_EQ(Find(kRouteA)->progress.cut_total(), 2u);
  Release();
  ASSERT_TRUE(Until([&] { return client->stream(kept).answered(); }));
  EXPECT_TRUE(client->stream(kept).in.body_as_expected);
  EXPECT_THAT(client->goaways(), IsEmpty());
  EXPECT_EQ(client->complaint(), "");
}

TEST_F(PartDrainSim, GrpcIsToldInItsOwnWords) {
  auto client = ConnectH2();
  const uint32_t waiting = client->Grpc("/grpc-hold", 1, true, To("a"));
  const uint32_t streaming = client->Grpc("/grpc-echo", 1, false, To("a"));
  ASSERT_TRUE(Until([&] { return held() == 1 && client->stream(streaming).has_head; }));
  Drain(kRouteA);
  const uint32_t refused = client->Grpc("/grpc", 1, true, To("a"));
  ASSERT_TRUE(UntilDrained(kRouteA));
  for (const uint32_t id : {waiting, refused}) {
    ASSERT_TRUE(Until([&] { return client->stream(id).answered(); }));
    EXPECT_EQ(client->stream(id).in.status, 200);
    EXPECT_EQ(client->stream(id).in.Header("grpc-status"), "14");
    EXPECT_EQ(client->stream(id).in.Header("grpc-message"), "draining");
  }
  ASSERT_TRUE(Until([&] { return client->stream(streaming).answered(); }));
  EXPECT_THAT(client->stream(streaming).in.trailers,
              testing::Contains(testing::Pair("grpc-status", "14")));
  EXPECT_EQ(client->resets(), 0u);
  EXPECT_EQ(client->complaint(), "");
}

TEST_F(PartDrainSim, WhatLeavesSlowlyHasTheLastWait) {
  auto client = ConnectH2();
  const uint32_t slow = client->Request("GET", "/big?bytes=100000", To("a"));
  client->HoldWindow(slow);
  ASSERT_TRUE(Until([&] { return client->stream(slow).in.body_bytes == h2::kDefaultWindow; }));
  Drain(kRouteA);
  ASSERT_TRUE(UntilDrained(kRouteA));
  EXPECT_EQ(Find(kRouteA)->progress.cut_total(), 1u);
  ASSERT_TRUE(Until([&] { return client->resets() == 1; }));
  EXPECT_EQ(Ask(*client, "b"), 200);
}

TEST_F(PartDrainSim, OverHttp1TheConnectionStaysToo) {
  auto client = Connect();
  client->Request("GET", "/hold", "x-route: a\r\n");
  ASSERT_TRUE(Until([&] { return held() == 1; }));
  Drain(kRouteA);
  Release();
  ASSERT_TRUE(UntilDrained(kRouteA));
  client->Request("GET", "/fast", "x-route: a\r\n");
  client->Request("GET", "/fast", "x-route: b\r\n");
  ASSERT_TRUE(Until([&] { return client->answered() == 3; }));
  std::vector<int> statuses;
  for (const SimMessage& response : client->responses()) statuses.push_back(response.status);
  EXPECT_THAT(statuses, ElementsAre(200, 503, 200));
  EXPECT_FALSE(client->told_to_close());
  EXPECT_EQ(client->complaint(), "");
}

TEST_F(PartDrainSim, OverHttp1ACutTakesTheConnection) {
  auto cut = Connect();
  auto kept = Connect();
  cut->Request("GET", "/hold", "x-route: a\r\n");
  kept->Request("GET", "/hold", "x-route: b\r\n");
  ASSERT_TRUE(Until([&] { return held() == 2; }));
  Drain(kRouteA);
  ASSERT_TRUE(UntilDrained(kRouteA));
  ASSERT_TRUE(Until([&] { return cut->ended(); }));
  EXPECT_EQ(cut->responses().at(0).status, 503);
  EXPECT_TRUE(cut->responses().at(0).close);
  Release();
  ASSERT_TRUE(Until([&] { return kept->answered() == 1; }));
  EXPECT_EQ(kept->responses().at(0).status, 200);
}

TEST_F(PartDrainSim, UndrainBeforeTheEndLeavesWhatIsInFlightAlone) {
  auto client = ConnectH2();
  const uint32_t id = client->Request("GET", "/hold", To("a"));
  ASSERT_TRUE(Until([&] { return held() == 1; }));
  Drain(kRouteA);
  loop_.RunFor(seconds(10));
  Undrain(kRouteA);
  EXPECT_EQ(Ask(*client, "a"), 200);
  loop_.RunFor(minutes(1));
  EXPECT_FALSE(client->stream(id).over()) << "its deadline is gone";
  Release();
  ASSERT_TRUE(Until([&] { return client->stream(id).answered(); }));
  EXPECT_EQ(client->stream(id).in.status, 200);
}

TEST_F(PartDrainSim, ADrainedClusterIsNotChosenWhileAnotherIsThere) {
  auto client = ConnectH2();
  Drain(kClusterA);
  for (int i = 0; i < 20; ++i) EXPECT_EQ(Ask(*client, "both"), 200);
  EXPECT_EQ(a1_.seen().size() + a2_.seen().size(), 0u);
  EXPECT_EQ(Ask(*client, "a"), 503);
  Drain({PartKind::kCluster, "b"});
  EXPECT_EQ(Ask(*client, "both"), 503);
  Undrain(kClusterA);
  EXPECT_EQ(Ask(*client, "both"), 200);
  EXPECT_EQ(a1_.seen().size() + a2_.seen().size(), 1u);
}

TEST_F(PartDrainSim, ADrainedEndpointGetsNothingNewAndLosesItsConnections) {
  auto client = ConnectH2();
  for (int i = 0; i < 4; ++i) EXPECT_EQ(Ask(*client, "a"), 200);
  EXPECT_EQ(network_.open_at_client("a1"), 1u);
  const uint32_t one = client->Request("GET", "/hold", To("a"));
  const uint32_t two = client->Request("GET", "/hold", To("a"));
  ASSERT_TRUE(Until([&] { return a1_.held() == 1 && a2_.held() == 1; }));
  const Part endpoint{PartKind::kEndpoint, "a1"};
  const size_t seen = a1_.seen().size();
  Drain(endpoint);
  for (int i = 0; i < 4; ++i) EXPECT_EQ(Ask(*client, "a"), 200);
  EXPECT_EQ(a1_.seen().size(), seen);
  EXPECT_EQ(Find(endpoint)->progress.in_flight, 1u);
  EXPECT_EQ(network_.open_at_client("a1"), 1u) << "what is in flight there may finish";
  Release();
  ASSERT_TRUE(UntilDrained(endpoint));
  EXPECT_TRUE(Until([&] { return network_.open_at_client("a1") == 0; }));
  EXPECT_TRUE(
      Until([&] { return client->stream(one).answered() && client->stream(two).answered(); }));
  EXPECT_EQ(network_.open_at_client("a2"), 1u);
  Undrain(endpoint);
  for (int i = 0; i < 2; ++i) EXPECT_EQ(Ask(*client, "a"), 200);
  EXPECT_EQ(a1_.seen().size(), seen + 1);
}

TEST_F(PartDrainSim, WithoutAnEndpointThereIs503) {
  auto client = ConnectH2();
  Drain({PartKind::kEndpoint, "a1"});
  Drain({PartKind::kEndpoint, "a2"});
  const uint32_t id = client->Request("GET", "/fast", To("a"));
  ASSERT_TRUE(Until([&] { return client->stream(id).answered(); }));
  EXPECT_EQ(client->stream(id).in.status, 503);
  EXPECT_EQ(client->stream(id).in.Header("retry-after"), "1");
}

// A request that its endpoint refuses moves to another one: the drain of the first must not wait
// for it.
TEST_F(PartDrainSim, ARequestThatMovesIsNotWaitedFor) {
  auto client = ConnectH2();
  const uint32_t id = client->Request("GET", "/refuse?times=1", To("a"));
  ASSERT_TRUE(Until([&] { return a1_.seen().size() + a2_.seen().size() == 1; }));
  const Part endpoint{PartKind::kEndpoint, a1_.seen().empty() ? "a2" : "a1"};
  Drain(endpoint);
  ASSERT_TRUE(Until([&] { return client->stream(id).answered(); }));
  EXPECT_EQ(client->stream(id).in.status, 200);
  ASSERT_TRUE(UntilDrained(endpoint));
  EXPECT_EQ(Find(endpoint)->progress.cut_total(), 0u);
  EXPECT_LT(Find(endpoint)->age, seconds(1));
}

TEST_F(PartDrainSim, AListenerSaysGoodbyeAsTheProcessDoes) {
  auto h2 = ConnectH2();
  auto h1 = Connect();
  auto other = ConnectH2("other");
  const uint32_t id = h2->Request("GET", "/hold", To("a"));
  h1->Request("GET", "/fast", "x-route: b\r\n");
  ASSERT_TRUE(Until([&] { return held() == 1 && h1->answered() == 1; }));
  EXPECT_EQ(Ask(*other, "a"), 200);
  Drain(kListener);

  EXPECT_TRUE(Until([&] { return h1->ended(); })) << "idle: half-closed after the grace";
  EXPECT_EQ(h1->error(), 0);
  h1->Close();
  ASSERT_TRUE(Until([&] { return h2->goaways().size() == 2; }));
  EXPECT_EQ(h2->goaways()[1].last_stream, id);
  auto late = Connect();
  EXPECT_TRUE(Until([&] { return late->state() == SimClient::State::kFailed; })) << "refused";
  EXPECT_EQ(Ask(*other, "a"), 200);
  EXPECT_EQ(Find(kListener)->progress.connections, 1u);

  Release();
  ASSERT_TRUE(Until([&] { return h2->ended(); }));
  EXPECT_EQ(h2->stream(id).in.status, 200);
  h2->Close();
  ASSERT_TRUE(UntilDrained(kListener));
  EXPECT_THAT(other->goaways(), IsEmpty());
  Undrain(kListener);
  auto again = ConnectH2();
  EXPECT_EQ(Ask(*again, "a"), 200);
  loop_.RunFor(seconds(30));
  EXPECT_EQ(Ask(*again, "a"), 200) << "it was not told";
  EXPECT_THAT(again->goaways(), IsEmpty());
}

TEST_F(PartDrainSim, AtTheDeadlineOfAListenerItsConnectionsEnd) {
  auto h2 = ConnectH2();
  auto h1 = Connect();
  auto other = Connect("other");
  const uint32_t id = h2->Request("GET", "/hold", To("a"));
  h1->Request("GET", "/hold", "x-route: b\r\n");
  other->Request("GET", "/hold", "x-route: b\r\n");
  ASSERT_TRUE(Until([&] { return held() == 3; }));
  Drain(kListener);
  ASSERT_TRUE(UntilDrained(kListener));
  EXPECT_EQ(Find(kListener)->progress.cut_total(), 2u);
  EXPECT_EQ(h2->stream(id).in.status, 503);
  EXPECT_EQ(h1->responses().at(0).status, 503);
  EXPECT_TRUE(other->responses().empty());
  Release();
  ASSERT_TRUE(Until([&] { return other->answered() == 1; }));
}

TEST_F(PartDrainSim, TheDrainOfTheProcessGoesOnFromThere) {
  auto client = ConnectH2();
  const uint32_t a = client->Request("GET", "/hold", To("a"));
  const uint32_t b = client->Request("GET", "/hold", To("b"));
  ASSERT_TRUE(Until([&] { return held() == 2; }));
  Drain(kRouteA);
  process_->OnSignal(DrainTrigger::kSigterm);
  ASSERT_TRUE(Until([&] { return process_->phase() == Phase::kDraining; }));
  Release();
  ASSERT_TRUE(Until([&] { return client->ended(); }));
  client->Close();
  ASSERT_TRUE(Until([&] { return process_->phase() == Phase::kExited; }));
  EXPECT_EQ(client->stream(a).in.status, 200);
  EXPECT_EQ(client->stream(b).in.status, 200);
  EXPECT_EQ(process_->exit_code(), 0);
  EXPECT_EQ(Find(kRouteA)->state, PartState::kDrained);
}

}  // namespace
}  // namespace sluice
