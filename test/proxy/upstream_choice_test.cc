// The small parts that say where a request goes and whether it goes again: hashes, cookies, faults,
// waits.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <string>

#include "base/hash.h"
#include "http/cookie.h"
#include "proxy/fault.h"
#include "proxy/request_hash.h"
#include "proxy/retry_after.h"
#include "proxy/retry_policy.h"
#include "proxy/session_cookie.h"

namespace sluice {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;

// Processes of different releases have to agree on these.
TEST(Hash, IsTheSameForEver) {
  EXPECT_EQ(HashBytes(""), 0xefd01f60ba992926U);
  EXPECT_EQ(HashBytes("a"), 0x82a2a958a9bece5bU);
  EXPECT_EQ(HashBytes("10.0.0.1:8080"), HashBytes("10.0.0.1:8080"));
  EXPECT_EQ(MixBits(0), 0u);
  EXPECT_EQ(MixBits(1), 0xb456bcfc34c2cb2cU);
}

// ---- cookies

std::string_view CookieIn(const std::vector<std::string_view>& fields, std::string_view name) {
  HeaderList headers;
  for (const std::string_view field : fields) headers.Add(HeaderId::kCookie, "cookie", field);
  return CookieValue(headers, name);
}

TEST(Cookie, IsFoundAmongOthers) {
  EXPECT_EQ(CookieIn({"a=1; b=2; c=3"}, "b"), "2");
  EXPECT_EQ(CookieIn({"a=1", "b=2"}, "b"), "2") << "HTTP/2 splits the field";
  EXPECT_EQ(CookieIn({"b=\"2\""}, "b"), "2");
  EXPECT_EQ(CookieIn({"b=1; b=2"}, "b"), "1");
  EXPECT_EQ(CookieIn({"  b  =  2  "}, "b"), "2");
  EXPECT_EQ(CookieIn({"b=x=y"}, "b"), "x=y");
}

TEST(Cookie, IsNotMadeUp) {
  for (const std::string_view field :
       {"", ";", "b", "=b", "B=2", "ab=2", "a=b; =", "\"b=2\"", "b=", "b=\"\""}) {
    EXPECT_EQ(CookieIn({field}, "b"), "") << field;
  }
  EXPECT_EQ(CookieIn({"b=\""}, "b"), "\"");
}

// ---- sessions

TEST(SessionCookie, ReadsWhatItWrites) {
  const SessionCookie cookie;
  RequestHead head;
  Arena arena;
  const std::string_view set = SetCookieValue(cookie, 0x00000000000000abU, arena);
  EXPECT_EQ(set, "sluice-session=00000000000000ab; Path=/; HttpOnly; SameSite=Lax");
  head.headers.Add(HeaderId::kCookie, "cookie", set.substr(0, set.find(';')));
  EXPECT_EQ(SessionEndpoint(cookie, head), 0xabU);
}

TEST(SessionCookie, HasItsAttributes) {
  Arena arena;
  const SessionCookie cookie{
      .name = "s", .max_age = milliseconds(1500), .path = "/a", .secure = true};
  EXPECT_EQ(SetCookieValue(cookie, 1, arena),
            "s=0000000000000001; Path=/a; Max-Age=2; HttpOnly; SameSite=Lax; Secure");
}

TEST(SessionCookie, IgnoresWhatItHasNotWritten) {
  for (const std::string_view value :
       {"", "1", "00000000000000ag", "00000000000000ab1", "0x000000000000ab", "-000000000000001",
        "+000000000000001", "                "}) {
    RequestHead head;
    const std::string field = "sluice-session=" + std::string(value);
    head.headers.Add(HeaderId::kCookie, "cookie", field);
    EXPECT_FALSE(SessionEndpoint({}, head)) << value;
  }
}

// ---- hashes of requests

TEST(RequestHash, IsOfWhatIsConfigured) {
  RequestHead head;
  head.authority = "app.test";
  head.headers.Add("X-User", "u1");
  head.headers.Add(HeaderId::kCookie, "cookie", "user=u2");
  DownstreamInfo downstream;
  downstream.peer = "192.0.2.1:5000";
  downstream.peer_host = std::string_view(downstream.peer).substr(0, 9);
  using Kind = HashOn::Kind;
  EXPECT_EQ(RequestHash({Kind::kHeader, "x-user"}, head, downstream), HashBytes("u1"));
  EXPECT_EQ(RequestHash({Kind::kHeader, "Host"}, head, downstream), HashBytes("app.test"));
  EXPECT_EQ(RequestHash({Kind::kCookie, "user"}, head, downstream), HashBytes("u2"));
  EXPECT_EQ(RequestHash({Kind::kSource, ""}, head, downstream), HashBytes("192.0.2.1"));
  EXPECT_FALSE(RequestHash({Kind::kHeader, "x-other"}, head, downstream));
  EXPECT_FALSE(RequestHash({Kind::kCookie, "other"}, head, downstream));
}

// ---- faults

TEST(Fault, HappensToAsManyAsItSays) {
  Random random(5);
  const FaultConfig config{
      .delay_percent = 20, .delay = seconds(1), .abort_percent = 50, .abort_status = 500};
  int delayed = 0;
  int aborted = 0;
  for (int i = 0; i < 10'000; ++i) {
    const FaultPlan plan = PlanFault(config, random);
    delayed += plan.delay == seconds(1) ? 1 : 0;
    aborted += plan.abort_status == 500 ? 1 : 0;
  }
  EXPECT_NEAR(delayed, 2000, 200);
  EXPECT_NEAR(aborted, 5000, 300);
  const FaultPlan none = PlanFault({}, random);
  EXPECT_EQ(none.abort_status, 0);
  EXPECT_EQ(none.delay, Duration::zero());
}

// ---- retries

TEST(RetryPolicy, KnowsItsStatuses) {
  RetryConfig config;
  config.statuses = {"503", "520-529"};
  config.grpc_statuses = {"unavailable", "resource_exhausted"};
  const RetryPolicy policy(config);
  EXPECT_TRUE(policy.RetriesStatus(503));
  EXPECT_TRUE(policy.RetriesStatus(520));
  EXPECT_TRUE(policy.RetriesStatus(529));
  EXPECT_FALSE(policy.RetriesStatus(502));
  EXPECT_FALSE(policy.RetriesStatus(530));
  EXPECT_TRUE(policy.RetriesGrpcStatus(14));
  EXPECT_TRUE(policy.RetriesGrpcStatus(8));
  EXPECT_FALSE(policy.RetriesGrpcStatus(0));
  EXPECT_FALSE(policy.RetriesGrpcStatus(-1));
  EXPECT_FALSE(policy.RetriesGrpcStatus(99));
}

TEST(RetryPolicy, WaitsUpToTwiceAsLongEachTime) {
  RetryConfig config;
  config.backoff = milliseconds(10);
  config.max_backoff = milliseconds(50);
  const RetryPolicy policy(config);
  Random random(2);
  for (const auto& [number, most] : {std::pair(1, 10), {2, 20}, {3, 40}, {4, 50}, {1000, 50}}) {
    Duration longest{};
    for (int i = 0; i < 2000; ++i) {
      const Duration wait = policy.Wait(static_cast<uint32_t>(number), random);
      EXPECT_LE(wait, milliseconds(most));
      longest = std::max(longest, wait);
    }
    EXPECT_GT(longest, milliseconds(most) * 9 / 10) << number;
  }
}

TEST(RetryAfter, IsANumberOrADate) {
  const WallTime now = std::chrono::system_clock::from_time_t(784'111'777);  // of RFC 9110
  const auto wait = [&](std::string_view value) {
    HeaderList headers;
    headers.Add(HeaderId::kRetryAfter, "retry-after", value);
    return RetryAfterIn(headers, now);
  };
  EXPECT_EQ(wait("0"), Duration::zero());
  EXPECT_EQ(wait("120"), seconds(120));
  EXPECT_EQ(wait("Sun, 06 Nov 1994 08:49:47 GMT"), seconds(10));
  EXPECT_EQ(wait("Sun, 06 Nov 1994 08:49:27 GMT"), Duration::zero()) << "it is over";
  EXPECT_EQ(wait("99999999999999999999"), hours(24));
  EXPECT_EQ(wait("Fri, 31 Dec 9999 23:59:59 GMT"), hours(24));
  for (const std::string_view odd : {"", "-5", "1.5", "soon", "Sun, 06 Nov", "5 "}) {
    EXPECT_EQ(wait(odd), Duration::zero()) << odd;
  }
}

}  // namespace
}  // namespace sluice
