// The census of a worker's connections, asked through the manager that keeps them.
#include "http/connection_census.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "http/connection_manager.h"
#include "http/listener_context.h"
#include "support/pipe.h"
#include "support/sim_h2_client.h"
#include "support/sim_loop.h"
#include "support/sim_network.h"

namespace sluice {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;

constexpr auto kHttp1 = static_cast<size_t>(Protocol::kHttp1);
constexpr auto kHttp2 = static_cast<size_t>(Protocol::kHttp2);

// Never answers. The path of a request is its route.
class Holder final : public Handler, private RequestReceiver {
 public:
  void OnRequest(ServerStream& stream, bool) override {
    stream.record().route = *routes_.emplace(stream.request().path.substr(1)).first;
    stream.SetReceiver(this);
  }

 private:
  void OnRequestBody(std::string_view, bool) override {}
  void OnRequestTrailers(const HeaderList&) override {}
  void OnResponseWritable() override {}
  void OnReset(StreamEnd) override {}

  std::set<std::string, std::less<>> routes_;  // which records refer to
};

class ConnectionCensusTest : public testing::Test {
 protected:
  ConnectionCensusTest() {
    context_.handler = &holder_;
    context_.options.timeouts.idle = 24h;
    context_.options.timeouts.body = 24h;
    network_.At("proxy").accept = [this](std::unique_ptr<Transport> transport) {
      manager_.Accept(std::move(transport), context_);
    };
  }

  // `count` connections, each with a request to `route` in flight, or idle without one.
  void Connect(size_t count, std::string_view route = {}) {
    loop_.Dispatch([&] {
      for (size_t i = 0; i < count; ++i) {
        Pipe::Pair pipe = Pipe::Make(loop_);
        manager_.Accept(std::move(pipe.server), context_);
        clients_.push_back(std::move(pipe.client));
        if (route.empty()) continue;
        clients_.back()->Write(
            loop_.Lend("GET /" + std::string(route) + " HTTP/1.1\r\nHost: a.test\r\n\r\n"));
      }
    });
    loop_.RunFor({});
  }

  // A connection of HTTP/2 with `streams` requests in flight.
  void ConnectH2(size_t streams, const std::string& route) {
    h2_clients_.push_back(std::make_unique<SimH2Client>(loop_, network_, "proxy"));
    SimH2Client& client = *h2_clients_.back();
    client.Connect();
    for (size_t i = 0; i < streams; ++i) client.Request("GET", "/" + route);
    loop_.RunFor(1ms);
    ASSERT_EQ(client.complaint(), "");
  }

  // Clients leave; the proxy hears of it within the same instant.
  void Leave(size_t first, size_t count) {
    loop_.Dispatch([&] {
      for (size_t i = first; i < first + count; ++i) clients_[i]->Reset();
    });
    loop_.RunFor({});
  }

  // Asks; the answer is at `answers_[index]`.
  size_t Ask() {
    const size_t index = answers_.size();
    answers_.emplace_back();
    loop_.Dispatch([&] {
      manager_.Inspect([this, index](const DrainProgress& progress) {
        EXPECT_FALSE(answers_[index]) << "one answer to each question";
        answers_[index] = progress;
        order_.push_back(index);
      });
    });
    return index;
  }
  const DrainProgress& AskAndWait() {
    const size_t index = Ask();
    EXPECT_TRUE(loop_.RunUntil([&] { return answers_[index].has_value(); }, 1s));
    return *answers_[index];
  }

  SimLoop loop_;
  SimNetwork network_{loop_};
  Metrics metrics_;
  MetricShard& shard_ = metrics_.AddShard();
  Holder holder_;
  ListenerContext context_{"in", shard_};
  ConnectionManager manager_{loop_, shard_, [](const DrainScope&) {}};
  std::vector<std::unique_ptr<Transport>> clients_;
  std::vector<std::unique_ptr<SimH2Client>> h2_clients_;
  std::vector<std::optional<DrainProgress>> answers_;
  std::vector<size_t> order_;  // of the answers
};

TEST_F(ConnectionCensusTest, LittleIsCountedAtOnce) {
  const size_t nothing = Ask();
  ASSERT_TRUE(answers_[nothing]);
  EXPECT_EQ(answers_[nothing]->in_flight_total(), 0u);
  EXPECT_THAT(answers_[nothing]->in_flight_by_route, IsEmpty());

  Connect(3);
  Connect(2, "a");
  Connect(1, "b");
  const size_t some = Ask();
  ASSERT_TRUE(answers_[some]);
  EXPECT_EQ(answers_[some]->connections, 6u);
  EXPECT_EQ(answers_[some]->in_flight[kHttp1], 3u);
  EXPECT_THAT(answers_[some]->in_flight_by_route, ElementsAre(Pair("a", 2), Pair("b", 1)));
  EXPECT_EQ(answers_[some]->stragglers.size(), 3u);
}

TEST_F(ConnectionCensusTest, ManyIdleConnectionsAreCountedInSlices) {
  Connect(10000);
  const size_t index = Ask();
  loop_.RunFor(1ms);
  EXPECT_FALSE(answers_[index]) << "ten thousand in two turns";
  loop_.RunFor(1ms);
  ASSERT_TRUE(answers_[index]);
  EXPECT_EQ(answers_[index]->connections, 10000u);
  EXPECT_EQ(answers_[index]->in_flight_total(), 0u);
}

TEST_F(ConnectionCensusTest, TheSumOverTheSlicesIsRight) {
  for (int i = 0; i < 5; ++i) {
    Connect(1000, "a");
    Connect(500);
    Connect(1000, "b");
  }
  const DrainProgress& progress = AskAndWait();
  EXPECT_EQ(progress.connections, 12500u);
  EXPECT_EQ(progress.in_flight[kHttp1], 10000u);
  EXPECT_EQ(progress.in_flight_total(), 10000u);
  EXPECT_THAT(progress.in_flight_by_route, ElementsAre(Pair("a", 5000), Pair("b", 5000)));
  EXPECT_EQ(progress.stragglers.size(), DrainProgress::kMaxStragglers);
}

TEST_F(ConnectionCensusTest, StreamsOfOneConnectionMakeASliceSmaller) {
  for (int i = 0; i < 60; ++i) ConnectH2(100, i % 2 == 0 ? "a" : "b");
  const size_t index = Ask();
  EXPECT_FALSE(answers_[index]) << "six thousand streams in one turn";
  loop_.RunFor(1ms);
  ASSERT_TRUE(answers_[index]);
  EXPECT_EQ(answers_[index]->in_flight[kHttp2], 6000u);
  EXPECT_THAT(answers_[index]->in_flight_by_route, ElementsAre(Pair("a", 3000), Pair("b", 3000)));
}

// What was counted stays counted; what had not been reached is not touched any more.
TEST_F(ConnectionCensusTest, ThoseThatCloseInTheMiddleAreNotCountedAndNotTouched) {
  for (const auto& [first, count] : std::vector<std::pair<size_t, size_t>>{
           {0, 10000}, {0, 5000}, {4000, 1000}, {2048, 1}, {2047, 3}, {5000, 5000}, {9999, 1}}) {
    SCOPED_TRACE(std::to_string(count) + " from " + std::to_string(first));
    Connect(10000, "a");
    const size_t index = Ask();  // a connection and its request are two: the first 2048
    Leave(first, count);
    ASSERT_FALSE(answers_[index]);
    ASSERT_TRUE(loop_.RunUntil([&] { return answers_[index].has_value(); }, 1s));
    const size_t seen = 2048;
    const size_t gone_unseen = first + count <= seen ? 0 : first + count - std::max(first, seen);
    EXPECT_EQ(answers_[index]->in_flight[kHttp1], 10000 - gone_unseen);
    EXPECT_EQ(answers_[index]->connections, 10000 - count);
    Leave(0, first);
    Leave(first + count, 10000 - first - count);
    clients_.clear();
    ASSERT_EQ(manager_.connection_count(), 0u);
  }
}

TEST_F(ConnectionCensusTest, ThoseThatComeInTheMiddleAreCounted) {
  Connect(3000, "a");
  const size_t index = Ask();
  Connect(7, "late");
  ASSERT_TRUE(loop_.RunUntil([&] { return answers_[index].has_value(); }, 1s));
  EXPECT_THAT(answers_[index]->in_flight_by_route, ElementsAre(Pair("a", 3000), Pair("late", 7)));
}

TEST_F(ConnectionCensusTest, QuestionsAreAnsweredOneAfterTheOther) {
  Connect(5000, "a");
  const size_t first = Ask();
  const size_t second = Ask();
  loop_.RunFor(1ms);
  Connect(100, "b");  // the first is being counted still
  const size_t third = Ask();
  EXPECT_THAT(order_, IsEmpty());
  ASSERT_TRUE(loop_.RunUntil([&] { return order_.size() == 3; }, 1s));
  EXPECT_THAT(order_, ElementsAre(first, second, third));
  for (const auto& answer : answers_) {
    EXPECT_THAT(answer->in_flight_by_route, ElementsAre(Pair("a", 5000), Pair("b", 100)));
    EXPECT_EQ(answer->in_flight[kHttp1], 5100u);
    EXPECT_EQ(answer->stragglers.size(), DrainProgress::kMaxStragglers);
  }
}

TEST_F(ConnectionCensusTest, AnAnswerMayAskTheNextQuestion) {
  Connect(5000, "a");
  std::vector<uint64_t> counts;
  loop_.Dispatch([&] {
    manager_.Inspect([&](const DrainProgress& first) {
      counts.push_back(first.in_flight_total());
      manager_.Inspect(
          [&](const DrainProgress& second) { counts.push_back(second.in_flight_total()); });
    });
  });
  ASSERT_TRUE(loop_.RunUntil([&] { return counts.size() == 2; }, 1s));
  EXPECT_THAT(counts, ElementsAre(5000u, 5000u));
}

}  // namespace
}  // namespace sluice
