#include "base/line_ring.h"

#include <gtest/gtest.h>

#include <string>
#include <thread>

#include "base/random.h"

namespace sluice {
namespace {

std::string PopAll(LineRing& ring) {
  std::string out;
  const size_t count = ring.Pop(out);
  EXPECT_EQ(count, out.size());
  return out;
}

TEST(LineRingTest, StartsEmpty) {
  LineRing ring(100);
  EXPECT_TRUE(ring.empty());
  EXPECT_EQ(ring.used(), 0u);
  EXPECT_EQ(PopAll(ring), "");
}

TEST(LineRingTest, RoundsUpToAPowerOfTwo) {
  EXPECT_EQ(LineRing(100).capacity(), 128u);
  EXPECT_EQ(LineRing(128).capacity(), 128u);
  EXPECT_GE(LineRing(0).capacity(), 1u);
}

TEST(LineRingTest, GivesLinesInOrder) {
  LineRing ring(100);
  EXPECT_TRUE(ring.TryPush("one\n"));
  EXPECT_TRUE(ring.TryPush("two\n"));
  EXPECT_FALSE(ring.empty());
  EXPECT_EQ(ring.used(), 8u);
  std::string out = "before ";
  EXPECT_EQ(ring.Pop(out), 8u);
  EXPECT_EQ(out, "before one\ntwo\n");
  EXPECT_TRUE(ring.empty());
}

TEST(LineRingTest, RefusesAWholeLineThatDoesNotFit) {
  LineRing ring(16);
  EXPECT_TRUE(ring.TryPush("12345678\n"));
  EXPECT_FALSE(ring.TryPush("12345678\n"));
  EXPECT_TRUE(ring.TryPush("123456\n"));  // exactly full
  EXPECT_FALSE(ring.TryPush("\n"));
  EXPECT_EQ(PopAll(ring), "12345678\n123456\n");
  EXPECT_TRUE(ring.TryPush("\n"));
}

TEST(LineRingTest, RefusesALineLongerThanItself) {
  LineRing ring(16);
  EXPECT_FALSE(ring.TryPush(std::string(17, 'x')));
  EXPECT_TRUE(ring.TryPush(std::string(16, 'x')));
  EXPECT_EQ(PopAll(ring), std::string(16, 'x'));
}

TEST(LineRingTest, WrapsAround) {
  LineRing ring(16);
  for (int i = 0; i < 100; ++i) {
    const std::string line = std::to_string(1000000 + i) + " x\n";
    ASSERT_TRUE(ring.TryPush(line));
    ASSERT_EQ(PopAll(ring), line);
  }
}

TEST(LineRingTest, AgreesWithAStringOnRandomOperations) {
  for (uint64_t seed = 1; seed <= 100; ++seed) {
    Random random(seed);
    LineRing ring(256);
    std::string model;
    for (int step = 0; step < 1000; ++step) {
      if (random.Chance(0.8)) {
        const std::string line(random.Below(100), static_cast<char>('a' + random.Below(26)));
        const bool fits = model.size() + line.size() <= ring.capacity();
        ASSERT_EQ(ring.TryPush(line), fits) << "seed " << seed << " step " << step;
        if (fits) model += line;
      } else {
        ASSERT_EQ(PopAll(ring), model) << "seed " << seed << " step " << step;
        model.clear();
      }
      ASSERT_EQ(ring.used(), model.size());
      ASSERT_EQ(ring.empty(), model.empty());
    }
  }
}

// Run under ThreadSanitizer by CI.
TEST(LineRingTest, PassesLinesBetweenThreads) {
  constexpr int kLines = 30000;
  LineRing ring(512);
  std::thread producer([&ring] {
    for (int i = 0; i < kLines; ++i) {
      const std::string line = std::to_string(i) + "\n";
      while (!ring.TryPush(line)) std::this_thread::yield();
    }
  });
  int next = 0;
  std::string out;
  while (next < kLines) {
    out.clear();
    if (ring.Pop(out) == 0) {
      std::this_thread::yield();
      continue;
    }
    ASSERT_EQ(out.back(), '\n') << "a line was torn";
    for (size_t at = 0; at < out.size(); ++next) {
      const size_t end = out.find('\n', at);
      ASSERT_EQ(out.substr(at, end - at), std::to_string(next));
      at = end + 1;
    }
  }
  producer.join();
  EXPECT_TRUE(ring.empty());
}

}  // namespace
}  // namespace sluice
