// The token bucket: exact on a clock that is given, and over threads.
#include "base/rate_limiter.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

namespace sluice {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;

const TimePoint kStart = TimePoint(seconds(100));

int Admitted(RateLimiter& limiter, TimePoint at, int tries) {
  int admitted = 0;
  for (int i = 0; i < tries; ++i) admitted += limiter.TryTake(at) == Duration::zero() ? 1 : 0;
  return admitted;
}

TEST(RateLimiter, AdmitsABurstAndThenTheRate) {
  RateLimiter limiter(10, seconds(1), 5);
  EXPECT_EQ(Admitted(limiter, kStart, 100), 5);
  EXPECT_EQ(Admitted(limiter, kStart + milliseconds(99), 100), 0);
  EXPECT_EQ(Admitted(limiter, kStart + milliseconds(100), 100), 1);
  EXPECT_EQ(Admitted(limiter, kStart + milliseconds(450), 100), 3);
}

TEST(RateLimiter, SaysHowLongToWait) {
  RateLimiter limiter(10, seconds(1), 1);
  EXPECT_EQ(limiter.TryTake(kStart), Duration::zero());
  EXPECT_EQ(limiter.TryTake(kStart), milliseconds(100));
  EXPECT_EQ(limiter.TryTake(kStart + milliseconds(30)), milliseconds(70));
}

TEST(RateLimiter, APauseSavesNoMoreThanABurst) {
  RateLimiter limiter(10, seconds(1), 3);
  Admitted(limiter, kStart, 100);
  EXPECT_EQ(Admitted(limiter, kStart + hours(1000), 100), 3);
}

TEST(RateLimiter, ATimeThatWentBackAdmitsNothingMore) {
  RateLimiter limiter(10, seconds(1), 1);
  EXPECT_EQ(limiter.TryTake(kStart), Duration::zero());
  EXPECT_GT(limiter.TryTake(kStart - seconds(1)), Duration::zero());
}

TEST(RateLimiter, BearsExtremes) {
  RateLimiter fast(1'000'000'000, milliseconds(1), UINT32_MAX);
  EXPECT_EQ(Admitted(fast, kStart, 1000), 1000);
  RateLimiter slow(1, hours(24 * 365), UINT32_MAX);
  EXPECT_EQ(Admitted(slow, kStart, 1000), 73) << "as many as fit into the time a number holds";
}

TEST(RateLimiter, IsExactOverThreads) {
  RateLimiter limiter(1, hours(1), 1000);
  std::atomic<int> admitted = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] { admitted += Admitted(limiter, kStart, 1000); });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(admitted, 1000);
}

}  // namespace
}  // namespace sluice
