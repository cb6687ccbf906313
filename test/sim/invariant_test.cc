// The invariant of docs/drain.md, over thousands of seeds: every request that was accepted (its
// first byte was read) gets its complete response, or is counted as cut, or ended by somebody's
// fault that is on record; and when the drain is over nothing is left open.
//
//   SLUICE_SIM_SEEDS=20000   how many seeds to try (default 2000)
//   SLUICE_SIM_SEED=17       only this one
#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "support/environment.h"
#include "support/proxy_sim.h"
#include "support/sim_visitor.h"

namespace sluice {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;

// What happened over all seeds, to see that the runs were not all the same.
using Tally = std::map<std::string, uint64_t>;

ProxySimOptions DrawOptions(Random& random) {
  ProxySimOptions options;
  options.tie_break = TieBreak::kRandom;
  options.timeouts = {seconds(4), seconds(10), seconds(5), seconds(5)};
  if (random.Chance(0.3)) options.timeouts.idle = milliseconds(1 + random.Below(500));
  options.route_timeout = random.Chance(0.2) ? seconds(1) : seconds(30);
  options.drain.propagation_delay = milliseconds(random.Below(3000));
  options.drain.jitter = milliseconds(random.Below(500));
  options.drain.strategy = random.Chance(0.5) ? DrainStrategy::kGradual : DrainStrategy::kImmediate;
  options.drain.deadline = milliseconds(200 + random.Below(1u << random.Below(14)));
  options.drain.idle_grace = milliseconds(random.Below(200));
  options.drain.linger = milliseconds(500 + random.Below(1000));
  if (random.Chance(0.2)) options.cluster.max_connections = 1 + random.Below(3);
  if (random.Chance(0.2)) options.cluster.max_requests_per_connection = 1 + random.Below(3);
  if (random.Chance(0.2)) options.limits.requests_per_connection = 1 + random.Below(3);
  if (random.Chance(0.3)) options.cluster.idle_timeout = milliseconds(1 + random.Below(2000));
  return options;
}

class Scenario {
 public:
  explicit Scenario(uint64_t seed)
      : random_(seed), resets_(random_.Chance(0.3)), sim_(seed, DrawOptions(random_)) {
    for (const char* address : {"proxy", "origin"}) {
      sim_.network.At(address).faults = [this] { return PipeFaults::Draw(random_, resets_); };
    }
    if (random_.Chance(0.3)) {
      sim_.network.At("origin").connect_delay = milliseconds(random_.Below(1500));
    }
    if (random_.Chance(0.05)) sim_.network.At("origin").error = ECONNREFUSED;
    if (random_.Chance(0.5)) sim_.origin.set_idle_timeout(milliseconds(random_.Below(2000)));
    const uint64_t count = 1 + random_.Below(8);
    for (uint64_t i = 0; i < count; ++i) {
      visitors_.push_back(std::make_unique<SimVisitor>(sim_, random_.Next(), std::to_string(i),
                                                       milliseconds(random_.Below(3000))));
    }
  }

  void Run(Tally& tally);

 private:
  void CheckNothingLeft();
  void CheckVisitor(SimVisitor& visitor);
  void CheckAnswer(const SimVisitor& visitor, const SimClient::Sent& sent,
                   const SimMessage& response, const SimLogEntry& record);
  void CheckUnanswered(SimVisitor& visitor, size_t index, const SimLogEntry& record,
                       const SimNetwork::Connection& connection, bool later_cut);
  void CheckUpstream();
  void CheckCounts(Tally& tally);
  bool UpstreamBroken() const;

  Random random_;
  const bool resets_;
  bool hurried_ = false;  // by a second signal
  ProxySim sim_;
  std::vector<std::unique_ptr<SimVisitor>> visitors_;
};

void Scenario::Run(Tally& tally) {
  sim_.loop.RunFor(milliseconds(random_.Below(4000)));
  sim_.BeginDrain();
  if (random_.Chance(0.2)) {
    sim_.loop.RunFor(milliseconds(random_.Below(6000)));
    sim_.BeginDrain();
    hurried_ = true;
  }
  ASSERT_TRUE(sim_.UntilExited()) << PhaseName(sim_.controller.phase());
  CheckNothingLeft();
  for (const auto& visitor : visitors_) visitor->ReadAtLast();
  sim_.loop.RunFor(hours(1));
  EXPECT_EQ(sim_.network.open_at_client("origin"), 0u) << "an exchange that nobody waits for";
  for (const auto& visitor : visitors_) CheckVisitor(*visitor);
  CheckUpstream();
  CheckCounts(tally);
}

void Scenario::CheckNothingLeft() {
  EXPECT_EQ(sim_.connections.connection_count(), 0u);
  EXPECT_EQ(sim_.Progress().in_flight_total(), 0u);
  EXPECT_EQ(sim_.network.open_at_server("proxy"), 0u);
  EXPECT_EQ(sim_.drains_done(), sim_.drains_begun());
  EXPECT_GE(sim_.drains_begun(), 1u);
}

void Scenario::CheckVisitor(SimVisitor& visitor) {
  SCOPED_TRACE(visitor.Describe());
  SimClient& client = visitor.client();
  const SimNetwork::Connection* connection = sim_.network.Find(client.local_address());
  if (connection == nullptr) return;  // refused, or reset before it knew
  EXPECT_EQ(client.complaint(), "");
  EXPECT_FALSE(connection->server->open);
  // Two reads of the other side, and the frames around them, may come on top of the mark.
  EXPECT_LE(connection->server->peak_queued, Transport::kHighWatermark + 192 * 1024);

  const std::vector<SimLogEntry> records = sim_.LoggedOf(client.local_address());
  ASSERT_LE(records.size(), client.sent().size()) << "a request was logged twice";
  for (size_t i = 0; i < client.sent().size(); ++i) {
    const bool answered = i < client.responses().size() && client.responses()[i].complete;
    if (answered) {
      ASSERT_LT(i, records.size()) << "answered, but not logged: request " << i;
      CheckAnswer(visitor, client.sent()[i], client.responses()[i], records[i]);
      if (client.responses()[i].close) break;  // RFC 9112 9.6: what follows is not served
      continue;
    }
    const uint64_t read = connection->server->delivered_at_goodbye.value_or(0);
    if (read <= client.sent()[i].offset) {  // never accepted
      if (!hurried_) {
        EXPECT_EQ(connection->server->unread_at_goodbye, 0u)
            << "an idle connection was ended over a request that had arrived: request " << i;
      }
      break;
    }
    ASSERT_LT(i, records.size()) << "accepted, but vanished: request " << i;
    const bool later_cut = records.back().record.end != StreamEnd::kComplete;
    CheckUnanswered(visitor, i, records[i], *connection, later_cut);
    break;
  }
}

void Scenario::CheckAnswer(const SimVisitor& visitor, const SimClient::Sent& sent,
                           const SimMessage& response, const SimLogEntry& record) {
  SCOPED_TRACE(sent.target + ": " + std::string(StreamEndName(record.record.end)));
  EXPECT_EQ(record.record.status, response.status);
  if (response.status == 101) return;  // however a tunnel ends, its head was the answer
  const bool error = response.status >= 400;
  if (!error && !visitor.left()) {
    EXPECT_EQ(record.record.end, StreamEnd::kComplete);
  }
  if (record.record.end == StreamEnd::kCut) {
    EXPECT_EQ(response.status, 503);
  }
  if (error) return;
  EXPECT_TRUE(response.body_as_expected);
  const uint64_t expected = sent.method == "HEAD" ? 0 : ExpectedBody(sent.target);
  if (expected != UINT64_MAX) {
    EXPECT_EQ(response.body_bytes, expected);
  }
}

bool Scenario::UpstreamBroken() const {
  return std::any_of(sim_.network.connections().begin(), sim_.network.connections().end(),
                     [](const SimNetwork::Connection& one) {
                       return one.address == "origin" && one.client->broken_by_fault;
                     });
}

void Scenario::CheckUnanswered(SimVisitor& visitor, size_t index, const SimLogEntry& record,
                               const SimNetwork::Connection& connection, bool later_cut) {
  const std::string& target = visitor.client().sent()[index].target;
  const std::string path = target.substr(0, target.find('?'));
  SCOPED_TRACE(target + ": " + std::string(StreamEndName(record.record.end)) + " " +
               std::string(record.record.detail));
  const bool broken = connection.server->broken_by_fault;
  switch (record.record.end) {
    case StreamEnd::kComplete:
      // The proxy says that the response has left. Then only these can have kept it from arriving:
      // the network, the client itself, or a reset that destroyed what the client had not read
      // (RFC 9112 9.6) though its kernel had it: because the client still sent when the linger was
      // over, or because a later response to it was broken off.
      EXPECT_TRUE(broken || visitor.left() ||
                  (visitor.client().error() != 0 &&
                   (connection.server->delivered < connection.client->written || later_cut)))
          << "a response that was said to be complete did not arrive";
      break;
    case StreamEnd::kClientGone:
      EXPECT_TRUE(broken || visitor.left() || visitor.incomplete(index));
      break;
    case StreamEnd::kClientTimeout:
      EXPECT_TRUE(visitor.tardy());
      break;
    case StreamEnd::kUpstreamFailed:
      EXPECT_TRUE(path == "/drop-mid" || path == "/until-close" || UpstreamBroken() ||
                  record.record.detail == "route_timeout");
      break;
    case StreamEnd::kCut:
      break;  // counted: see CheckCounts
    case StreamEnd::kMoved:
      ADD_FAILURE() << "there is no other process";
      break;
  }
}

void Scenario::CheckUpstream() {
  for (const std::string& complaint : sim_.origin.complaints()) ADD_FAILURE() << complaint;
  std::map<std::string, size_t> times;
  for (const SimOrigin::Seen& seen : sim_.origin.seen()) {
    const std::string key = seen.request.method + " " + seen.request.target;
    // RFC 9110 9.2.2: only an idempotent request may be carried out again by itself; without its
    // end none is.
    const size_t count = times[key] += seen.request.complete ? 1 : 0;
    EXPECT_LE(count, seen.request.method == "POST" ? 1u : 3u) << key;
    EXPECT_TRUE(seen.request.body_as_expected) << key;
    EXPECT_EQ(seen.request.HeaderCount("via"), 1u) << key;
  }
  for (const SimNetwork::Connection& one : sim_.network.connections()) {
    EXPECT_LE(one.client->peak_queued, Transport::kHighWatermark + 192 * 1024) << one.address;
  }
}

void Scenario::CheckCounts(Tally& tally) {
  uint64_t cut = 0;
  for (const SimLogEntry& one : sim_.log) {
    if (one.record.end == StreamEnd::kCut) ++cut;
    ++tally[std::string(StreamEndName(one.record.end))];
    ++tally["status " + std::to_string(one.record.status)];
    if (one.record.attempts > 1) ++tally["replayed"];
  }
  EXPECT_EQ(sim_.Progress().cut_total(), cut);
  EXPECT_EQ(sim_.controller.exit_code() == 0, cut == 0);
  for (const auto& visitor : visitors_) {
    if (visitor->client().error() != 0) ++tally["client reset or refused"];
    if (visitor->client().told_to_close()) ++tally["client told to close"];
  }
}

void RunSeed(uint64_t seed, Tally& tally) {
  SCOPED_TRACE("replay with SLUICE_SIM_SEED=" + std::to_string(seed));
  Scenario(seed).Run(tally);
}

// In parts, so that they run in parallel.
constexpr uint64_t kParts = 4;
class Invariant : public ::testing::TestWithParam<uint64_t> {};

TEST_P(Invariant, HoldsForEverySeed) {
  Tally tally;
  const uint64_t seeds = FromEnvironment("SLUICE_SIM_SEEDS", 2000);
  const uint64_t only = FromEnvironment("SLUICE_SIM_SEED", 0);
  if (only != 0) {
    if (only % kParts == GetParam()) RunSeed(only, tally);
    return;
  }
  for (uint64_t seed = 1; seed <= seeds; ++seed) {
    if (seed % kParts != GetParam()) continue;
    RunSeed(seed, tally);
    if (HasFailure()) FAIL() << "seed " << seed << ": replay with SLUICE_SIM_SEED=" << seed;
  }
  for (const auto& [what, count] : tally) std::printf("  %8lu %s\n", count, what.c_str());
  if (seeds < 1000) return;
  // Runs in which one of these never happened have not tested it.
  for (const char* what :
       {"complete", "client_gone", "client_timeout", "upstream_failed", "cut", "status 502",
        "status 503", "status 504", "replayed", "client told to close"}) {
    EXPECT_GT(tally[what], 0u) << what;
  }
}

INSTANTIATE_TEST_SUITE_P(Part, Invariant, ::testing::Range(uint64_t{0}, kParts));

}  // namespace
}  // namespace sluice
