#include "proxy/access_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "base/temp_dir.h"
#include "support/sim_loop.h"

namespace sluice {
namespace {

using nlohmann::json;
using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HasSubstr;

// One finished request, complete, to be changed by the tests.
class AccessLogFormatTest : public testing::Test {
 protected:
  AccessLogFormatTest() {
    request_.method_name = "GET";
    request_.scheme = "http";
    request_.authority = "example.com:8080";
    request_.path = "/a?b=c";
    request_.headers.Add("User-Agent", "curl/8");
    request_.headers.Add("X-Request-Id", "id-1");
    request_.headers.Add("X-Custom", "first");
    request_.headers.Add("x-custom", "second");
    record_.status = 200;
    record_.bytes_in = 12;
    record_.bytes_out = 34567890123;
    record_.route = "default/0";
    record_.cluster = "web";
    record_.endpoint = "127.0.0.1:3000";
    record_.upstream_time = microseconds(1500);
    record_.attempts = 2;
    downstream_.listener = "main";
    downstream_.peer = "10.0.0.1:41234";
  }

  std::string Format(const AccessLogLine& line) {
    LineBuffer out;
    line.Append({request_, record_, downstream_, started_, duration_}, timestamps_, out);
    return fmt::to_string(out);
  }

  std::string Text(std::string_view format) {
    const Result<AccessLogLine> line = AccessLogLine::Compile(format);
    if (!line) return "error: " + line.error().message;
    return Format(*line);
  }

  RequestHead request_;
  RequestRecord record_;
  DownstreamInfo downstream_;
  WallTime started_ = std::chrono::sys_days(std::chrono::year(2026) / 1 / 31) +
                      std::chrono::hours(12) + milliseconds(7);
  Duration duration_ = microseconds(12345);
  TimestampWriter timestamps_;
};

TEST_F(AccessLogFormatTest, EveryCommand) {
  EXPECT_EQ(Text("%START_TIME%"), "2026-01-31T12:00:00.007Z\n");
  EXPECT_EQ(Text("%METHOD% %PATH%"), "GET /a?b=c\n");
  EXPECT_EQ(Text("%SCHEME%://%AUTHORITY%"), "http://example.com:8080\n");
  EXPECT_EQ(Text("%PROTOCOL% %KIND%"), "HTTP/1.1 http1\n");
  EXPECT_EQ(Text("%STATUS% %BYTES_IN% %BYTES_OUT%"), "200 12 34567890123\n");
  EXPECT_EQ(Text("%DURATION_MS% %UPSTREAM_MS% %ATTEMPTS%"), "12.345 1.500 2\n");
  EXPECT_EQ(Text("%ROUTE% %CLUSTER% %ENDPOINT%"), "default/0 web 127.0.0.1:3000\n");
  EXPECT_EQ(Text("%LISTENER% %PEER%"), "main 10.0.0.1:41234\n");
  EXPECT_EQ(Text("%REQUEST_ID% %USER_AGENT%"), "id-1 curl/8\n");
  EXPECT_EQ(Text("%END% %DETAIL%"), "complete -\n");
  EXPECT_EQ(Text("%REQ(user-agent)% %REQ(X-CUSTOM)%"), "curl/8 first\n");
  EXPECT_EQ(Text("%REQ(Host)%"), "example.com:8080\n");
}

TEST_F(AccessLogFormatTest, LiteralsAndPercentSigns) {
  EXPECT_EQ(Text("[%STATUS%]\t100%% \"%METHOD%\""), "[200]\t100% \"GET\"\n");
  EXPECT_EQ(Text("%%STATUS%%"), "%STATUS%\n");
  EXPECT_EQ(Text("%STATUS%%STATUS%"), "200200\n");
  EXPECT_EQ(Text("gr\xc3\xbc\xc3\x9f"), "gr\xc3\xbc\xc3\x9f\n");
}

TEST_F(AccessLogFormatTest, OneLineBreakAtTheEndIsIgnored) {
  EXPECT_EQ(Text("%STATUS%\n"), "200\n");
  EXPECT_THAT(Text("%STATUS%\n\n"), HasSubstr("column 9: control character"));
}

TEST_F(AccessLogFormatTest, UnknownValuesAreDashes) {
  request_ = RequestHead();
  record_ = RequestRecord();
  downstream_ = DownstreamInfo();
  EXPECT_EQ(Text("%METHOD% %PATH% %AUTHORITY% %SCHEME% %ROUTE% %CLUSTER% %ENDPOINT% %PEER% "
                 "%REQUEST_ID% %USER_AGENT% %DETAIL% %REQ(a)% %UPSTREAM_MS% %STATUS% %ATTEMPTS%"),
            "- - - - - - - - - - - - - 0 0\n");
}

TEST_F(AccessLogFormatTest, TheStatusOfGrpc) {
  EXPECT_EQ(Text("%STATUS% %GRPC_STATUS%"), "200 -\n");
  record_.grpc_status = 0;
  EXPECT_EQ(Text("%STATUS% %GRPC_STATUS%"), "200 0\n");
  record_.grpc_status = 14;
  EXPECT_EQ(Text("%STATUS% %GRPC_STATUS%"), "200 14\n");
  EXPECT_EQ(json::parse(Format(AccessLogLine::Json()))["grpc_status"], 14);
}

TEST_F(AccessLogFormatTest, HowItEnded) {
  record_.end = StreamEnd::kCut;
  record_.detail = "route_timeout";
  record_.protocol = Protocol::kTunnel;
  request_.version = {1, 0};
  EXPECT_EQ(Text("%END% %DETAIL% %KIND% %PROTOCOL%"), "cut route_timeout tunnel HTTP/1.0\n");
}

TEST_F(AccessLogFormatTest, ErrorsNameTheColumn) {
  const auto error = [](std::string_view format) {
    const Result<AccessLogLine> line = AccessLogLine::Compile(format);
    return line ? "no error" : line.error().message;
  };
  EXPECT_THAT(error("%STATUS% %STATSU%"), HasSubstr("column 10: unknown command %STATSU"));
  EXPECT_THAT(error("50% off"), HasSubstr("column 3: unknown command %,"));
  EXPECT_THAT(error("50%"), HasSubstr("column 3: "));
  EXPECT_THAT(error("%status%"), HasSubstr("column 1: unknown command"));
  EXPECT_THAT(error("a %STATUS"), HasSubstr("column 3: %STATUS without a closing %"));
  EXPECT_THAT(error("%STATUS(x)%"), HasSubstr("column 1: "));
  EXPECT_THAT(error("%REQ(a"), HasSubstr("column 1: %REQ( without )%"));
  EXPECT_THAT(error("%REQ()%"), HasSubstr("column 6: not the name of a header field"));
  EXPECT_THAT(error("%REQ(a b)%"), HasSubstr("column 6: not the name of a header field"));
  EXPECT_THAT(error("%REQ%"), HasSubstr("column 1: unknown command %REQ"));
  EXPECT_THAT(error("a\rb"), HasSubstr("column 2: control character"));
  EXPECT_THAT(error(""), HasSubstr("empty"));
  EXPECT_THAT(error("\n"), HasSubstr("empty"));
}

TEST_F(AccessLogFormatTest, TextCannotBeForged) {
  request_.path = "/\"\r\n200 forged \x1b[31m\\\xff";
  EXPECT_EQ(Text("\"%PATH%\""), "\"/\\x22\\x0d\\x0a200 forged \\x1b[31m\\x5c\\xff\"\n");
}

TEST_F(AccessLogFormatTest, LongValuesAreCut) {
  const std::string path = "/" + std::string(10000, 'x');
  request_.path = path;
  EXPECT_EQ(Text("%PATH%"), path.substr(0, 4096) + "...\n");
  EXPECT_EQ(json::parse(Format(AccessLogLine::Json()))["path"], path.substr(0, 4096) + "...");
  request_.path = std::string_view(path).substr(0, 4096);
  EXPECT_EQ(Text("%PATH%"), path.substr(0, 4096) + "\n");
}

TEST_F(AccessLogFormatTest, NegativeTimesAreZero) {
  duration_ = milliseconds(-5);
  EXPECT_EQ(Text("%DURATION_MS%"), "0.000\n");
}

TEST_F(AccessLogFormatTest, JsonHasEveryValue) {
  record_.detail = "route_timeout";
  const json line = json::parse(Format(AccessLogLine::Json()));
  EXPECT_EQ(line, json::parse(R"({
      "start_time": "2026-01-31T12:00:00.007Z", "method": "GET", "path": "/a?b=c",
      "authority": "example.com:8080", "scheme": "http", "protocol": "HTTP/1.1", "kind": "http1",
      "status": 200, "bytes_in": 12, "bytes_out": 34567890123, "duration_ms": 12.345,
      "upstream_ms": 1.5, "attempts": 2, "route": "default/0", "cluster": "web",
      "endpoint": "127.0.0.1:3000", "listener": "main", "peer": "10.0.0.1:41234",
      "request_id": "id-1", "user_agent": "curl/8", "end": "complete",
      "detail": "route_timeout"})"));
}

TEST_F(AccessLogFormatTest, JsonLeavesOutWhatIsNotKnown) {
  request_ = RequestHead();
  record_ = RequestRecord();
  downstream_ = DownstreamInfo();
  const json line = json::parse(Format(AccessLogLine::Json()));
  EXPECT_EQ(line, json::parse(R"({
      "start_time": "2026-01-31T12:00:00.007Z", "protocol": "HTTP/1.1", "kind": "http1",
      "status": 0, "bytes_in": 0, "bytes_out": 0, "duration_ms": 12.345, "attempts": 0,
      "end": "complete"})"));
}

TEST_F(AccessLogFormatTest, JsonCannotBeForged) {
  request_.path = "/\"}\n{\"status\":200}\x1b\xc3(\xff";
  const std::string text = Format(AccessLogLine::Json());
  EXPECT_EQ(text.find('\n'), text.size() - 1);
  EXPECT_EQ(json::parse(text)["path"], "/\"}\n{\"status\":200}\x1b\xef\xbf\xbd(\xef\xbf\xbd");
}

TEST_F(AccessLogFormatTest, ComesFromTheConfiguration) {
  AccessLogConfig config;
  EXPECT_TRUE(json::accept(Format(*AccessLogLine::FromConfig(config))));
  config.format = AccessLogFormat::kText;
  config.text_format = "%METHOD%!";
  EXPECT_EQ(Format(*AccessLogLine::FromConfig(config)), "GET!\n");
  config.text_format = "%NOPE%";
  EXPECT_FALSE(AccessLogLine::FromConfig(config).has_value());
}

TEST(TimestampWriterTest, WritesRfc3339) {
  TimestampWriter timestamps;
  const auto text = [&](WallTime time) {
    LineBuffer out;
    timestamps.Append(time, out);
    return fmt::to_string(out);
  };
  const WallTime epoch{};
  EXPECT_EQ(text(epoch), "1970-01-01T00:00:00.000Z");
  EXPECT_EQ(text(epoch + milliseconds(999)), "1970-01-01T00:00:00.999Z");
  EXPECT_EQ(text(epoch + seconds(1)), "1970-01-01T00:00:01.000Z");
  EXPECT_EQ(text(epoch + milliseconds(50)), "1970-01-01T00:00:00.050Z");  // back again
  EXPECT_EQ(text(epoch + seconds(1709251199) + microseconds(999999)), "2024-02-29T23:59:59.999Z");
  EXPECT_EQ(text(epoch - milliseconds(1)), "1969-12-31T23:59:59.999Z");
}

TEST(AccessLogTest, WritesALineForEachRequest) {
  const TempDir directory;
  Metrics metrics;
  AsyncLogWriter::Options options;
  options.path = directory / "log";
  std::string error;
  const auto writer = AsyncLogWriter::Start(options, AccessLogDropped(metrics.AddShard()), &error);
  ASSERT_NE(writer, nullptr) << error;
  MetricShard& shard = metrics.AddShard();

  SimLoop loop;
  auto line = std::make_shared<AccessLogLine>(
      *AccessLogLine::Compile("%START_TIME% %DURATION_MS% %PATH% %STATUS%"));
  AccessLog log(loop, line, writer->AddChannel(AccessLogDropped(shard)));
  const WallTime start = loop.WallNow();
  RequestHead request;
  request.path = "/first";
  RequestRecord record;
  record.started = loop.Now();
  record.status = 204;
  loop.RunFor(milliseconds(250));
  log.OnRequestDone(request, record, DownstreamInfo());
  request.path = "/second";
  record.status = 503;
  log.OnRequestDone(request, record, DownstreamInfo());

  ASSERT_TRUE(writer->FlushAndWait(seconds(30)));
  LineBuffer time;
  TimestampWriter().Append(start, time);
  EXPECT_EQ(directory.Read("log"), fmt::to_string(time) + " 250.000 /first 204\n" +
                                       fmt::to_string(time) + " 250.000 /second 503\n");
  EXPECT_THAT(metrics.Text(), HasSubstr("sluice_access_log_dropped_total 0\n"));
}

TEST(AccessLogTest, CountsDroppedLinesForItsWorker) {
  const TempDir directory;
  Metrics metrics;
  AsyncLogWriter::Options options;
  options.path = directory / "log";
  options.ring_bytes = 16;
  std::string error;
  const auto writer = AsyncLogWriter::Start(options, AccessLogDropped(metrics.AddShard()), &error);
  ASSERT_NE(writer, nullptr) << error;
  SimLoop loop;
  auto line = std::make_shared<AccessLogLine>(AccessLogLine::Json());
  AccessLog log(loop, line, writer->AddChannel(AccessLogDropped(metrics.AddShard())));
  log.OnRequestDone(RequestHead(), RequestRecord(), DownstreamInfo());
  log.OnRequestDone(RequestHead(), RequestRecord(), DownstreamInfo());
  EXPECT_THAT(metrics.Text(), HasSubstr("sluice_access_log_dropped_total 2\n"));
}

}  // namespace
}  // namespace sluice
