// What HTTP/2 costs for each request, without sockets: a server's session reads requests that a
// client has framed beforehand, understands their heads, and answers each.

#include <benchmark/benchmark.h>
#include <nghttp2/nghttp2.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "http/h2_head.h"
#include "http/h2_session.h"
#include "http/h2_stream.h"

namespace sluice {
namespace {

constexpr uint32_t kRequests = 1000;  // on one connection
constexpr size_t kReadSize = 16 * 1024;
constexpr uint32_t kHuge = 0x7fffffff;

using Fields = std::vector<std::pair<std::string, std::string>>;

// What h2load sends.
const Fields kSmallRequest = {{":method", "GET"},
                              {":scheme", "http"},
                              {":authority", "127.0.0.1:8080"},
                              {":path", "/1KiB"},
                              {"user-agent", "h2load nghttp2/1.52.0"}};

const Fields kBrowserRequest = {
    {":method", "GET"},
    {":scheme", "https"},
    {":authority", "www.example.com"},
    {":path", "/assets/app.js?v=12345"},
    {"sec-ch-ua", "\"Chromium\";v=\"118\", \"Google Chrome\";v=\"118\", \"Not=A?Brand\";v=\"99\""},
    {"sec-ch-ua-mobile", "?0"},
    {"user-agent",
     "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/118.0.0.0 "
     "Safari/537.36"},
    {"sec-ch-ua-platform", "\"Linux\""},
    {"accept", "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"},
    {"referer", "https://www.example.com/index.html"},
    {"accept-encoding", "gzip, deflate, br"},
    {"accept-language", "en-GB,en;q=0.9"},
    {"cookie", "session=0123456789abcdef0123456789abcdef"}};

nghttp2_nv NameValue(const std::pair<std::string, std::string>& field) {
  const auto bytes = [](const std::string& text) {
    return const_cast<uint8_t*>(reinterpret_cast<const uint8_t*>(text.data()));
  };
  return {bytes(field.first), bytes(field.second), field.first.size(), field.second.size(),
          NGHTTP2_NV_FLAG_NONE};
}

// A connection's bytes as a client sends them: preface, SETTINGS, and all requests.
std::string FrameRequests(const Fields& request) {
  nghttp2_session_callbacks* callbacks = nullptr;
  nghttp2_session_callbacks_new(&callbacks);
  nghttp2_option* options = nullptr;
  nghttp2_option_new(&options);
  nghttp2_option_set_peer_max_concurrent_streams(options, kRequests);
  nghttp2_session* session = nullptr;
  nghttp2_session_client_new2(&session, callbacks, nullptr, options);
  nghttp2_option_del(options);
  nghttp2_session_callbacks_del(callbacks);

  const nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, kHuge}};
  nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, settings, 1);
  nghttp2_session_set_local_window_size(session, NGHTTP2_FLAG_NONE, 0, kHuge);
  std::vector<nghttp2_nv> fields;
  for (const auto& field : request) fields.push_back(NameValue(field));
  for (uint32_t i = 0; i < kRequests; ++i) {
    nghttp2_submit_request(session, nullptr, fields.data(), fields.size(), nullptr, nullptr);
  }
  std::string bytes;
  const uint8_t* frame = nullptr;
  while (true) {
    const ssize_t size = nghttp2_session_mem_send(session, &frame);
    if (size <= 0) break;
    bytes.append(reinterpret_cast<const char*>(frame), static_cast<size_t>(size));
  }
  nghttp2_session_del(session);
  return bytes;
}

class BenchLoop final : public Loop {
 public:
  BenchLoop() : Loop(1) {}
  void Post(std::function<void()>) override {}
  WallTime WallNow() const override { return WallTime(std::chrono::hours(500'000)); }

  // As after everything that was ready has been dispatched.
  void Finish() {
    EndDispatch();
    EndTurn();
  }
};

// Takes all, at once.
class Sink final : public Transport {
 public:
  void SetEvents(TransportEvents*) override {}
  void Write(std::string_view bytes) override { written += bytes.size(); }
  void FlushNow() override {}
  size_t queued_bytes() const override { return 0; }
  void ShutdownWrite() override {}
  void Close() override {}
  void Reset() override {}
  void PauseReading() override {}
  void ResumeReading() override {}
  bool HasUnreadInput() override { return false; }
  std::string PeerAddress() const override { return {}; }
  std::string LocalAddress() const override { return {}; }

  uint64_t written = 0;
};

struct BenchStream final : H2Stream {
  RequestHead head;
  H2BlockState block;

  void Recycle() {
    RecycleStream();
    head.Reset();
    block = {};
  }
};

// Answers every request with the same head and as much body as it is told.
class Answerer final : public H2SessionEvents {
 public:
  Answerer(BenchLoop& loop, size_t body_bytes) : loop_(loop), body_(body_bytes, 's') {
    options_.max_concurrent_streams = kRequests;
    response_.status = 200;
    response_.headers.Add("server", "nginx/1.22.1");
    response_.headers.Add("content-type", "application/octet-stream");
  }

  uint64_t Run(std::string_view bytes) {
    Sink sink;
    session_.emplace(H2Role::kServer, loop_, sink, options_, limits_, *this);
    answered_ = 0;
    while (!bytes.empty()) {
      session_->Receive(bytes.substr(0, kReadSize));
      bytes.remove_prefix(std::min(kReadSize, bytes.size()));
      loop_.Finish();
    }
    session_.reset();
    return answered_;
  }

  H2Stream* OnBlockBegin(H2Stream*, H2Block) override {
    if (spare_.empty()) {
      streams_.push_back(std::make_unique<BenchStream>());
      return streams_.back().get();
    }
    BenchStream* const stream = spare_.back();
    spare_.pop_back();
    return stream;
  }

  void OnField(H2Stream& base, std::string_view name, std::string_view value) override {
    auto& stream = static_cast<BenchStream&>(base);
    AddH2RequestField(stream.head, stream.block, limits_, name, value);
  }

  void OnBlockEnd(H2Stream& base, bool end_stream) override {
    auto& stream = static_cast<BenchStream&>(base);
    if (FinishH2Request(stream.head, stream.block, limits_, false, end_stream)) return;
    WriteH2ResponseHead(loop_, response_, body_.size(), fields_);
    session_->SendResponse(stream, fields_, body_.empty());
    if (!body_.empty()) session_->SendBody(stream, body_, true);
  }

  void OnStreamLeft(H2Stream& base) override {
    auto& stream = static_cast<BenchStream&>(base);
    ++answered_;
    session_->Forget(stream);
    stream.Recycle();
    spare_.push_back(&stream);
  }

  void OnStreamBody(H2Stream&, std::string_view, bool) override {}
  void OnStreamWritable(H2Stream&) override {}
  void OnStreamReset(H2Stream&, H2Error, bool) override {}
  void OnGoaway(int32_t, H2Error) override {}
  void OnSessionOver() override {}

 private:
  BenchLoop& loop_;
  Http2Options options_;
  HttpLimits limits_;
  ResponseHead response_;
  const std::string body_;
  std::optional<H2Session> session_;  // while running
  uint64_t answered_ = 0;
  std::vector<H2Field> fields_;
  std::vector<std::unique_ptr<BenchStream>> streams_;
  std::vector<BenchStream*> spare_;
};

// One iteration is a connection with kRequests requests; the rate is of requests.
void AnswerRequests(benchmark::State& state, const Fields& request) {
  const std::string bytes = FrameRequests(request);
  BenchLoop loop;
  Answerer answerer(loop, static_cast<size_t>(state.range(0)));
  for (auto _ : state) {
    if (answerer.Run(bytes) != kRequests) {
      state.SkipWithError("not every request was answered");
      return;
    }
  }
  state.SetItemsProcessed(state.iterations() * kRequests);
}

BENCHMARK_CAPTURE(AnswerRequests, small, kSmallRequest)->ArgName("body")->Arg(0)->Arg(1024);
BENCHMARK_CAPTURE(AnswerRequests, browser, kBrowserRequest)->ArgName("body")->Arg(1024);
BENCHMARK_CAPTURE(AnswerRequests, large, kSmallRequest)->ArgName("body")->Arg(64 * 1024);

}  // namespace
}  // namespace sluice
