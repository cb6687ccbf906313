#include "sluice/message.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cctype>
#include <string>
#include <string_view>
#include <vector>

#include "sluice/drainable.h"
#include "sluice/handler.h"

namespace sluice {
namespace {

using ::testing::ElementsAre;

struct Named {
  HeaderId id;
  std::string_view name;
};

constexpr Named kNames[] = {
    {HeaderId::kAuthorization, "Authorization"},
    {HeaderId::kConnection, "Connection"},
    {HeaderId::kContentLength, "Content-Length"},
    {HeaderId::kContentType, "Content-Type"},
    {HeaderId::kCookie, "Cookie"},
    {HeaderId::kDate, "Date"},
    {HeaderId::kExpect, "Expect"},
    {HeaderId::kForwarded, "Forwarded"},
    {HeaderId::kHost, "Host"},
    {HeaderId::kHttp2Settings, "HTTP2-Settings"},
    {HeaderId::kKeepAlive, "Keep-Alive"},
    {HeaderId::kLocation, "Location"},
    {HeaderId::kMaxForwards, "Max-Forwards"},
    {HeaderId::kProxyConnection, "Proxy-Connection"},
    {HeaderId::kRetryAfter, "Retry-After"},
    {HeaderId::kServer, "Server"},
    {HeaderId::kTe, "TE"},
    {HeaderId::kTrailer, "Trailer"},
    {HeaderId::kTransferEncoding, "Transfer-Encoding"},
    {HeaderId::kUpgrade, "Upgrade"},
    {HeaderId::kUserAgent, "User-Agent"},
    {HeaderId::kVia, "Via"},
    {HeaderId::kXForwardedFor, "X-Forwarded-For"},
    {HeaderId::kXForwardedHost, "X-Forwarded-Host"},
    {HeaderId::kXForwardedProto, "X-Forwarded-Proto"},
    {HeaderId::kXRequestId, "X-Request-Id"},
    {HeaderId::kXSluiceDrain, "X-Sluice-Drain"},
};

TEST(LookupHeader, KnowsEveryNameInAnyCase) {
  // The list above is all of them: the ids are consecutive, kOther is 0.
  EXPECT_EQ(std::size(kNames), static_cast<size_t>(HeaderId::kXSluiceDrain));
  for (const Named& named : kNames) {
    std::string lower(named.name), upper(named.name);
    for (char& c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    for (char& c : upper) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    EXPECT_EQ(LookupHeader(named.name), named.id) << named.name;
    EXPECT_EQ(LookupHeader(lower), named.id) << lower;
    EXPECT_EQ(LookupHeader(upper), named.id) << upper;
    EXPECT_EQ(LowerHeaderName(named.id), lower);
  }
}

TEST(LookupHeader, TakesNothingForAnotherName) {
  EXPECT_EQ(LookupHeader(""), HeaderId::kOther);
  for (const Named& named : kNames) {
    EXPECT_EQ(LookupHeader(std::string(named.name) + "x"), HeaderId::kOther) << named.name;
    for (size_t i = 0; i < named.name.size(); ++i) {
      for (int c = 0; c < 256; ++c) {
        if (std::tolower(c) == std::tolower(static_cast<unsigned char>(named.name[i]))) continue;
        std::string other(named.name);
        other[i] = static_cast<char>(c);
        EXPECT_EQ(LookupHeader(other), HeaderId::kOther) << named.name << " at " << i << ": " << c;
      }
    }
  }
}

TEST(EqualsIgnoreCase, FoldsLettersAndNothingElse) {
  // At every length around the word size, and with the differing byte at every place.
  for (size_t size = 1; size <= 20; ++size) {
    for (size_t at = 0; at < size; ++at) {
      for (int c = 0; c < 256; ++c) {
        for (const char other : {'a', 'Z', '@', '[', '-', '\r', '\x80', '`', '{'}) {
          std::string a(size, 'x'), b(size, 'X');
          a[at] = static_cast<char>(c);
          b[at] = other;
          const bool same = c < 128 && static_cast<unsigned char>(other) < 128
                                ? std::tolower(c) == std::tolower(other)
                                : a[at] == other;
          ASSERT_EQ(EqualsIgnoreCase(a, b), same) << size << " " << at << " " << c << " " << other;
        }
      }
    }
  }
  EXPECT_TRUE(EqualsIgnoreCase("", ""));
  EXPECT_TRUE(EqualsIgnoreCase({}, ""));
  EXPECT_FALSE(EqualsIgnoreCase("a", "ab"));
}

std::vector<std::string> Lines(const HeaderList& headers) {
  std::vector<std::string> lines;
  for (const HeaderField& field : headers) {
    lines.push_back(std::string(field.name) + ": " + std::string(field.value));
  }
  return lines;
}

TEST(HeaderList, FindsTheFirstInAnyCase) {
  HeaderList headers;
  headers.Add("Via", "a");
  headers.Add("X-Own", "b");
  headers.Add("via", "c");
  EXPECT_EQ(headers.Value(HeaderId::kVia), "a");
  EXPECT_EQ(headers.Value("VIA"), "a");
  EXPECT_EQ(headers.Value("x-OWN"), "b");
  EXPECT_EQ(headers.Find("absent"), nullptr);
  EXPECT_EQ(headers.Find(HeaderId::kHost), nullptr);
  EXPECT_EQ(headers.Value("absent"), "");
}

TEST(HeaderList, SetReplacesEveryFieldOfThatName) {
  HeaderList headers;
  headers.Add("Via", "a");
  headers.Add("X-Own", "b");
  headers.Add("via", "c");
  headers.Add("x-own", "d");
  headers.Set("VIA", "e");
  EXPECT_THAT(Lines(headers), ElementsAre("X-Own: b", "x-own: d", "VIA: e"));
  headers.Set("X-Own", "f");
  EXPECT_THAT(Lines(headers), ElementsAre("VIA: e", "X-Own: f"));
  headers.Set(HeaderId::kOther, "New", "g");
  EXPECT_THAT(Lines(headers), ElementsAre("VIA: e", "X-Own: f", "New: g"));
}

TEST(HeaderList, RemoveLeavesTheOthersInOrder) {
  HeaderList headers;
  headers.Add("Via", "a");
  headers.Add("X-Own", "b");
  headers.Add("via", "c");
  headers.Add("x-own", "d");
  headers.Add("Date", "e");
  headers.Remove(HeaderId::kVia);
  EXPECT_THAT(Lines(headers), ElementsAre("X-Own: b", "x-own: d", "Date: e"));
  headers.Remove("X-OWN");
  EXPECT_THAT(Lines(headers), ElementsAre("Date: e"));
  headers.Remove("date");
  EXPECT_TRUE(headers.empty());
}

TEST(Method, OnlySafeMethodsPutAndDeleteAreIdempotent) {
  for (Method method : {Method::kGet, Method::kHead, Method::kOptions, Method::kTrace, Method::kPut,
                        Method::kDelete}) {
    EXPECT_TRUE(IsIdempotent(method)) << static_cast<int>(method);
  }
  for (Method method : {Method::kPost, Method::kPatch, Method::kConnect, Method::kOther}) {
    EXPECT_FALSE(IsIdempotent(method)) << static_cast<int>(method);
  }
}

TEST(RequestHead, ResetForgetsEverything) {
  RequestHead head;
  head.method = Method::kPost;
  head.method_name = "POST";
  head.scheme = "https";
  head.authority = "a";
  head.path = "/b?c";
  head.version = {1, 0};
  head.headers.Add("a", "b");
  head.content_length = 5;
  head.upgrade = "x";
  head.expects_continue = true;
  head.accepts_trailers = true;
  EXPECT_EQ(head.PathOnly(), "/b");

  head.Reset();
  EXPECT_EQ(head.method, Method::kGet);
  EXPECT_EQ(head.method_name, "");
  EXPECT_EQ(head.scheme, "");
  EXPECT_EQ(head.authority, "");
  EXPECT_EQ(head.path, "");
  EXPECT_EQ(head.version.minor, 1);
  EXPECT_TRUE(head.headers.empty());
  EXPECT_FALSE(head.content_length);
  EXPECT_EQ(head.upgrade, "");
  EXPECT_FALSE(head.expects_continue);
  EXPECT_FALSE(head.accepts_trailers);
}

TEST(ResponseHead, ResetForgetsEverything) {
  ResponseHead head;
  head.status = 404;
  head.reason = "Not Found";
  head.version = {1, 0};
  head.headers.Add("a", "b");
  head.content_length = 5;
  head.upgrade = "x";

  head.Reset();
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(head.reason, "");
  EXPECT_EQ(head.version.minor, 1);
  EXPECT_TRUE(head.headers.empty());
  EXPECT_FALSE(head.content_length);
  EXPECT_EQ(head.upgrade, "");
}

TEST(ResponseHead, InformationalIsEveryInterimResponse) {
  ResponseHead head;
  for (const auto& [status, informational] :
       {std::pair(100, true), std::pair(101, false), std::pair(103, true), std::pair(200, false)}) {
    head.status = status;
    EXPECT_EQ(head.informational(), informational) << status;
  }
}

TEST(ReasonPhrase, NamesWhatSluiceSends) {
  for (int status : {400, 408, 413, 414, 417, 431, 500, 501, 502, 503, 504, 505}) {
    EXPECT_NE(ReasonPhrase(status), "") << status;
  }
  EXPECT_EQ(ReasonPhrase(200), "OK");
  EXPECT_EQ(ReasonPhrase(599), "");
}

// Notes what a stream is told to send.
class RecordedStream final : public ServerStream {
 public:
  RequestHead& request() override { return request_; }
  RequestRecord& record() override { return record_; }
  const DownstreamInfo& downstream() const override { return downstream_; }
  void SetReceiver(RequestReceiver*) override {}
  void SendInformational(const ResponseHead&) override {}
  void SendHead(const ResponseHead& head, bool end_stream) override {
    sent += std::to_string(head.status) + " " + std::string(head.reason);
    if (head.content_length) sent += " length=" + std::to_string(*head.content_length);
    for (const std::string& line : Lines(head.headers)) sent += " " + line;
    if (end_stream) sent += " end";
  }
  void SendBody(std::string_view bytes, bool end_stream) override {
    sent += " [" + std::string(bytes) + "]";
    if (end_stream) sent += " end";
  }
  void SendTrailers(const HeaderList&) override {}
  void CloseAfterResponse() override {}
  void Abort(StreamEnd) override {}
  bool congested() const override { return false; }
  void PauseRequest() override {}
  void ResumeRequest() override {}
  void DiscardRequest() override {}

  std::string sent;

 private:
  RequestHead request_;
  RequestRecord record_;
  DownstreamInfo downstream_;
};

TEST(SendSimpleResponse, SendsHeadAndBody) {
  RecordedStream stream;
  SendSimpleResponse(stream, 404, "no such page\n");
  EXPECT_EQ(stream.sent, "404 Not Found length=13 Content-Type: text/plain [no such page\n] end");
}

TEST(SendSimpleResponse, SendsNoBodyWhereNoneBelongs) {
  RecordedStream to_head;
  to_head.request().method = Method::kHead;
  SendSimpleResponse(to_head, 200, "body", "text/html");
  EXPECT_EQ(to_head.sent, "200 OK length=4 Content-Type: text/html end");

  RecordedStream empty;
  SendSimpleResponse(empty, 503, "");
  EXPECT_EQ(empty.sent, "503 Service Unavailable length=0 end");

  RecordedStream no_content;
  SendSimpleResponse(no_content, 204, "ignored");
  EXPECT_EQ(no_content.sent, "204 No Content end");
}

TEST(Names, AreWhatMetricsAndReportsSay) {
  std::vector<std::string_view> protocols, ends, reasons;
  for (size_t i = 0; i < kProtocolCount; ++i) {
    protocols.push_back(ProtocolName(static_cast<Protocol>(i)));
  }
  EXPECT_THAT(protocols,
              ElementsAre("http1", "http2", "grpc", "websocket", "event_stream", "tunnel"));
  for (StreamEnd end : {StreamEnd::kComplete, StreamEnd::kClientGone, StreamEnd::kClientTimeout,
                        StreamEnd::kUpstreamFailed, StreamEnd::kCut}) {
    ends.push_back(StreamEndName(end));
  }
  EXPECT_THAT(ends,
              ElementsAre("complete", "client_gone", "client_timeout", "upstream_failed", "cut"));
  for (CutReason reason : {CutReason::kDeadline, CutReason::kSecondSignal, CutReason::kForced}) {
    reasons.push_back(CutReasonName(reason));
  }
  EXPECT_THAT(reasons, ElementsAre("deadline", "second_signal", "forced"));
}

Straggler Aged(int seconds) {
  Straggler straggler;
  straggler.age = std::chrono::seconds(seconds);
  return straggler;
}

TEST(DrainProgress, AddsUp) {
  DrainProgress a, b;
  a.in_flight[static_cast<size_t>(Protocol::kHttp1)] = 2;
  b.in_flight[static_cast<size_t>(Protocol::kHttp1)] = 3;
  b.in_flight[static_cast<size_t>(Protocol::kTunnel)] = 1;
  a.cut[static_cast<size_t>(Protocol::kGrpc)] = 1;
  b.cut[static_cast<size_t>(Protocol::kHttp1)] = 4;
  a.connections = 10;
  b.connections = 20;
  a.finished = 5;
  b.finished = 6;
  a.told = 7;
  b.told = 8;
  a.in_flight_by_route = {{"x", 1}, {"y", 1}};
  b.in_flight_by_route = {{"z", 3}, {"x", 1}};

  a.Add(b);
  EXPECT_EQ(a.in_flight_total(), 6u);
  EXPECT_EQ(a.in_flight[static_cast<size_t>(Protocol::kHttp1)], 5u);
  EXPECT_EQ(a.cut_total(), 5u);
  EXPECT_EQ(a.connections, 30u);
  EXPECT_EQ(a.finished, 11u);
  EXPECT_EQ(a.told, 15u);
  EXPECT_THAT(a.in_flight_by_route, ElementsAre(std::pair<std::string, uint64_t>("x", 2),
                                                std::pair<std::string, uint64_t>("y", 1),
                                                std::pair<std::string, uint64_t>("z", 3)));
}

TEST(DrainProgress, KeepsTheOldestStragglers) {
  DrainProgress sum, other;
  for (int i = 0; i < 80; ++i) sum.stragglers.push_back(Aged(2 * i));
  for (int i = 0; i < 80; ++i) other.stragglers.push_back(Aged(2 * i + 1));
  sum.Add(other);
  ASSERT_EQ(sum.stragglers.size(), DrainProgress::kMaxStragglers);
  EXPECT_EQ(sum.stragglers.front().age, std::chrono::seconds(159));
  EXPECT_EQ(sum.stragglers.back().age, std::chrono::seconds(60));
}

}  // namespace
}  // namespace sluice
