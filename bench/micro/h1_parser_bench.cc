// What it costs to read one head: syntax, semantics and the fields with their ids.

#include <benchmark/benchmark.h>

#include <string>
#include <string_view>

#include "http/h1_parser.h"

namespace sluice {
namespace {

// What wrk sends.
constexpr std::string_view kSmallRequest = "GET / HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n";

constexpr std::string_view kBrowserRequest =
    "GET /assets/app.js?v=12345 HTTP/1.1\r\n"
    "Host: www.example.com\r\n"
    "Connection: keep-alive\r\n"
    "sec-ch-ua: \"Chromium\";v=\"118\", \"Google Chrome\";v=\"118\", \"Not=A?Brand\";v=\"99\"\r\n"
    "sec-ch-ua-mobile: ?0\r\n"
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/118.0.0.0 Safari/537.36\r\n"
    "sec-ch-ua-platform: \"Linux\"\r\n"
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8\r\n"
    "Referer: https://www.example.com/index.html\r\n"
    "Accept-Encoding: gzip, deflate, br\r\n"
    "Accept-Language: en-GB,en;q=0.9\r\n"
    "Cookie: session=0123456789abcdef0123456789abcdef\r\n"
    "\r\n";

constexpr std::string_view kResponse =
    "HTTP/1.1 200 OK\r\n"
    "Server: nginx/1.22.1\r\n"
    "Date: Mon, 20 Nov 2023 10:00:00 GMT\r\n"
    "Content-Type: text/html; charset=utf-8\r\n"
    "Content-Length: 0\r\n"
    "Last-Modified: Mon, 20 Nov 2023 09:00:00 GMT\r\n"
    "Connection: keep-alive\r\n"
    "ETag: \"655b2b90-400\"\r\n"
    "Accept-Ranges: bytes\r\n"
    "\r\n";

class Ignore final : public H1Events {
 public:
  void OnHead(H1Framing, bool) override {}
  void OnBody(std::string_view bytes) override { body_bytes += bytes.size(); }
  void OnTrailers(const HeaderList&) override {}
  void OnMessageEnd() override { ++messages; }

  uint64_t body_bytes = 0;
  uint64_t messages = 0;
};

void CheckAndCount(benchmark::State& state, const H1Parser& parser, const Ignore& events,
                   std::string_view message) {
  if (parser.error() || events.messages != static_cast<uint64_t>(state.iterations())) {
    state.SkipWithError("the message was not parsed");
  }
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations()) *
                          static_cast<int64_t>(message.size()));
}

void ParseRequest(benchmark::State& state, std::string_view message) {
  Ignore events;
  HttpLimits limits;
  H1Parser parser(events, limits);
  RequestHead head;
  for (auto _ : state) {
    parser.BeginRequest(head);
    benchmark::DoNotOptimize(parser.Execute(message));
  }
  CheckAndCount(state, parser, events, message);
}

void ParseResponse(benchmark::State& state, std::string_view message) {
  Ignore events;
  HttpLimits limits;
  H1Parser parser(events, limits);
  ResponseHead head;
  for (auto _ : state) {
    parser.BeginResponse(head, /*to_head=*/false, /*to_connect=*/false);
    benchmark::DoNotOptimize(parser.Execute(message));
  }
  CheckAndCount(state, parser, events, message);
}

// 16 chunks of 1 KiB.
std::string ChunkedRequest() {
  std::string message = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (int i = 0; i < 16; ++i) message += "400\r\n" + std::string(1024, 'x') + "\r\n";
  return message + "0\r\n\r\n";
}

const std::string kChunkedRequest = ChunkedRequest();

// The line discipline alone, which every byte of a head passes before llhttp.
void ScanLines(benchmark::State& state, std::string_view head) {
  for (auto _ : state) {
    H1LineScanner scanner;
    scanner.Begin({.bytes = 65536, .lines = 100});
    size_t used = 0;
    H1Error error;
    benchmark::DoNotOptimize(scanner.Scan(head, &used, &error));
  }
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations()) *
                          static_cast<int64_t>(head.size()));
}

BENCHMARK_CAPTURE(ParseRequest, small, kSmallRequest);
BENCHMARK_CAPTURE(ParseRequest, browser, kBrowserRequest);
BENCHMARK_CAPTURE(ParseResponse, typical, kResponse);
BENCHMARK_CAPTURE(ParseRequest, chunked, std::string_view(kChunkedRequest));
BENCHMARK_CAPTURE(ScanLines, browser, kBrowserRequest);

}  // namespace
}  // namespace sluice
