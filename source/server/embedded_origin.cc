#include "server/embedded_origin.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

namespace sluice {
namespace {

constexpr std::string_view kGreeting =
    "Hello from Sluice. This is the origin embedded in it; start it with --to URL to front your "
    "own service.\n";

constexpr std::string_view kHelp =
    "This is Sluice's embedded origin. It serves:\n"
    "  /                       a greeting\n"
    "  /bytes/N                N bytes, up to 1 TiB\n"
    "  /echo                   the request's body\n"
    "  /delay/MS               a greeting after MS milliseconds, up to an hour\n"
    "  /status/NNN             that status, 200 to 599\n"
    "  /headers                the request's head as the origin sees it\n"
    "  /stream/N?interval=MS   N chunks, one each MS milliseconds (100)\n";

constexpr uint64_t kMaxBytes = uint64_t{1} << 40;
constexpr uint64_t kMaxChunks = 1'000'000'000;
constexpr uint64_t kMaxMilliseconds = 3'600'000;

// What /bytes is made of: lines of 64 characters, so that every block continues the one before it.
constexpr size_t kBlock = size_t{64} * 1024;
constexpr std::array<char, kBlock> MakeBlock() {
  constexpr std::string_view kLine =
      "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.\n";
  static_assert(kLine.size() == 64);
  std::array<char, kBlock> block{};
  for (size_t i = 0; i < kBlock; ++i) block[i] = kLine[i % kLine.size()];
  return block;
}
const std::array<char, kBlock> kBytes = MakeBlock();

std::optional<uint64_t> ParseNumber(std::string_view text, uint64_t max) {
  uint64_t number = 0;
  const char* const end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, number);
  if (parsed.ec != std::errc() || parsed.ptr != end || number > max) return std::nullopt;
  return number;
}

// The value of the first parameter `name` of the query, as it was sent.
std::optional<std::string_view> QueryParameter(const RequestHead& head, std::string_view name) {
  std::string_view rest = head.path.substr(head.PathOnly().size());
  while (!rest.empty()) {
    rest.remove_prefix(1);  // the question mark or ampersand
    const std::string_view parameter = rest.substr(0, rest.find('&'));
    rest.remove_prefix(parameter.size());
    const size_t equals = parameter.find('=');
    if (equals != std::string_view::npos && parameter.substr(0, equals) == name) {
      return parameter.substr(equals + 1);
    }
  }
  return std::nullopt;
}

// Sends the head of a response in plain text, or whatever else `content_type` says.
void SendHead(ServerStream& stream, std::optional<uint64_t> content_length, bool end_stream,
              std::string_view content_type = "text/plain") {
  ResponseHead head;
  head.headers.Add(HeaderId::kContentType, "Content-Type", content_type);
  head.content_length = content_length;
  stream.SendHead(head, end_stream);
}

}  // namespace

// Receives the request while its response is being sent, and is gone with the stream.
class EmbeddedOrigin::Exchange : public Deferred,
                                 public RequestReceiver,
                                 public ListHook<ExchangeTag> {
 public:
  Exchange(Loop& loop, ServerStream& stream) : loop_(loop), stream_(stream) {}

  // Sends the head, and as much else as can be sent at once.
  virtual void Start() = 0;

  void OnRequestBody(std::string_view, bool) override {}
  void OnRequestTrailers(const HeaderList&) override {}
  void OnResponseWritable() override {}
  void OnReset(StreamEnd) override { Finish(); }

 protected:
  // The stream has ended: nothing of it is touched any more.
  void Finish() {
    Unlink();
    loop_.DeleteLater(std::unique_ptr<Deferred>(this));
  }

  Loop& loop_;
  ServerStream& stream_;
};

namespace {

using Exchange = EmbeddedOrigin::Exchange;

class BytesExchange final : public Exchange {
 public:
  BytesExchange(Loop& loop, ServerStream& stream, uint64_t count)
      : Exchange(loop, stream), left_(count) {}

  void Start() override {
    SendHead(stream_, left_, false);
    stream_.record().waiting_for = "client to take the response";
    OnResponseWritable();
  }

  void OnResponseWritable() override {
    while (!stream_.congested()) {
      const size_t size = static_cast<size_t>(std::min<uint64_t>(left_, kBlock));
      left_ -= size;
      const bool last = left_ == 0;
      // What the client took so far ends at a block: every one begins at the start of the pattern.
      stream_.SendBody({kBytes.data(), size}, last);
      if (last) return Finish();
    }
  }

 private:
  uint64_t left_;
};

// The response queue holds back the request: a client that sends without reading is not read.
class EchoExchange final : public Exchange {
 public:
  using Exchange::Exchange;

  void Start() override {
    const RequestHead& request = stream_.request();
    if (request.expects_continue) {
      ResponseHead proceed;
      proceed.status = 100;
      stream_.SendInformational(proceed);
    }
    const std::string_view type = request.headers.Value(HeaderId::kContentType);
    has_length_ = request.content_length.has_value();
    SendHead(stream_, request.content_length, false,
             type.empty() ? "application/octet-stream" : type);
    stream_.record().waiting_for = "request body";
  }

  void OnRequestBody(std::string_view bytes, bool end_stream) override {
    stream_.SendBody(bytes, end_stream);
    if (end_stream) return Finish();
    if (stream_.congested()) stream_.PauseRequest();
  }

  void OnRequestTrailers(const HeaderList& trailers) override {
    if (has_length_) {
      stream_.SendBody({}, true);
    } else {
      stream_.SendTrailers(trailers);
    }
    Finish();
  }

  void OnResponseWritable() override { stream_.ResumeRequest(); }

 private:
  bool has_length_ = false;
};

class DelayExchange final : public Exchange {
 public:
  DelayExchange(Loop& loop, ServerStream& stream, uint64_t milliseconds)
      : Exchange(loop, stream),
        delay_(std::chrono::milliseconds(milliseconds)),
        timer_(loop.timers(), Delegate::Bind<&DelayExchange::OnTimer>(this)) {}

  void Start() override {
    stream_.record().waiting_for = "delay";
    timer_.Set(loop_.Now() + delay_);
  }

 private:
  void OnTimer() {
    SendSimpleResponse(stream_, 200, kGreeting);
    Finish();
  }

  const Duration delay_;
  Timer timer_;
};

// Chunks on a beat: the first at once. A client that does not keep up is waited for, and the beat
// goes on from there.
class StreamExchange final : public Exchange {
 public:
  StreamExchange(Loop& loop, ServerStream& stream, uint64_t chunks, uint64_t milliseconds)
      : Exchange(loop, stream),
        chunks_(chunks),
        interval_(std::chrono::milliseconds(milliseconds)),
        timer_(loop.timers(), Delegate::Bind<&StreamExchange::OnTimer>(this)) {}

  void Start() override {
    SendHead(stream_, std::nullopt, false);
    stream_.record().waiting_for = "next chunk";
    OnTimer();
  }

  void OnResponseWritable() override {
    if (!timer_.active()) OnTimer();
  }

 private:
  void OnTimer() {
    if (stream_.congested()) return;
    const fmt::format_int number(++sent_);
    constexpr std::string_view kBefore = "chunk ";
    const size_t size = kBefore.size() + number.size() + 1;
    char* const text = loop_.Scratch(size);
    std::memcpy(text, kBefore.data(), kBefore.size());
    std::memcpy(text + kBefore.size(), number.data(), number.size());
    text[size - 1] = '\n';
    stream_.SendBody({text, size}, sent_ == chunks_);
    if (sent_ == chunks_) return Finish();
    timer_.Set(loop_.Now() + interval_);
  }

  const uint64_t chunks_;
  uint64_t sent_ = 0;
  const Duration interval_;
  Timer timer_;
};

}  // namespace

EmbeddedOrigin::EmbeddedOrigin(Loop& loop) : loop_(loop) {}

EmbeddedOrigin::~EmbeddedOrigin() {
  std::vector<std::unique_ptr<Exchange>> open;
  exchanges_.ForEach([&](Exchange& exchange) {
    exchange.Unlink();
    open.emplace_back(&exchange);
  });
}

template <typename T, typename... Args>
void EmbeddedOrigin::Begin(ServerStream& stream, Args... args) {
  auto* exchange = new T(loop_, stream, args...);
  exchanges_.PushBack(exchange);
  stream.SetReceiver(exchange);
  exchange->Start();
}

void EmbeddedOrigin::OnRequest(ServerStream& stream, bool end_stream) {
  const std::string_view path = stream.request().PathOnly();
  const auto after = [&](std::string_view prefix) -> std::optional<std::string_view> {
    if (!path.starts_with(prefix)) return std::nullopt;
    return path.substr(prefix.size());
  };
  if (path == "/" || path == "*") return SendSimpleResponse(stream, 200, kGreeting);
  if (path == "/headers") return AnswerHeaders(stream);
  if (path == "/echo") {
    if (end_stream || stream.request().method == Method::kHead) {
      return SendHead(stream, 0, true, "application/octet-stream");
    }
    return Begin<EchoExchange>(stream);
  }
  if (const auto count = after("/bytes/")) return AnswerBytes(stream, *count);
  if (const auto delay = after("/delay/")) return AnswerDelay(stream, *delay);
  if (const auto status = after("/status/")) return AnswerStatus(stream, *status);
  if (const auto count = after("/stream/")) return AnswerStream(stream, *count);
  SendSimpleResponse(stream, 404, kHelp);
}

std::string_view EmbeddedOrigin::Lend(std::string_view text) {
  char* const copy = loop_.Scratch(text.size());
  std::memcpy(copy, text.data(), text.size());
  return {copy, text.size()};
}

void EmbeddedOrigin::AnswerHeaders(ServerStream& stream) {
  const RequestHead& request = stream.request();
  fmt::memory_buffer text;
  const auto out = std::back_inserter(text);
  fmt::format_to(out, "{} {} HTTP/{}.{}\nHost: {}\n", request.method_name, request.path,
                 request.version.major, request.version.minor, request.authority);
  for (const HeaderField& field : request.headers) {
    fmt::format_to(out, "{}: {}\n", field.name, field.value);
  }
  SendSimpleResponse(stream, 200, Lend({text.data(), text.size()}));
}

void EmbeddedOrigin::AnswerBytes(ServerStream& stream, std::string_view count) {
  const auto bytes = ParseNumber(count, kMaxBytes);
  if (!bytes)
    return SendSimpleResponse(stream, 400, "/bytes/N: N is a number up to 1099511627776\n");
  if (*bytes == 0 || stream.request().method == Method::kHead) {
    return SendHead(stream, *bytes, true);
  }
  Begin<BytesExchange>(stream, *bytes);
}

void EmbeddedOrigin::AnswerDelay(ServerStream& stream, std::string_view delay) {
  const auto milliseconds = ParseNumber(delay, kMaxMilliseconds);
  if (!milliseconds)
    return SendSimpleResponse(stream, 400, "/delay/MS: MS is a number up to 3600000\n");
  Begin<DelayExchange>(stream, *milliseconds);
}

void EmbeddedOrigin::AnswerStatus(ServerStream& stream, std::string_view status) {
  const auto number = ParseNumber(status, 599);
  if (!number || *number < 200) {
    return SendSimpleResponse(stream, 400, "/status/NNN: NNN is a number from 200 to 599\n");
  }
  const int code = static_cast<int>(*number);
  if (code == 205) return SendSimpleResponse(stream, code, {});  // RFC 9110 15.3.6: no content
  const std::string text = fmt::format("{} {}\n", code, ReasonPhrase(code));
  SendSimpleResponse(stream, code, Lend(text));
}

void EmbeddedOrigin::AnswerStream(ServerStream& stream, std::string_view count) {
  constexpr uint64_t kDefaultInterval = 100;
  const auto chunks = ParseNumber(count, kMaxChunks);
  const auto given = QueryParameter(stream.request(), "interval");
  const auto interval = given ? ParseNumber(*given, kMaxMilliseconds) : kDefaultInterval;
  if (!chunks || !interval || *interval == 0) {
    return SendSimpleResponse(
        stream, 400,
        "/stream/N?interval=MS: N is a number up to 1000000000, MS from 1 to 3600000\n");
  }
  if (*chunks == 0 || stream.request().method == Method::kHead) {
    return SendHead(stream, std::nullopt, true);
  }
  Begin<StreamExchange>(stream, *chunks, *interval);
}

}  // namespace sluice
