#include "base/metrics_wire.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/metrics.h"
#include "base/wire.h"

namespace sluice {
namespace {

using testing::HasSubstr;

constexpr std::string_view kMagic = "sluice metrics 1\n";

// Takes over in `to` what `from` has counted.
void HandOver(const Metrics& from, Metrics& to) {
  std::string error;
  EXPECT_TRUE(to.Import(from.Export(), &error)) << error;
}

// Two workers' worth of everything, some of it with bytes that need an escape.
void Fill(Metrics& metrics) {
  for (const int worker : {1, 2}) {
    MetricShard& shard = metrics.AddShard();
    shard.Counter("requests_total", "Requests.", {{"route", "a\"\n"}, {"class", "2xx"}})
        .Add(worker);
    shard.Counter("requests_total", "Requests.", {{"route", "b"}, {"class", "2xx"}}).Add(10);
    shard.Counter("wait_seconds_total", "Time.", {}, 1e6).Add(1500000);
    shard.Gauge("open", "Open now.").Add(5);
    MetricHistogram& histogram = shard.Histogram("took_seconds", "Took.", {}, {0.5, 2});
    histogram.Observe(0.25);
    histogram.Observe(1);
    histogram.Observe(64);
  }
}

std::string WithoutGauges(std::string text) {
  const size_t at = text.find("# HELP open");
  if (at == std::string::npos) return text;
  return text.erase(at, text.find("# HELP", at + 1) - at);
}

TEST(MetricsImportTest, ShowsWhatWasExportedButNoGauge) {
  Metrics before, after;
  Fill(before);
  HandOver(before, after);
  EXPECT_THAT(before.Text(), HasSubstr("open 10\n"));
  EXPECT_EQ(after.Text(), WithoutGauges(before.Text()));
}

TEST(MetricsImportTest, GoesOnFromThere) {
  Metrics before, after;
  Fill(before);
  Fill(after);
  HandOver(before, after);
  const std::string text = after.Text();
  EXPECT_THAT(text, HasSubstr("requests_total{class=\"2xx\",route=\"a\\\"\\n\"} 6\n"));
  EXPECT_THAT(text, HasSubstr("requests_total{class=\"2xx\",route=\"b\"} 40\n"));
  EXPECT_THAT(text, HasSubstr("wait_seconds_total 6\n"));
  EXPECT_THAT(text, HasSubstr("open 10\n")) << "a gauge says what is here";
  EXPECT_THAT(text, HasSubstr("took_seconds_bucket{le=\"0.5\"} 4\n"));
  EXPECT_THAT(text, HasSubstr("took_seconds_bucket{le=\"2\"} 8\n"));
  EXPECT_THAT(text, HasSubstr("took_seconds_bucket{le=\"+Inf\"} 12\n"));
  EXPECT_THAT(text, HasSubstr("took_seconds_count 12\n"));
  EXPECT_THAT(text, HasSubstr("took_seconds_sum 261\n"));
}

TEST(MetricsImportTest, WhatIsRegisteredLaterGoesOnToo) {
  Metrics before, after;
  Fill(before);
  HandOver(before, after);
  Fill(after);
  EXPECT_THAT(after.Text(), HasSubstr("requests_total{class=\"2xx\",route=\"b\"} 40\n"));
}

TEST(MetricsImportTest, AChainOfProcessesForgetsNothing) {
  Metrics first, second, third;
  Fill(first);
  HandOver(first, second);
  second.AddShard().Counter("wait_seconds_total", "Time.", {}, 1e6).Add(1);
  HandOver(second, third);
  EXPECT_EQ(third.Text(), second.Text());
  EXPECT_THAT(third.Text(), HasSubstr("wait_seconds_total 3.000001\n"));
}

TEST(MetricsImportTest, AProcessThatCountsOnMayExportAgain) {
  Metrics before, after;
  MetricShard& shard = before.AddShard();
  MetricCell& requests = shard.Counter("requests_total", "Requests.");
  MetricHistogram& took = shard.Histogram("took_seconds", "Took.", {}, {1});
  requests.Add(3);
  took.Observe(0.5);
  const std::string early = before.Export();
  HandOver(before, after);
  after.AddShard().Counter("requests_total", "Requests.").Add(100);
  requests.Add(4);
  took.Observe(2);
  shard.Counter("late_total", "Late.").Add(1);
  HandOver(before, after);
  const std::string text = after.Text();
  EXPECT_THAT(text, HasSubstr("requests_total 107\n"));
  EXPECT_THAT(text, HasSubstr("late_total 1\n"));
  EXPECT_THAT(text, HasSubstr("took_seconds_bucket{le=\"1\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("took_seconds_count 2\n"));
  std::string error;
  EXPECT_TRUE(after.Import(early, &error));
  EXPECT_TRUE(after.Import(kMagic, &error));
  EXPECT_EQ(after.Text(), text) << "what comes too late takes nothing back";
}

TEST(MetricsImportTest, LargeCountsStayExact) {
  Metrics before, after;
  before.AddShard().Counter("bytes_total", "Bytes.").Set(1234567890123456);
  HandOver(before, after);
  after.AddShard().Counter("bytes_total", "Bytes.").Add();
  EXPECT_THAT(after.Text(), HasSubstr("bytes_total 1234567890123457\n"));
}

TEST(MetricsImportTest, AFamilyThatIsOfAnotherTypeNowIsNotShown) {
  Metrics before, after;
  MetricShard& old_shard = before.AddShard();
  old_shard.Counter("a", "A.").Add(7);
  old_shard.Counter("b", "B.").Add(7);
  old_shard.Histogram("c", "C.").Observe(7);
  old_shard.Counter("d_total", "D.").Add(7);
  HandOver(before, after);
  MetricShard& shard = after.AddShard();
  shard.Gauge("a", "A.").Set(1);
  shard.Histogram("b", "B.").Observe(1);
  shard.Counter("c", "C.").Add(1);
  EXPECT_THAT(after.Text(), HasSubstr("# TYPE a gauge\na 1\n"));
  EXPECT_THAT(after.Text(), HasSubstr("b_count 1\n"));
  EXPECT_THAT(after.Text(), HasSubstr("# TYPE c counter\nc 1\n"));
  EXPECT_THAT(after.Text(), HasSubstr("d_total 7\n"));
}

TEST(MetricsImportTest, BucketsThatBothHaveAreExactAndNoneIsLost) {
  Metrics before, after;
  MetricHistogram& was = before.AddShard().Histogram("t", "T.", {}, {1, 2, 5});
  for (const double seconds : {0.5, 1.5, 3.0, 100.0}) was.Observe(seconds);
  MetricHistogram& is = after.AddShard().Histogram("t", "T.", {}, {1, 3, 5, 10});
  is.Observe(0.5);
  HandOver(before, after);
  const std::string text = after.Text();
  EXPECT_THAT(text, HasSubstr("t_bucket{le=\"1\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("t_bucket{le=\"3\"} 3\n"));
  EXPECT_THAT(text, HasSubstr("t_bucket{le=\"5\"} 4\n"));
  EXPECT_THAT(text, HasSubstr("t_bucket{le=\"10\"} 4\n"));
  EXPECT_THAT(text, HasSubstr("t_bucket{le=\"+Inf\"} 5\n"));
  EXPECT_THAT(text, HasSubstr("t_count 5\n"));
}

TEST(MetricsImportTest, BytesThatAreCutShortChangeNothing) {
  Metrics before;
  Fill(before);
  const std::string bytes = before.Export();
  size_t whole_families = 0;
  for (size_t size = 0; size < bytes.size(); ++size) {
    Metrics after;
    Fill(after);
    const std::string text = after.Text();
    std::string error;
    // Between two families they look whole: it is the transfer that has to know the length.
    if (after.Import(bytes.substr(0, size), &error)) {
      ++whole_families;
      continue;
    }
    ASSERT_EQ(after.Text(), text) << size;
    ASSERT_NE(error, "");
  }
  EXPECT_EQ(whole_families, 3u) << "none, one and two of three";
}

TEST(MetricsImportTest, AnotherVersionIsRefused) {
  Metrics metrics;
  std::string error;
  EXPECT_FALSE(metrics.Import("sluice metrics 2\n", &error));
  EXPECT_EQ(error, "metrics of an unknown version");
  EXPECT_FALSE(metrics.Import("", &error));
  EXPECT_TRUE(metrics.Import(kMagic, &error)) << "nothing was counted";
  EXPECT_EQ(metrics.Text(), "");
}

TEST(MetricsImportTest, TooManyBytesAreRefused) {
  Metrics metrics;
  std::string error;
  EXPECT_FALSE(metrics.Import(std::string(kMaxMetricsBytes + 1, 'c'), &error));
  EXPECT_THAT(error, HasSubstr("4194305 bytes"));
}

// Run under ThreadSanitizer by CI.
TEST(MetricsImportTest, AnyThreadMayImportAndExport) {
  Metrics before, metrics;
  Fill(before);
  Fill(metrics);
  const std::string bytes = before.Export();
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&] {
      for (int n = 0; n < 50; ++n) {
        std::string error;
        EXPECT_TRUE(metrics.Import(bytes, &error));
        metrics.Export();
        metrics.AddShard().Counter("requests_total", "Requests.", {{"class", "2xx"}}).Add();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(metrics.Text(), HasSubstr("requests_total{class=\"2xx\"} 150\n"));
  EXPECT_THAT(metrics.Text(), HasSubstr("wait_seconds_total 6\n"));
}

// ---- the bytes ----

std::string Text(std::string_view text) {
  WireWriter writer;
  writer.Text(text);
  return writer.Take();
}

template <typename T>
std::string Number(T value) {
  WireWriter writer;
  writer.Number(value);
  return writer.Take();
}

std::string Size(size_t size) { return Number(static_cast<uint32_t>(size)); }
std::string Double(double value) { return Number(std::bit_cast<uint64_t>(value)); }

std::string Counter(std::string_view name, double value, std::string_view help = "H.") {
  return "c" + Text(name) + Text(help) + Size(1) + Size(0) + Double(value);
}

constexpr double kInfinity = std::numeric_limits<double>::infinity();

bool Taken(const std::string& families) {
  std::string error;
  const bool taken = ReadMetrics(std::string(kMagic) + families, &error).has_value();
  EXPECT_EQ(error.empty(), taken) << error;
  return taken;
}

TEST(MetricsWireTest, TakesWhatIsAMetric) {
  EXPECT_TRUE(Taken(Counter("a_total", 0)));
  EXPECT_TRUE(Taken(Counter("a:b_1", 1e18) + Counter("b", 0.5)));
  EXPECT_TRUE(Taken(Counter("a", 1, "\xe2\x82\xac")));
}

TEST(MetricsWireTest, RefusesNames) {
  for (const char* name : {"", "1a", "a b", "a\n", "a{", "\xc3\xa4"}) {
    EXPECT_FALSE(Taken(Counter(name, 1))) << name;
  }
}

TEST(MetricsWireTest, RefusesHelpThatWouldForgeALine) {
  EXPECT_FALSE(Taken(Counter("a", 1, "x\nb 1")));
  EXPECT_FALSE(Taken(Counter("a", 1, "\xff")));
}

TEST(MetricsWireTest, RefusesValuesThatNoCounterHas) {
  for (const double value : {-1.0, -1e-300, -0.0, 1.1e18, kInfinity, -kInfinity, std::nan("")}) {
    EXPECT_FALSE(Taken(Counter("a", value))) << value;
  }
}

TEST(MetricsWireTest, RefusesFamiliesOutOfOrder) {
  EXPECT_FALSE(Taken(Counter("b", 1) + Counter("a", 1)));
  EXPECT_FALSE(Taken(Counter("a", 1) + Counter("a", 1)));
  EXPECT_FALSE(Taken("x" + Counter("a", 1).substr(1)));
}

std::string Labelled(const std::vector<std::vector<std::string_view>>& metrics) {
  std::string bytes = "c" + Text("a") + Text("A.") + Size(metrics.size());
  for (const auto& labels : metrics) {
    bytes += Size(labels.size() / 2);
    for (const std::string_view text : labels) bytes += Text(text);
    bytes += Double(1);
  }
  return bytes;
}

TEST(MetricsWireTest, RefusesLabels) {
  EXPECT_TRUE(Taken(Labelled({{}, {"a", "1"}, {"a", "1", "b", ""}, {"a", "2"}})));
  EXPECT_FALSE(Taken(Labelled({})));
  EXPECT_FALSE(Taken(Labelled({{"a", "2"}, {"a", "1"}})));
  EXPECT_FALSE(Taken(Labelled({{"a", "1"}, {"a", "1"}})));
  EXPECT_FALSE(Taken(Labelled({{"b", "1", "a", "1"}})));
  EXPECT_FALSE(Taken(Labelled({{"a", "1", "a", "1"}})));
  EXPECT_FALSE(Taken(Labelled({{"le", "1"}})));
  EXPECT_FALSE(Taken(Labelled({{"a:b", "1"}})));
  EXPECT_FALSE(Taken(Labelled({{"a", "\xed\xa0\x80"}})));
}

std::string Histogram(double sum, const std::vector<double>& bounds,
                      const std::vector<uint64_t>& counts) {
  std::string bytes = "h" + Text("a") + Text("A.") + Size(1) + Size(0) + Double(sum);
  bytes += Size(bounds.size());
  for (const double bound : bounds) bytes += Double(bound);
  for (const uint64_t count : counts) bytes += Number(count);
  return bytes;
}

TEST(MetricsWireTest, RefusesHistograms) {
  constexpr uint64_t kMost = uint64_t{1} << 53;
  constexpr uint64_t kAll = UINT64_MAX;
  EXPECT_TRUE(Taken(Histogram(2, {0.1, 1}, {1, 2, 3})));
  EXPECT_TRUE(Taken(Histogram(0, {}, {kMost})));
  EXPECT_FALSE(Taken(Histogram(2, {1, 0.1}, {1, 2, 3})));
  EXPECT_FALSE(Taken(Histogram(2, {1, 1}, {1, 2, 3})));
  EXPECT_FALSE(Taken(Histogram(2, {1, kInfinity}, {1, 2, 3})));
  EXPECT_FALSE(Taken(Histogram(2, {-kInfinity}, {1, 2})));
  EXPECT_FALSE(Taken(Histogram(2, {std::nan("")}, {1, 2})));
  EXPECT_FALSE(Taken(Histogram(kInfinity, {1}, {1, 2})));
  EXPECT_FALSE(Taken(Histogram(-1, {1}, {1, 2})));
  EXPECT_FALSE(Taken(Histogram(0, {1}, {kMost, 1})));
  EXPECT_FALSE(Taken(Histogram(0, {1, 2}, {kAll, 2, 0}))) << "a sum that overflows";
  EXPECT_FALSE(Taken(Histogram(0, {1, 2}, {1, kAll, 0})));
  EXPECT_FALSE(Taken(Histogram(0, {1}, {1, 2, 3})));
}

TEST(MetricsWireTest, ACountThatIsALieCostsNothing) {
  const std::string huge = Number(UINT32_MAX);
  EXPECT_FALSE(Taken("c" + huge + "a"));
  EXPECT_FALSE(Taken("c" + Text("a") + Text("A.") + huge));
  EXPECT_FALSE(Taken("c" + Text("a") + Text("A.") + Size(1) + huge));
  EXPECT_FALSE(Taken("h" + Text("a") + Text("A.") + Size(1) + Size(0) + Double(1) + huge));
}

TEST(MetricsWireTest, LeavesOutWhatWouldNotBeTaken) {
  Metrics before, after;
  MetricShard& shard = before.AddShard();
  shard.Counter("a_total", "A.", {{"r", "\xff"}}).Add();
  shard.Counter("a_total", "A.", {{"r", "good"}}).Add();
  shard.Counter("b_total", "B.").Set(-1);
  shard.Counter("c_total", "C\nc_total 7").Add();
  shard.Counter("d total", "D.").Add();
  shard.Histogram("e_seconds", "E.").Observe(kInfinity);
  HandOver(before, after);
  EXPECT_EQ(after.Text(), "# HELP a_total A.\n# TYPE a_total counter\na_total{r=\"good\"} 1\n");
}

TEST(MetricsWireTest, LeavesOutWhatDoesNotFit) {
  Metrics metrics;
  MetricShard& shard = metrics.AddShard();
  for (int i = 0; i < 100; ++i) {
    shard.Counter("a_total", "A.", {{"i", std::to_string(1000 + i)}}).Set(i);
  }
  shard.Counter("b_total", "B.").Add();
  const auto families = metrics.Collect();
  const size_t whole = WriteMetrics(families).size();
  for (size_t most = 0; most <= whole + 20; ++most) {
    const std::string bytes = WriteMetrics(families, most);
    ASSERT_LE(bytes.size(), std::max(most, kMagic.size()));
    std::string error;
    const auto read = ReadMetrics(bytes, &error);
    ASSERT_TRUE(read.has_value()) << error;
    ASSERT_EQ(read->size() == 2, most >= whole) << most;
  }
}

TEST(MetricsWireTest, IsSmall) {
  Metrics metrics;
  MetricShard& shard = metrics.AddShard();
  for (int i = 0; i < 10000; ++i) {
    shard.Counter("sluice_requests_total", "Requests that are over, by class of the response.",
                  {{"class", "2xx"}, {"listener", std::to_string(i)}});
  }
  EXPECT_LT(metrics.Export().size(), 60u * 10000);
}

}  // namespace
}  // namespace sluice
