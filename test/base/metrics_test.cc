#include "base/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <limits>
#include <string>
#include <thread>
#include <vector>

#include "base/temp_dir.h"

namespace sluice {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

TEST(MetricsTest, SumsTheShards) {
  Metrics metrics;
  metrics.AddShard().Counter("sluice_requests_total", "Requests.").Add(2);
  metrics.AddShard().Counter("sluice_requests_total", "Requests.").Add(3);
  EXPECT_THAT(metrics.Text(), HasSubstr("# HELP sluice_requests_total Requests.\n"
                                        "# TYPE sluice_requests_total counter\n"
                                        "sluice_requests_total 5\n"));
}

TEST(MetricsTest, GaugesGoBothWays) {
  Metrics metrics;
  MetricCell& first = metrics.AddShard().Gauge("sluice_connections", "Open.");
  MetricCell& second = metrics.AddShard().Gauge("sluice_connections", "Open.");
  first.Set(10);
  second.Add(5);
  second.Add(-7);
  EXPECT_THAT(metrics.Text(), HasSubstr("# TYPE sluice_connections gauge\nsluice_connections 8\n"));
}

TEST(MetricsTest, TheSameNameAndLabelsAreTheSameCell) {
  Metrics metrics;
  MetricShard& shard = metrics.AddShard();
  MetricCell& cell = shard.Counter("x_total", "X.", {{"a", "1"}, {"b", "2"}});
  EXPECT_EQ(&shard.Counter("x_total", "X.", {{"b", "2"}, {"a", "1"}}), &cell);
  EXPECT_NE(&shard.Counter("x_total", "X.", {{"a", "1"}, {"b", "3"}}), &cell);
  EXPECT_NE(&shard.Counter("y_total", "Y.", {{"a", "1"}, {"b", "2"}}), &cell);
  EXPECT_NE(&metrics.AddShard().Counter("x_total", "X.", {{"a", "1"}, {"b", "2"}}), &cell);
}

TEST(MetricsTest, CellsStayWhereTheyAre) {
  Metrics metrics;
  MetricShard& shard = metrics.AddShard();
  std::vector<MetricCell*> cells;
  for (int i = 0; i < 1000; ++i) {
    cells.push_back(&shard.Counter("x_total", "X.", {{"i", std::to_string(i)}}));
    cells.back()->Set(i);
  }
  for (int i = 0; i < 1000; ++i) {
    ASSERT_EQ(&shard.Counter("x_total", "X.", {{"i", std::to_string(i)}}), cells[size_t(i)]);
    ASSERT_EQ(cells[size_t(i)]->value(), i);
  }
}

TEST(MetricsTest, ShardsShareNoCacheLine) {
  Metrics metrics;
  MetricShard& first = metrics.AddShard();
  MetricShard& second = metrics.AddShard();
  for (int i = 0; i < 20; ++i) {
    const std::string name = "x" + std::to_string(i);
    const auto a = reinterpret_cast<uintptr_t>(&first.Counter(name, "X."));
    const auto b = reinterpret_cast<uintptr_t>(&second.Counter(name, "X."));
    ASSERT_NE(a / 64, b / 64);
  }
}

TEST(MetricsTest, StepsMakeFractions) {
  Metrics metrics;
  MetricShard& shard = metrics.AddShard();
  shard.Gauge("sluice_phase_duration_seconds", "Time.", {}, 1e6).Set(1234567);
  EXPECT_THAT(metrics.Text(), HasSubstr("sluice_phase_duration_seconds 1.234567\n"));
}

TEST(MetricsTest, FamiliesAndMetricsAreInOrder) {
  Metrics metrics;
  MetricShard& shard = metrics.AddShard();
  shard.Counter("b_total", "B.", {{"k", "2"}});
  shard.Counter("b_total", "B.", {{"k", "1"}});
  shard.Gauge("a", "A.");
  shard.Histogram("aa_seconds", "AA.");
  std::vector<std::string> names;
  for (const auto& family : metrics.Collect()) names.push_back(family.name);
  EXPECT_THAT(names, ElementsAre("a", "aa_seconds", "b_total"));
  const auto families = metrics.Collect();
  ASSERT_EQ(families[2].metric.size(), 2u);
  EXPECT_EQ(families[2].metric[0].label[0].value, "1");
}

TEST(MetricsTest, NothingRegisteredIsNothingShown) {
  Metrics metrics;
  metrics.AddShard();
  EXPECT_EQ(metrics.Text(), "");
}

TEST(MetricsTest, LargeCountsAreExact) {
  Metrics metrics;
  metrics.AddShard().Counter("bytes_total", "Bytes.").Set(1234567890123456);
  EXPECT_THAT(metrics.Text(), HasSubstr("bytes_total 1234567890123456\n"));
}

TEST(MetricHistogramTest, BoundsAreInclusive) {
  MetricHistogram histogram({0.1, 1, 10});
  for (const double seconds : {0.0, 0.1, 0.11, 1.0, 10.0, 10.1, 1000.0}) {
    histogram.Observe(seconds);
  }
  EXPECT_EQ(histogram.bucket(0), 2u);
  EXPECT_EQ(histogram.bucket(1), 2u);
  EXPECT_EQ(histogram.bucket(2), 1u);
  EXPECT_EQ(histogram.bucket(3), 2u);
  EXPECT_DOUBLE_EQ(histogram.sum(), 1021.31);
}

TEST(MetricHistogramTest, IsCumulativeAndSummed) {
  Metrics metrics;
  for (int shard = 0; shard < 2; ++shard) {
    MetricHistogram& histogram =
        metrics.AddShard().Histogram("wait_seconds", "Wait.", {{"route", "a"}}, {0.5, 2});
    histogram.Observe(0.25);
    histogram.Observe(1);
    histogram.Observe(64);
  }
  const std::string text = metrics.Text();
  EXPECT_THAT(text, HasSubstr("# TYPE wait_seconds histogram\n"));
  EXPECT_THAT(text, HasSubstr("wait_seconds_bucket{route=\"a\",le=\"0.5\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("wait_seconds_bucket{route=\"a\",le=\"2\"} 4\n"));
  EXPECT_THAT(text, HasSubstr("wait_seconds_bucket{route=\"a\",le=\"+Inf\"} 6\n"));
  EXPECT_THAT(text, HasSubstr("wait_seconds_count{route=\"a\"} 6\n"));
  EXPECT_THAT(text, HasSubstr("wait_seconds_sum{route=\"a\"} 130.5\n"));
}

TEST(MetricHistogramTest, LatencyBoundsAscendFromAMillisecondToAMinute) {
  const std::vector<double> bounds = MetricShard::LatencyBounds();
  EXPECT_EQ(bounds.front(), 0.001);
  EXPECT_EQ(bounds.back(), 60);
  for (size_t i = 1; i < bounds.size(); ++i) EXPECT_LT(bounds[i - 1], bounds[i]);
}

TEST(MetricsTest, LabelValuesAreEscaped) {
  Metrics metrics;
  metrics.AddShard().Counter("x_total", "X.", {{"route", "a\"b\\c\nd"}}).Add();
  EXPECT_THAT(metrics.Text(), HasSubstr(R"(x_total{route="a\"b\\c\nd"} 1)"));
}

// promtool's verdict on `text`; nothing where there is no promtool.
std::string Promtool(const std::string& text) {
  const TempDir directory;
  directory.Write("metrics", text);
  const std::string command = "promtool check metrics < " + (directory / "metrics") + " > " +
                              (directory / "verdict") + " 2>&1";
  const int status = std::system(command.c_str());
  return (status == 0 ? "ok " : "bad ") + directory.Read("verdict");
}

TEST(MetricsTest, PromtoolAcceptsTheText) {
  if (std::system("command -v promtool > /dev/null") != 0) GTEST_SKIP() << "no promtool in PATH";
  Metrics metrics;
  for (int i = 0; i < 2; ++i) {
    MetricShard& shard = metrics.AddShard();
    shard.Counter("sluice_requests_total", "Requests.", {{"route", "a\"b\\c\nd \xe2\x82\xac"}})
        .Add();
    shard.Counter("sluice_requests_total", "Requests.", {{"route", "other"}}).Add();
    shard.Gauge("sluice_connections", "Open connections.").Set(-3);
    shard.Histogram("sluice_request_duration_seconds", "Time.", {{"route", "a"}}).Observe(0.02);
  }
  EXPECT_EQ(Promtool(metrics.Text()), "ok ");
  // It does look: the same text with one quotation mark too many.
  EXPECT_THAT(Promtool("sluice_requests_total{route=\"a\"b\"} 1\n"), HasSubstr("bad "));
}

// Run under ThreadSanitizer by CI: cells are written by one thread while another reads them, and
// shards and handles are added meanwhile.
TEST(MetricsTest, IsReadWhileItIsWritten) {
  constexpr int kAdds = 20000;
  Metrics metrics;
  std::vector<std::thread> workers;
  for (int worker = 0; worker < 3; ++worker) {
    workers.emplace_back([&metrics] {
      MetricShard& shard = metrics.AddShard();
      MetricCell& counter = shard.Counter("sluice_requests_total", "Requests.");
      MetricHistogram& histogram = shard.Histogram("sluice_wait_seconds", "Wait.");
      for (int i = 0; i < kAdds; ++i) {
        counter.Add();
        histogram.Observe(0.001);
        if (i % 1000 == 0) shard.Gauge("g", "G.", {{"i", std::to_string(i)}}).Set(i);
      }
    });
  }
  double last = 0;
  for (bool done = false; !done;) {
    for (const auto& family : metrics.Collect()) {
      if (family.name != "sluice_requests_total") continue;
      const double now = family.metric[0].counter.value;
      ASSERT_GE(now, last) << "a counter went backwards";
      last = now;
      done = now == 3 * kAdds;
    }
  }
  for (std::thread& worker : workers) worker.join();
  EXPECT_THAT(metrics.Text(), HasSubstr("sluice_wait_seconds_count 60000\n"));
}

}  // namespace
}  // namespace sluice
