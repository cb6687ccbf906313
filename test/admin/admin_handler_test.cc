#include "admin/admin_handler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <optional>

#include "lifecycle/fake_drainable.h"
#include "lifecycle/fake_part_drainable.h"
#include "support/fake_stream.h"
#include "support/sim_loop.h"

namespace sluice {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HasSubstr;
using Json = nlohmann::json;

// An admin over a real drain controller, on simulated time. Requests come from the loopback.
class AdminHandlerTest : public testing::Test {
 protected:
  AdminHandlerTest() {
    config_.jitter = Duration::zero();
    MetricShard& shard = metrics_.AddShard();
    drain_.emplace(loop_, config_, target_, DrainHooks{}, shard);
    PartNames names;
    names.by_kind[static_cast<size_t>(PartKind::kRoute)] = {"default/0", "static"};
    names.by_kind[static_cast<size_t>(PartKind::kEndpoint)] = {"[::1]:80"};
    part_drain_.emplace(
        config_, names,
        PartDrainController::Surroundings{loop_, *drain_, {&worker_}, shard, nullptr});
    admin_.emplace(loop_, *drain_, *part_drain_,
                   AdminSources{.config_text = [] { return std::string("workers: 2\n"); },
                                .metrics_text = [this](auto reply) { reply(metrics_.Text()); },
                                .connections = [this](auto reply) { reply_ = std::move(reply); },
                                .clusters = [this](const auto& reply) { reply(clusters_); },
                                .unready = [this] { return unready_; },
                                .restart = [this](auto reply) { restart_ = std::move(reply); },
                                .tls = [this](bool reload) { return Tls(reload); },
                                .last_reload = [this] { return reload_report_; },
                                .reload =
                                    [this](auto reply) {
                                      ++reloads_;
                                      reply(reload_report_);
                                    }});
  }

  std::vector<ClusterRecord> clusters_;
  std::string unready_;

  void Ready() {
    loop_.Dispatch([this] { drain_->OnReady(); });
  }

  FakeStream& Ask(std::string_view method, std::string_view path, bool end_stream = true,
                  const std::vector<std::pair<std::string_view, std::string_view>>& fields = {},
                  std::string_view host = "127.0.0.1:9901") {
    FakeStream& stream = streams_.emplace_back(loop_, method, path);
    stream.request().authority = host;
    for (const auto& [name, value] : fields) stream.request().headers.Add(name, value);
    loop_.Dispatch([&] { stream.Deliver(*admin_, end_stream); });
    return stream;
  }
  TlsReport Tls(bool reload) {
    TlsReport report;
    report.entries = {{"listeners.edge", {{"/a.pem", "CN=a", {"a.test"}, WallTime{}}}, {}}};
    if (reload && tls_broken_) report.entries[0].error = "/a.pem: No such file or directory";
    return report;
  }

  static Json Parse(const FakeStream& stream) { return Json::parse(stream.body(), nullptr, false); }
  void RunFor(Duration span) { loop_.RunFor(span); }
  void Settle() { loop_.RunFor(Duration::zero()); }

  SimLoop loop_;
  DrainConfig config_;
  FakeDrainable target_;
  Metrics metrics_;
  std::optional<DrainController> drain_;
  FakePartDrainable worker_;
  std::optional<PartDrainController> part_drain_;
  std::optional<AdminHandler> admin_;
  std::deque<FakeStream> streams_;
  std::function<void(std::vector<ConnectionRecord>)> reply_;
  std::function<void(Result<int>)> restart_;
  ReloadReport reload_report_;
  int reloads_ = 0;
  bool tls_broken_ = false;
};

TEST_F(AdminHandlerTest, ReloadsTheConfigurationAndSaysHowThatWent) {
  Ready();
  EXPECT_EQ(Parse(Ask("GET", "/reload"))["result"], "never");
  EXPECT_EQ(reloads_, 0);
  reload_report_.result = ReloadReport::Result::kChanged;
  reload_report_.generation = 2;
  reload_report_.diff = {{ConfigChange::Kind::kChanged, "drain.deadline", "20s", "5s", false},
                         {ConfigChange::Kind::kAdded, "clusters[b]", "", "", false},
                         {ConfigChange::Kind::kChanged, "workers", "1", "2", true}};
  FakeStream& changed = Ask("POST", "/reload");
  EXPECT_EQ(changed.status(), 200);
  EXPECT_EQ(reloads_, 1);
  const Json report = Parse(changed);
  EXPECT_EQ(report["result"], "changed");
  EXPECT_EQ(report["generation"], 2);
  EXPECT_EQ(
      report["changes"],
      Json::array(
          {{{"what", "changed"}, {"path", "drain.deadline"}, {"before", "20s"}, {"after", "5s"}},
           {{"what", "added"}, {"path", "clusters[b]"}}}));
  EXPECT_EQ(report["at_restart"][0]["path"], "workers");
  EXPECT_EQ(Parse(Ask("GET", "/reload")), report);
}

TEST_F(AdminHandlerTest, ARefusedReloadSaysWhereItIsWrong) {
  Ready();
  reload_report_.result = ReloadReport::Result::kRefused;
  reload_report_.error = "a:1:2: x";
  FakeStream& refused = Ask("POST", "/reload");
  EXPECT_EQ(refused.status(), 422);
  EXPECT_EQ(Parse(refused)["error"], "a:1:2: x");
  reload_report_.result = ReloadReport::Result::kNotNow;
  EXPECT_EQ(Ask("POST", "/reload").status(), 409);
}

TEST_F(AdminHandlerTest, ShowsAndReloadsCertificates) {
  Ready();
  const Json shown = Parse(Ask("GET", "/tls"))["tls"][0];
  EXPECT_EQ(shown["owner"], "listeners.edge");
  EXPECT_EQ(shown["certificates"][0]["subject"], "CN=a");
  EXPECT_EQ(shown["certificates"][0]["not_after"], "1970-01-01T00:00:00Z");
  EXPECT_EQ(Ask("GET", "/tls/reload").status(), 405);
  EXPECT_EQ(Ask("POST", "/tls/reload").status(), 200);
  tls_broken_ = true;
  const FakeStream& refused = Ask("POST", "/tls/reload");
  EXPECT_EQ(refused.status(), 500);
  EXPECT_EQ(Parse(refused)["tls"][0]["error"], "/a.pem: No such file or directory");
}

TEST_F(AdminHandlerTest, APartIsDrainedAndServesAgain) {
  Ready();
  const Json begun = Parse(Ask("POST", "/drain?route=default/0"));
  EXPECT_EQ(begun["phase"], "ready");
  EXPECT_EQ(begun["parts"],
            Json::parse(R"([{"route": "default/0", "state": "draining", "seconds": 0.0,
                             "in_flight": 0, "told": 0, "left": 0, "cut": 0}])"));
  EXPECT_EQ(Ask("GET", "/ready").status(), 200);
  worker_.Finish({PartKind::kRoute, "default/0"});
  Settle();
  EXPECT_EQ(Parse(Ask("GET", "/drain"))["parts"][0]["state"], "drained");
  EXPECT_EQ(Parse(Ask("DELETE", "/drain?route=default%2F0"))["parts"], Json::array());
  EXPECT_EQ(worker_.calls, (std::vector<std::string>{"drain default/0", "undrain default/0"}));
  EXPECT_TRUE(target_.calls.empty()) << "the process was not drained";
}

TEST_F(AdminHandlerTest, OrdersForPartsAreRefusedWithTheReason) {
  EXPECT_EQ(Ask("POST", "/drain?route=static").status(), 409) << "while it starts";
  Ready();
  FakeStream& unknown = Ask("POST", "/drain?route=statik");
  EXPECT_EQ(unknown.status(), 404);
  EXPECT_THAT(std::string(Parse(unknown)["error"]), HasSubstr("did you mean \"static\"?"));
  EXPECT_EQ(Ask("DELETE", "/drain?route=static").status(), 409);
  EXPECT_EQ(Ask("POST", "/drain?route=static&endpoint=[::1]:80").status(), 400);
  EXPECT_EQ(Ask("POST", "/drain?rout=static").status(), 400) << "not the whole process";
  EXPECT_EQ(Ask("DELETE", "/drain?all").status(), 400);
  EXPECT_EQ(Ask("POST", "/drain?route=static", true, {{"Origin", "http://evil.test"}}).status(),
            403);
  EXPECT_TRUE(worker_.calls.empty());
  EXPECT_EQ(drain_->phase(), Phase::kReady);
}

TEST_F(AdminHandlerTest, LiveAlwaysReadyOnlyWhenReady) {
  EXPECT_EQ(Ask("GET", "/live").status(), 200);
  EXPECT_EQ(Ask("GET", "/ready").status(), 503);
  Ready();
  EXPECT_EQ(Ask("GET", "/ready").status(), 200);
  Ask("POST", "/drain");
  Settle();
  FakeStream& ready = Ask("GET", "/ready");
  EXPECT_EQ(ready.status(), 503);
  EXPECT_EQ(ready.body(), "lame_duck\n");
  EXPECT_EQ(Ask("GET", "/live").status(), 200);
}

TEST_F(AdminHandlerTest, ReadyIsTakenBackWhileSomethingIsWrong) {
  Ready();
  unready_ = "not ready: why";
  FakeStream& ready = Ask("GET", "/ready");
  EXPECT_EQ(ready.status(), 503);
  EXPECT_EQ(ready.body(), "not ready: why\n");
  unready_.clear();
  EXPECT_EQ(Ask("GET", "/ready").status(), 200);
}

TEST_F(AdminHandlerTest, ClustersAreListedWithTheirEndpoints) {
  clusters_.push_back({.name = "app",
                       .in_flight = 3,
                       .waiting = 1,
                       .connections = 2,
                       .dns_error = "",
                       .endpoints = {}});
  clusters_[0].endpoints.push_back({.address = "10.0.0.1:80",
                                    .state = "unhealthy",
                                    .weight = 2,
                                    .priority = 1,
                                    .zone = "eu",
                                    .in_flight = 3,
                                    .ejections = 4,
                                    .check_failure = "timeout"});
  FakeStream& stream = Ask("GET", "/clusters");
  EXPECT_EQ(stream.status(), 200);
  const Json cluster = Parse(stream)["clusters"][0];
  EXPECT_EQ(cluster["name"], "app");
  EXPECT_EQ(cluster["in_flight"], 3);
  EXPECT_FALSE(cluster.contains("dns_error"));
  const Json endpoint = cluster["endpoints"][0];
  EXPECT_EQ(endpoint["state"], "unhealthy");
  EXPECT_EQ(endpoint["zone"], "eu");
  EXPECT_EQ(endpoint["check_failure"], "timeout");
}

TEST_F(AdminHandlerTest, ReadySaysNoBeforeAnyWorkIsTold) {
  Ready();
  std::string seen;
  drain_->AddListener([&](Phase, Phase to) {
    if (to == Phase::kLameDuck) seen = std::to_string(target_.calls.size());
  });
  Ask("POST", "/drain");
  Settle();
  EXPECT_EQ(seen, "0");
}

TEST_F(AdminHandlerTest, IndexAndNotFoundListTheEndpoints) {
  FakeStream& index = Ask("GET", "/");
  EXPECT_EQ(index.status(), 200);
  FakeStream& missing = Ask("GET", "/nothing");
  EXPECT_EQ(missing.status(), 404);
  for (const char* path : {"/live", "/ready", "/metrics", "/config", "/connections", "/clusters",
                           "/drain", "/drain/prestop"}) {
    EXPECT_THAT(index.body(), HasSubstr(path));
    EXPECT_THAT(missing.body(), HasSubstr(path));
  }
  EXPECT_EQ(Ask("GET", "/drain/").status(), 404);
  EXPECT_EQ(Ask("GET", "/live?verbose").status(), 200);
}

TEST_F(AdminHandlerTest, AWrongMethodIsToldTheRightOnes) {
  FakeStream& live = Ask("POST", "/live");
  EXPECT_EQ(live.status(), 405);
  EXPECT_EQ(live.head()->Value("Allow"), "GET, HEAD");
  FakeStream& drain = Ask("PUT", "/drain");
  EXPECT_EQ(drain.status(), 405);
  EXPECT_EQ(drain.head()->Value("Allow"), "GET, HEAD, POST, DELETE");
  EXPECT_EQ(Ask("OPTIONS", "/drain").status(), 405);
  EXPECT_EQ(Ask("GE", "/live").status(), 405);
  EXPECT_EQ(Ask("HEAD", "/drain/prestop").status(), 405);
}

TEST_F(AdminHandlerTest, HeadHasTheLengthAndNoBody) {
  FakeStream& head = Ask("HEAD", "/live");
  EXPECT_EQ(head.status(), 200);
  EXPECT_EQ(head.head()->content_length, 5u);
  EXPECT_EQ(head.body(), "");
  EXPECT_TRUE(head.ended());
}

TEST_F(AdminHandlerTest, AnswersAreNotCached) {
  FakeStream& ready = Ask("GET", "/ready");
  EXPECT_EQ(ready.head()->Value("Cache-Control"), "no-store");
  EXPECT_EQ(ready.head()->Value("X-Content-Type-Options"), "nosniff");
}

TEST_F(AdminHandlerTest, ConfigAndMetricsAreShown) {
  FakeStream& config = Ask("GET", "/config");
  EXPECT_EQ(config.body(), "workers: 2\n");
  FakeStream& metrics = Ask("GET", "/metrics");
  EXPECT_THAT(metrics.body(), HasSubstr("sluice_phase{phase=\"starting\"} 1"));
  EXPECT_THAT(metrics.head()->Value("Content-Type"), HasSubstr("version=0.0.4"));
}

TEST_F(AdminHandlerTest, MetricsDuringADrainAreOfNow) {
  Ready();
  target_.SetInFlight(5);
  Ask("POST", "/drain");
  Settle();
  target_.SetInFlight(2);
  EXPECT_THAT(Ask("GET", "/metrics").body(),
              HasSubstr("sluice_drain_inflight{protocol=\"http1\"} 2"));
}

TEST_F(AdminHandlerTest, ConnectionsAreAnsweredWhenTheWorkersHave) {
  FakeStream& stream = Ask("GET", "/connections");
  EXPECT_FALSE(stream.over());
  loop_.Dispatch([this] {
    ConnectionRecord record;
    record.peer = "192.0.2.7:5000";
    reply_({record});
  });
  EXPECT_EQ(stream.status(), 200);
  EXPECT_EQ(Parse(stream)["connections"][0]["peer"], "192.0.2.7:5000");
}

TEST_F(AdminHandlerTest, AClientThatLeftIsNotAnswered) {
  FakeStream& stream = Ask("GET", "/connections");
  loop_.Dispatch([&] { stream.Reset(); });
  loop_.Dispatch([this] { reply_({}); });
  EXPECT_EQ(stream.status(), 0);
}

TEST_F(AdminHandlerTest, AWorkerThatHangsDoesNotHangConnections) {
  FakeStream& stream = Ask("GET", "/connections");
  RunFor(milliseconds(4999));
  EXPECT_FALSE(stream.over());
  RunFor(milliseconds(1));
  EXPECT_EQ(stream.status(), 504);
  loop_.Dispatch([this] { reply_({}); });
  RunFor(seconds(10));
}

TEST_F(AdminHandlerTest, DrainShowsStateAndProgress) {
  Ready();
  target_.SetInFlight(3);
  const Json ready = Parse(Ask("GET", "/drain"));
  EXPECT_EQ(ready["phase"], "ready");
  EXPECT_TRUE(ready["trigger"].is_null());
  EXPECT_EQ(ready["in_flight"]["by_protocol"]["http1"], 3);

  FakeStream& begun = Ask("POST", "/drain");
  EXPECT_FALSE(begun.over());  // begun on a later turn, never inside the request
  Settle();
  EXPECT_EQ(begun.status(), 200);
  EXPECT_EQ(Parse(begun)["phase"], "lame_duck");
  EXPECT_EQ(Parse(begun)["trigger"], "admin");

  RunFor(seconds(6));
  const Json draining = Parse(Ask("GET", "/drain"));
  EXPECT_EQ(draining["phase"], "draining");
  EXPECT_EQ(draining["in_flight_at_start"]["total"], 3);
}

TEST_F(AdminHandlerTest, TheCommandLineIsATriggerOfItsOwn) {
  Ready();
  FakeStream& begun = Ask("POST", "/drain?trigger=cli");
  Settle();
  EXPECT_EQ(Parse(begun)["trigger"], "cli");
}

TEST_F(AdminHandlerTest, ASecondPostShowsTheDrainUnderWay) {
  Ready();
  Ask("POST", "/drain");
  Settle();
  FakeStream& again = Ask("POST", "/drain?trigger=cli");
  EXPECT_EQ(again.status(), 200);
  EXPECT_EQ(Parse(again)["trigger"], "admin");
}

TEST_F(AdminHandlerTest, DeleteTakesItBackWhileLameDuck) {
  target_.SetInFlight(1);
  Ready();
  FakeStream& early = Ask("DELETE", "/drain");
  EXPECT_EQ(early.status(), 409);
  EXPECT_THAT(Parse(early)["error"].get<std::string>(), HasSubstr("nothing to undrain"));
  Ask("POST", "/drain");
  Settle();
  FakeStream& undone = Ask("DELETE", "/drain");
  EXPECT_EQ(undone.status(), 200);
  EXPECT_EQ(Parse(undone)["phase"], "ready");
  Ask("POST", "/drain");
  RunFor(seconds(6));
  FakeStream& late = Ask("DELETE", "/drain");
  EXPECT_EQ(late.status(), 409);
  EXPECT_THAT(Parse(late)["error"].get<std::string>(), HasSubstr("draining"));
}

TEST_F(AdminHandlerTest, PrestopAnswersWhenTheNewsHasSpread) {
  target_.SetInFlight(1);
  Ready();
  for (const char* method : {"GET", "POST"}) Ask(method, "/drain/prestop");
  RunFor(milliseconds(4999));
  EXPECT_EQ(drain_->phase(), Phase::kLameDuck);
  for (const FakeStream& stream : streams_) EXPECT_FALSE(stream.over());
  RunFor(milliseconds(1));
  for (const FakeStream& stream : streams_) {
    EXPECT_EQ(stream.status(), 200);
    EXPECT_EQ(Parse(stream)["phase"], "draining");
    EXPECT_EQ(Parse(stream)["trigger"], "prestop");
  }
}

TEST_F(AdminHandlerTest, PrestopJoinsADrainUnderWay) {
  target_.SetInFlight(1);
  Ready();
  Ask("POST", "/drain");
  RunFor(seconds(3));
  FakeStream& joins = Ask("GET", "/drain/prestop");
  RunFor(milliseconds(1999));
  EXPECT_FALSE(joins.over());
  RunFor(milliseconds(1));
  EXPECT_EQ(joins.status(), 200);
  FakeStream& late = Ask("GET", "/drain/prestop");
  EXPECT_EQ(late.status(), 200);
}

TEST_F(AdminHandlerTest, PrestopIsToldWhenTheDrainIsTakenBack) {
  Ready();
  FakeStream& prestop = Ask("GET", "/drain/prestop");
  RunFor(seconds(1));
  Ask("DELETE", "/drain");
  EXPECT_EQ(prestop.status(), 409);
}

TEST_F(AdminHandlerTest, PrestopBeforeReadyIsNotMistakenForTakenBack) {
  target_.SetInFlight(1);
  FakeStream& prestop = Ask("GET", "/drain/prestop");
  Settle();
  EXPECT_EQ(prestop.status(), 200);
  EXPECT_EQ(drain_->phase(), Phase::kDraining);
}

TEST_F(AdminHandlerTest, AWaitingClientMayLeave) {
  Ready();
  FakeStream& prestop = Ask("GET", "/drain/prestop");
  RunFor(seconds(1));
  loop_.Dispatch([&] { prestop.Reset(); });
  RunFor(seconds(10));
  EXPECT_EQ(prestop.status(), 0);
  EXPECT_EQ(drain_->phase(), Phase::kExited);
}

TEST_F(AdminHandlerTest, PagesOfOtherOriginsChangeNothing) {
  Ready();
  const std::vector<std::pair<std::string_view, std::string_view>> foreign = {
      {"Origin", "http://evil.example"}};
  EXPECT_EQ(Ask("POST", "/drain", true, foreign).status(), 403);
  EXPECT_EQ(Ask("DELETE", "/drain", true, foreign).status(), 403);
  EXPECT_EQ(Ask("POST", "/drain/prestop", true, foreign).status(), 403);
  EXPECT_EQ(Ask("GET", "/drain/prestop", true, {{"Sec-Fetch-Site", "cross-site"}}).status(), 403);
  EXPECT_EQ(Ask("GET", "/drain/prestop", true, {{"User-Agent", "Mozilla/5.0"}}).status(), 403);
  EXPECT_EQ(Ask("POST", "/drain", true, {}, "evil.example").status(), 403);
  Settle();
  EXPECT_EQ(drain_->phase(), Phase::kReady);
}

TEST_F(AdminHandlerTest, ForeignNamesReadOnlyWhatIsForEverybody) {
  Ready();
  const std::string_view name = "sluice.monitoring.svc:9901";
  for (const char* path : {"/", "/live", "/ready", "/metrics"}) {
    EXPECT_EQ(Ask("GET", path, true, {}, name).status(), 200) << path;
  }
  for (const char* path : {"/config", "/connections", "/clusters", "/drain"}) {
    EXPECT_EQ(Ask("GET", path, true, {}, name).status(), 403) << path;
  }
}

TEST_F(AdminHandlerTest, ABodyIsReadAndIgnored) {
  Ready();
  FakeStream& stream = Ask("POST", "/drain", /*end_stream=*/false);
  loop_.Dispatch([&] { stream.SendRequestBody("{}", false); });
  Settle();
  EXPECT_EQ(drain_->phase(), Phase::kReady);
  loop_.Dispatch([&] { stream.SendRequestBody("", true); });
  Settle();
  EXPECT_EQ(stream.status(), 200);

  FakeStream& chunked = Ask("GET", "/live", /*end_stream=*/false);
  loop_.Dispatch([&] { chunked.SendRequestTrailers({}); });
  EXPECT_EQ(chunked.status(), 200);
}

TEST_F(AdminHandlerTest, ALargeBodyIsRefused) {
  Ready();
  FakeStream& stream = Ask("POST", "/drain", /*end_stream=*/false);
  const std::string piece(40'000, 'x');
  loop_.Dispatch([&] { stream.SendRequestBody(piece, false); });
  EXPECT_FALSE(stream.over());
  loop_.Dispatch([&] { stream.SendRequestBody(piece, false); });
  EXPECT_EQ(stream.status(), 413);
  Settle();
  EXPECT_EQ(drain_->phase(), Phase::kReady);
}

TEST_F(AdminHandlerTest, ExpectContinueIsAnswered) {
  FakeStream& stream = streams_.emplace_back(loop_, "POST", "/drain");
  stream.request().expects_continue = true;
  loop_.Dispatch([&] { stream.Deliver(*admin_, false); });
  ASSERT_EQ(stream.informational().size(), 1u);
  EXPECT_EQ(stream.informational()[0].status, 100);
}

TEST_F(AdminHandlerTest, AWorkerThatHangsDoesNotHangTheAdmin) {
  Ready();
  target_.answers = false;
  FakeStream& slow = Ask("GET", "/drain");
  EXPECT_FALSE(slow.over());
  RunFor(seconds(1));
  EXPECT_EQ(slow.status(), 200);
  EXPECT_EQ(Parse(slow)["stale"], true);
}

}  // namespace
}  // namespace sluice
